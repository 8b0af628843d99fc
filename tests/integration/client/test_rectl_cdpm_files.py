"""`rectl cdpm init|validate|apply`: what is committed next is said, and nothing is overwritten."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from re_core.usecases.cdpm import files
from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine, problem
from tests.integration.client.nodes import ID, KEYS, NODES, SOURCE, node_key, node_row, page, whole_node


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _init(rectl: Rectl, *more: str) -> Any:
    return rectl("cdpm", "init", "shop/lib", "--url", "https://re.example", *more)


def test_a_new_node_gets_a_file_that_is_valid_and_rectl_says_what_to_commit(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", page())
    engine.on(f"POST {NODES}", Answer(whole_node(), 201))
    peers = ("--dependency", "null=https://a.example/cdpm.yml", "--dependent", "b: c=https://b.example/cdpm.yml")
    ran = _init(rectl, "--source", SOURCE, *peers)
    assert (ran.code, ran.out) == (0, f"cdpm.yml: node shop/lib, {ID}, key {node_key(KEYS[0])['kid']}\n")
    assert engine.asked[0].query == {"group": ["shop"], "name": ["lib"], "limit": ["100"]}
    assert engine.asked[-1].document == {"node": "shop/lib", "source": SOURCE}
    assert engine.asked[-1].headers["idempotency-key"]
    written = files.parse(Path("cdpm.yml").read_bytes())
    assert (written.key.text, written.url) == (KEYS[0], "https://re.example")
    assert written.dependencies == {"null": "https://a.example/cdpm.yml"}
    assert written.dependents["b: c"].url == "https://b.example/cdpm.yml"
    for words in (f"Commit cdpm.yml, so that peers read it at {SOURCE}", "rectl cdpm refresh shop/lib"):
        assert words in ran.err


def test_a_file_without_peers_is_valid_and_shows_how_they_are_written(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", page())
    engine.on(f"POST {NODES}", Answer(whole_node(), 201))
    made = json.loads(_init(rectl, "--source", SOURCE, "--file", "x.yml", "--json").out)
    assert (made["file"], made["done"], made["id"]) == ("x.yml", "created", ID)
    text = Path("x.yml").read_text()
    assert files.parse(text.encode()).dependencies == {}
    section = text.partition("# Dependencies:")[0] + "Dependencies:\n  NAME:\n    url: https://h.example/cdpm.yml\n"
    assert files.parse(section.encode()).dependencies == {"NAME": "https://h.example/cdpm.yml"}


def test_a_file_that_exists_is_not_overwritten_and_no_node_is_made(rectl: Rectl, engine: FakeEngine) -> None:
    Path("cdpm.yml").write_text("mine")
    ran = _init(rectl, "--source", SOURCE)
    assert ran.code == 2
    assert ran.err.startswith("rectl: cdpm.yml exists, and rectl does not overwrite it")
    assert (Path("cdpm.yml").read_text(), engine.asked) == ("mine", [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--source URL says where its peers will read the file"),
        (("--source", "http://u:p@x/cdpm.yml", "--dependent", "a=ftp://x"), "/Dependents/a/url: expected the URL of"),
        (("--source", SOURCE, "--dependency", "a"), "--dependency 'a': expected NAME=URL"),
        (("--source", SOURCE, "--dependent", "a=b", "--dependent", "a=c"), "a is set twice"),
    ],
)
def test_what_would_not_be_valid_is_refused_before_a_node_is_made(
    rectl: Rectl, engine: FakeEngine, arguments: tuple[str, ...], words: str
) -> None:
    engine.on(f"GET {NODES}", page())
    ran = _init(rectl, *arguments)
    assert ran.code == 2
    assert words in ran.err
    assert not engine.requests(f"POST {NODES}")
    assert not Path("cdpm.yml").exists()


def test_the_file_of_a_node_that_exists_has_its_newest_key(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", page(node_row()))
    engine.on(f"GET {NODES}/{ID}", Answer(whole_node(keys=[node_key(KEYS[0]), node_key(KEYS[1])])))
    assert _init(rectl).code == 0
    assert files.parse(Path("cdpm.yml").read_bytes()).key.text == KEYS[1]
    assert not engine.requests(f"POST {NODES}")
    other = _init(rectl, "--source", "https://x.example/cdpm.yml", "--file", "other.yml")
    assert other.code == 2
    assert f"its source is {SOURCE}, which never changes" in other.err


def test_a_directory_that_cannot_be_written_says_that_the_node_exists(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", page())
    engine.on(f"POST {NODES}", Answer(whole_node(), 201))
    ran = _init(rectl, "--source", SOURCE, "--file", "none/cdpm.yml")
    assert ran.code == 2
    assert "none/cdpm.yml: No such file or directory; the node exists now, so run the command again" in ran.err


def test_a_file_that_does_not_fit_on_the_disk_leaves_none_behind(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", page())
    engine.on(f"POST {NODES}", Answer(whole_node(), 201))
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        ran = _init(rectl, "--source", SOURCE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert ran.code == 2
    assert "run the command again" in ran.err
    assert not Path("cdpm.yml").exists()


def test_a_file_is_checked_without_an_engine(rectl: Rectl, engine: FakeEngine) -> None:
    Path("cdpm.yml").write_text(f"Pipeline-node:\n  public-key: {KEYS[0]}\n  url: https://re.example\n")
    ran = rectl("cdpm", "validate")
    assert (ran.code, ran.out, ran.err) == (0, "cdpm.yml: valid\n", "")
    Path("b.yml").write_text("Pipeline-node:\n  public-key: AAAA\n  url: ftp://x\n")
    ran = rectl("cdpm", "validate", "b.yml", "--remote")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("b.yml:3:3: /Pipeline-node/url: expected https://")
    Path("c.yml").write_bytes(b"Pipeline-node: \xff\n")
    found = rectl("cdpm", "validate", "c.yml", "--json")
    assert (found.code, json.loads(found.out)["valid"]) == (2, False)
    assert engine.asked == []


def test_the_files_of_peers_are_read_by_the_engine(rectl: Rectl, engine: FakeEngine) -> None:
    text = f"Pipeline-node:\n  public-key: {KEYS[0]}\n  url: https://re.example\n"
    Path("cdpm.yml").write_text(text)
    peers = [
        {"section": "Dependencies", "name": "a", "url": "u", "ok": True, "detail": "key 1"},
        {"section": "Dependents", "name": "b", "url": "u", "ok": False, "detail": "weak-key: 1024 bits"},
    ]
    answer = {"valid": True, "errors": [], "peers": peers}
    engine.on("POST /api/v1/cdpm/validate", Answer(answer))
    ran = rectl("cdpm", "validate", "--remote")
    assert engine.asked[-1].document == {"text": text, "remote": True}
    assert ran.code == 2
    assert ran.out == "cdpm.yml: valid\nDependencies/a: ok: key 1\nDependents/b: refused: weak-key: 1024 bits\n"
    assert json.loads(rectl("cdpm", "validate", "--remote", "--json").out) == answer


def test_documents_of_nodes_are_created_replaced_and_left_unchanged(rectl: Rectl, engine: FakeEngine) -> None:
    document = f"node: shop/lib\nsource: {SOURCE}\n"
    Path("node.yml").write_text(document)
    engine.on(f"GET {NODES}", page())
    engine.on(f"POST {NODES}", Answer(whole_node(version=1), 201))
    ran = rectl("cdpm", "apply", "node.yml")
    assert (ran.code, ran.out) == (0, f"shop/lib created: {ID}, version 1\n")
    assert "rectl cdpm init shop/lib" in ran.err
    assert engine.asked[-1].body.decode() == document
    engine.on(f"GET {NODES}", page(node_row()))
    engine.on(f"GET {NODES}/{ID}", Answer(whole_node()))
    engine.on(f"PUT {NODES}/{ID}", Answer(whole_node(version=4)), Answer(whole_node()))
    assert rectl("cdpm", "apply", "node.yml").out == f"shop/lib updated: {ID}, version 4\n"
    assert engine.asked[-1].headers["if-match"] == '"3"'
    assert json.loads(rectl("cdpm", "apply", "node.yml", "--json").out)[0]["done"] == "unchanged"


def test_errors_in_the_document_of_a_node_have_file_and_line(rectl: Rectl, engine: FakeEngine) -> None:
    Path("node.yml").write_text(f"node: shop/lib\nsource: {SOURCE}\n")
    engine.on(f"GET {NODES}", page())
    faults = [{"path": "/node", "message": "no", "line": 1, "column": 7}, {"path": "/source", "message": "not that"}]
    engine.on(f"POST {NODES}", problem(422, "no", errors=faults))
    ran = rectl("cdpm", "apply", "node.yml")
    assert ran.err == "rectl: node.yml:1:7: /node: no\nnode.yml:/source: not that\n"
    Path("node.yml").write_text("node: lib\n")
    assert rectl("cdpm", "apply", "node.yml").err == "rectl: node.yml: /node: expected group/name\n"


def test_what_the_engine_refuses_is_said_once_and_without_places_in_a_document_of_its_own(
    rectl: Rectl, engine: FakeEngine
) -> None:
    engine.on(f"GET {NODES}", page())
    fault = {"path": "/source", "message": "not that", "line": 1, "column": 24}
    engine.on(f"POST {NODES}", problem(422, "/source: not that", errors=[fault]))
    assert _init(rectl, "--source", SOURCE).err == "rectl: /source: not that\n"


def test_a_node_is_no_peer_of_itself(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", page())
    ran = _init(rectl, "--source", SOURCE, "--dependent", f"me={SOURCE}")
    assert (ran.code, engine.requests(f"POST {NODES}")) == (2, [])
    assert f"{SOURCE} is the file of shop/lib itself" in ran.err
