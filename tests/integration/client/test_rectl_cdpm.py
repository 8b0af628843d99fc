"""`rectl cdpm`: nodes are made, shown and operated; what is committed next is said, and nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from re_core.cdpm import public_key
from re_core.usecases.cdpm import files
from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine, problem

ID, OTHER = "01M8GASBK2BJV2GNVRMXTSD1BH", "01M8GASZ1379VM2FK0B0HFQS0R"
NODES = "/api/v1/cdpm/nodes"
SOURCE = "https://git.example/shop/raw/cdpm.yml"
TIME = "2025-01-02T03:04:05.000Z"

#: public halves of RSA keys that were made for these tests
KEYS = Path(__file__).with_name("public_keys.txt").read_text().split()


def _row(id: str = ID, name: str = "lib", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "group": "shop",
        "name": name,
        "source": SOURCE,
        "version": 3,
        "state": "ready",
        "dependencies": 2,
        "joined": 1,
        "dependents": 4,
        "release": 42,
        "release_state": "deployed",
        **changes,
    }


def _key(text: str) -> dict[str, str]:
    return {"kid": public_key.read(text).kid, "public_key": text, "created": TIME}


def _whole(**changes: Any) -> dict[str, Any]:
    return {
        **_row(),
        "created": TIME,
        "removed": None,
        "document": {"node": "shop/lib", "source": SOURCE},
        "keys": [_key(KEYS[0])],
        "candidates": [],
        "barred": [],
        **changes,
    }


def _list(*rows: dict[str, Any]) -> Answer:
    return Answer({"items": list(rows), "next": None})


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stored(engine: FakeEngine) -> FakeEngine:
    """An engine with two nodes."""
    engine.on(f"GET {NODES}", _list(_row(), _row(OTHER, "app", release=None, release_state=None, state="waiting")))
    return engine


def _init(rectl: Rectl, *more: str) -> Any:
    return rectl("cdpm", "init", "shop/lib", "--url", "https://re.example", *more)


def test_a_new_node_gets_a_file_that_is_valid_and_rectl_says_what_to_commit(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", _list())
    engine.on(f"POST {NODES}", Answer(_whole(), 201))
    peers = ("--dependency", "null=https://a.example/cdpm.yml", "--dependent", "b: c=https://b.example/cdpm.yml")
    ran = _init(rectl, "--source", SOURCE, *peers)
    assert (ran.code, ran.out) == (0, f"cdpm.yml: node shop/lib, {ID}, key {_key(KEYS[0])['kid']}\n")
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
    engine.on(f"GET {NODES}", _list())
    engine.on(f"POST {NODES}", Answer(_whole(), 201))
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
    engine.on(f"GET {NODES}", _list())
    ran = _init(rectl, *arguments)
    assert ran.code == 2
    assert words in ran.err
    assert not engine.requests(f"POST {NODES}")
    assert not Path("cdpm.yml").exists()


def test_the_file_of_a_node_that_exists_has_its_newest_key(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", _list(_row()))
    engine.on(f"GET {NODES}/{ID}", Answer(_whole(keys=[_key(KEYS[0]), _key(KEYS[1])])))
    assert _init(rectl).code == 0
    assert files.parse(Path("cdpm.yml").read_bytes()).key.text == KEYS[1]
    assert not engine.requests(f"POST {NODES}")
    other = _init(rectl, "--source", "https://x.example/cdpm.yml", "--file", "other.yml")
    assert other.code == 2
    assert f"its source is {SOURCE}, which never changes" in other.err


def test_a_directory_that_cannot_be_written_says_that_the_node_exists(rectl: Rectl, engine: FakeEngine) -> None:
    engine.on(f"GET {NODES}", _list())
    engine.on(f"POST {NODES}", Answer(_whole(), 201))
    ran = _init(rectl, "--source", SOURCE, "--file", "none/cdpm.yml")
    assert ran.code == 2
    assert "none/cdpm.yml: No such file or directory; the node exists now, so run the command again" in ran.err


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
    engine.on(f"GET {NODES}", _list())
    engine.on(f"POST {NODES}", Answer(_whole(version=1), 201))
    ran = rectl("cdpm", "apply", "node.yml")
    assert (ran.code, ran.out) == (0, f"shop/lib created: {ID}, version 1\n")
    assert "rectl cdpm init shop/lib" in ran.err
    assert engine.asked[-1].body.decode() == document
    engine.on(f"GET {NODES}", _list(_row()))
    engine.on(f"GET {NODES}/{ID}", Answer(_whole()))
    engine.on(f"PUT {NODES}/{ID}", Answer(_whole(version=4)), Answer(_whole()))
    assert rectl("cdpm", "apply", "node.yml").out == f"shop/lib updated: {ID}, version 4\n"
    assert engine.asked[-1].headers["if-match"] == '"3"'
    assert json.loads(rectl("cdpm", "apply", "node.yml", "--json").out)[0]["done"] == "unchanged"


def test_errors_in_the_document_of_a_node_have_file_and_line(rectl: Rectl, engine: FakeEngine) -> None:
    Path("node.yml").write_text(f"node: shop/lib\nsource: {SOURCE}\n")
    engine.on(f"GET {NODES}", _list())
    faults = [{"path": "/node", "message": "no", "line": 1, "column": 7}, {"path": "/source", "message": "not that"}]
    engine.on(f"POST {NODES}", problem(422, "no", errors=faults))
    ran = rectl("cdpm", "apply", "node.yml")
    assert ran.err == "rectl: node.yml:1:7: /node: no\nnode.yml:/source: not that\n"
    Path("node.yml").write_text("node: lib\n")
    assert rectl("cdpm", "apply", "node.yml").err == "rectl: node.yml: /node: expected group/name\n"


def test_nodes_are_listed_and_found_by_name_part_of_id_and_last(rectl: Rectl, stored: FakeEngine) -> None:
    head, first, second = rectl("cdpm", "nodes").out.splitlines()
    assert head.split() == ["ID", "NODE", "STATE", "JOINED", "DEPENDENTS", "RELEASE", "SOURCE"]
    assert first.split() == [ID, "shop/lib", "ready", "1/2", "4", "42", "deployed", SOURCE]
    assert second.split() == [OTHER, "shop/app", "waiting", "1/2", "4", SOURCE]
    stored.on(f"GET {NODES}/{ID}", Answer(_whole()))
    stored.on(f"GET {NODES}/{OTHER}", Answer(_whole(name="app")))
    assert rectl("cdpm", "show", "shop/lib").err == ""
    assert rectl("cdpm", "show", ID).err == ""
    assert rectl("cdpm", "show", ID[-5:]).err == f"{ID[-5:]} is shop/lib, {ID}\n"
    assert rectl("cdpm", "show", "@last").err == f"@last is shop/app, {OTHER}\n"
    assert "2 pipeline nodes match '01M8GAS'" in rectl("cdpm", "show", "01M8GAS").err
    assert "did you mean 'shop/lib'" in rectl("cdpm", "show", "lib").err
    assert "`rectl cdpm nodes` lists them" in rectl("cdpm", "show", "zzzzzz").err
    stored.on(f"GET {NODES}", _list())
    assert "rectl cdpm init GROUP/NAME" in rectl("cdpm", "nodes").err
    assert "there are no pipeline nodes" in rectl("cdpm", "show", "@last").err


def test_a_node_is_shown_with_its_keys_or_as_the_document_that_apply_takes(rectl: Rectl, stored: FakeEngine) -> None:
    candidate = {"deployment": "01D", "state": "testing", "since": TIME}
    whole = _whole(candidates=[candidate], barred=["https://b.example/cdpm.yml"], source="https://x\x1b[31m")
    stored.on(f"GET {NODES}/{ID}", Answer(whole))
    out = rectl("cdpm", "show", "shop/lib").out
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert lines["state"] == "ready"
    assert lines["dependencies"] == "2, subscribed to 1"
    assert lines["release"] == "42 deployed"
    assert lines["candidate"].startswith("01D testing, since 2025-01-0")
    assert lines["barred"] == "https://b.example/cdpm.yml"
    assert lines["key"].startswith(_key(KEYS[0])["kid"])
    assert "\x1b" not in out
    assert json.loads(rectl("cdpm", "show", "shop/lib", "--json").out) == whole
    stored.on(f"GET {NODES}/{ID}", Answer(b"node: shop/lib\n", 200, {"content-type": "application/yaml"}))
    assert rectl("cdpm", "show", "shop/lib", "--document").out == "node: shop/lib\n"
    assert stored.asked[-1].headers["accept"] == "application/yaml"
    assert rectl("cdpm", "show", "shop/lib", "--document", "--json").code == 2


def _dependency(**changes: Any) -> dict[str, Any]:
    return {
        "name": "nokogiri",
        "url": "https://n.example/cdpm.yml",
        "state": "initial",
        "subscription": None,
        "ref": None,
        "since": None,
        "left": False,
        "why": "",
        "stability": "initial",
        "trial": None,
        "waiting": 0,
        "votes": 0,
        **changes,
    }


def _dependent(**changes: Any) -> dict[str, Any]:
    return {
        "name": "rails",
        "url": "https://r.example/cdpm.yml",
        "subscription": None,
        "ref_type": None,
        "ref": None,
        "since": None,
        "major": True,
        "barred": False,
        "connected": None,
        "delivered": None,
        "behind": 0,
        **changes,
    }


def test_subscriptions_of_both_directions_say_what_is_delivered_and_what_went_wrong(
    rectl: Rectl, stored: FakeEngine
) -> None:
    at = f"{NODES}/{ID}/subscriptions"
    building = {"state": "building", "ref": "master", "since": TIME, "trial": "01T", "waiting": 2, "votes": 1}
    document = {
        "dependencies": [
            _dependency(why="unknown-ref: it offers v_3.2"),
            _dependency(**building, stability="vote_stable"),
            _dependency(left=True),
        ],
        "dependents": [
            _dependent(subscription="s", ref="master", since=TIME, delivered=41, behind=1, connected=TIME),
            _dependent(name="", barred=True, major=False),
            _dependent(),
        ],
    }
    stored.on(f"GET {at}", Answer(document))
    lines = [" ".join(line.split()) for line in rectl("cdpm", "subscriptions", "shop/lib").out.splitlines()]
    assert lines == [
        "ROLE NAME STATE REF SINCE DETAIL",
        "dependency nokogiri initial unknown-ref: it offers v_3.2",
        "dependency nokogiri building master 2025-01-02 builds 01T, 2 releases wait, 1 vote not answered, vote_stable",
        "dependency nokogiri left",
        "dependent rails subscribed master 2025-01-02 major, release 41 delivered, 1 behind, connected 2025-01-02",
        "dependent https://r.example/cdpm.yml barred",
        "dependent rails not subscribed major",
    ]
    assert json.loads(rectl("cdpm", "subscriptions", "shop/lib", "--json").out) == document
    stored.on(f"GET {at}", Answer({"dependencies": [], "dependents": []}))
    assert "may not have read it yet" in rectl("cdpm", "subscriptions", "shop/lib").err


def _release(**changes: Any) -> dict[str, Any]:
    return {
        "release": 42,
        "state": "deployed",
        "undecided": False,
        "version": "1.8.2",
        "ref": "master",
        "created": TIME,
        "deployment": "01D",
        "majors": 3,
        "stable": 1,
        "unstable": 1,
        "deadline": TIME,
        **changes,
    }


def test_releases_are_listed_with_their_votes(rectl: Rectl, stored: FakeEngine) -> None:
    stored.on(f"GET {NODES}/{ID}/releases", _list(_release(undecided=True), _release(deployment=None, deadline=None)))
    _, first, second = rectl("cdpm", "releases", "shop/lib").out.splitlines()
    assert first.split() == [
        *("42", "deployed,", "undecided", "1.8.2", "1/3", "1", "2025-01-02", "2025-01-02", "master", "01D")
    ]
    assert second.split() == ["42", "deployed", "1.8.2", "1/3", "1", "2025-01-02", "master", "published"]


def _with_votes(**changes: Any) -> dict[str, Any]:
    def voter(name: str) -> dict[str, str]:
        return {"subscription": f"s-{name}", "name": name, "url": f"https://{name}.example/cdpm.yml"}

    vote = {"counts": True, "deployment": "01V", "voted": TIME}
    return {
        **_release(),
        "votes": [
            {**voter("rails"), "value": "stable", **vote},
            {**voter("hulu"), "value": "unstable", **vote, "counts": False},
        ],
        "missing": [voter("late")],
        "rule": {"promote": "2 of majors", "demote": 1, "within": "24h"},
        "reactions": [
            {
                "deployment": "01R",
                "state": "refused",
                "status": None,
                "why": "a freeze",
                "asked": TIME,
                "verdict": "promoted",
            }
        ],
        "document": {},
        **changes,
    }


def test_votes_say_who_voted_what_and_who_has_not_and_what_followed(rectl: Rectl, stored: FakeEngine) -> None:
    stored.on(f"GET {NODES}/{ID}/releases/42", Answer(_with_votes()))
    out = rectl("cdpm", "votes", "shop/lib").out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "release 42 of shop/lib, version 1.8.2: deployed"
    assert lines[1].endswith("by deployment 01D")
    assert lines[2] == "rule: 2 of majors stable: promoted, 1 unstable: demoted"
    assert lines[3].startswith("votes count until 2025-01-0")
    assert lines[4:] == [
        "NAME VOTE VOTED DEPLOYMENT URL",
        "rails stable 2025-01-02 01V https://rails.example/cdpm.yml",
        "hulu unstable (does not count) 2025-01-02 01V https://hulu.example/cdpm.yml",
        "late none https://late.example/cdpm.yml",
        "promoted: deployment 01R refused: a freeze",
    ]
    assert json.loads(rectl("cdpm", "votes", "shop/lib", "42", "--json").out) == _with_votes()
    none = _with_votes(votes=[], missing=[], reactions=[], deployment=None, deadline=None)
    none["rule"] = {"promote": None, "demote": None, "within": None}
    stored.on(f"GET {NODES}/{ID}/releases/7", Answer(none))
    ran = rectl("cdpm", "votes", "shop/lib", "7")
    assert "by an operator\nrule: no votes promote it, no votes demote it\n" in ran.out
    assert "named no major dependent" in ran.err
    assert rectl("cdpm", "votes", "shop/app").err == "rectl: shop/app has no releases\n"


def test_builds_of_received_releases_are_listed_with_the_votes_that_they_became(
    rectl: Rectl, stored: FakeEngine
) -> None:
    trial = {
        "deployment": "01T",
        "state": "ended",
        "status": "failed",
        "why": "",
        "asked": TIME,
        "dependency": "nokogiri",
        "url": "https://n.example/cdpm.yml",
        "release": "r-1",
        "created": "2025",
        "major": True,
        "vote": "unstable",
        "answer": "200",
    }
    waits = {**trial, "state": "postponed", "status": None, "vote": None, "answer": None, "why": "it is exclusive"}
    stored.on(f"GET {NODES}/{ID}/trials", _list(trial, waits))
    _, first, second = rectl("cdpm", "trials", "shop/lib").out.splitlines()
    assert " ".join(first.split()) == "nokogiri r-1 failed unstable 2025-01-02 01T answer to the vote: 200"
    assert " ".join(second.split()) == "nokogiri r-1 postponed 2025-01-02 01T it is exclusive"


def test_received_releases_are_listed_with_why_one_is_not_built(rectl: Rectl, stored: FakeEngine) -> None:
    one = {
        "dependency": "nokogiri",
        "release": 41,
        "created": "2025",
        "version": "1.8",
        "ref": "master",
        "major": True,
        "received": TIME,
        "skipped": "its version does not fit",
    }
    stored.on(f"GET {NODES}/{ID}/received", _list(one, {**one, "release": 40, "skipped": ""}))
    head, first, second = rectl("cdpm", "received", "shop/lib").out.splitlines()
    assert head.endswith("NOT BUILT BECAUSE")
    assert " ".join(first.split()) == "nokogiri 41 1.8 master 2025-01-02 its version does not fit"
    assert " ".join(second.split()) == "nokogiri 40 1.8 master 2025-01-02"
    assert json.loads(rectl("cdpm", "received", "shop/lib", "--json").out)[0] == one


def test_dependencies_are_left_and_subscribed_to_again(rectl: Rectl, stored: FakeEngine) -> None:
    for verb in ("subscribe", "unsubscribe"):
        stored.on(f"POST {NODES}/{ID}/{verb}", Answer({"dependencies": [_dependency(name="a b")], "dependents": []}))
    assert rectl("cdpm", "unsubscribe", "shop/lib", "a b").err == "shop/lib has left a b\n"
    assert stored.asked[-1].document == {"dependency": "a b"}
    assert rectl("cdpm", "subscribe", "shop/lib", "a b").err == "shop/lib: a b is to be subscribed to\n"
    refused = problem(404, "the node's cdpm.yml names no dependency 'x'")
    stored.on(f"POST {NODES}/{ID}/subscribe", refused)
    ran = rectl("cdpm", "subscribe", "shop/lib", "x")
    assert (ran.code, ran.err) == (2, "rectl: the node's cdpm.yml names no dependency 'x'\n")


def test_a_peer_is_barred_and_may_subscribe_again(rectl: Rectl, stored: FakeEngine) -> None:
    stored.on(f"POST {NODES}/{ID}/bar", Answer({"dependencies": [], "dependents": []}))
    url = "https://r.example/cdpm.yml"
    assert rectl("cdpm", "bar", "shop/lib", url).err == f"shop/lib: {url} is barred\n"
    assert stored.asked[-1].document == {"url": url, "barred": True}
    assert rectl("cdpm", "bar", "shop/lib", url, "--lift").err == f"shop/lib: {url} may subscribe again\n"
    assert stored.asked[-1].document == {"url": url, "barred": False}


def test_a_release_is_published_once_though_the_answer_stays_away(rectl: Rectl, stored: FakeEngine) -> None:
    at = f"POST {NODES}/{ID}/publish"
    stored.on(at, problem(503, "no core"), Answer(_with_votes(), 201))
    ran = rectl("cdpm", "publish", "shop/lib", "--set", "version=1.8.2", "--set", "ref=master")
    assert (ran.code, ran.out) == (0, "release 42 of shop/lib is published\n")
    assert "rectl cdpm votes shop/lib 42" in ran.err
    first, second = stored.requests(at)
    assert first.document == {"dynamic": {"version": "1.8.2", "ref": "master"}}
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_the_next_public_key_is_printed_alone_with_where_it_belongs(rectl: Rectl, stored: FakeEngine) -> None:
    at = f"POST {NODES}/{ID}/rotate"
    stored.on(at, Answer(_key(KEYS[1]), 201))
    ran = rectl("cdpm", "rotate", "shop/lib")
    assert (ran.code, ran.out) == (0, f"{KEYS[1]}\n")
    assert f"write it as public-key into {SOURCE}" in ran.err
    assert stored.asked[-1].document == {"another": False}
    assert json.loads(rectl("cdpm", "rotate", "shop/lib", "--another", "--json").out) == _key(KEYS[1])
    assert stored.asked[-1].document == {"another": True}


def test_the_engine_reads_the_file_of_a_node_at_once(rectl: Rectl, stored: FakeEngine) -> None:
    stored.on(f"POST {NODES}/{ID}/refresh", Answer(_whole()))
    ran = rectl("cdpm", "refresh", "shop/lib")
    assert ran.out == "shop/lib is ready: 2 dependencies, 4 subscriptions of others\n"
    assert json.loads(rectl("cdpm", "refresh", "shop/lib", "--json").out) == _whole()


def test_a_node_is_removed_only_as_it_was_seen_and_after_a_yes(rectl: Rectl, stored: FakeEngine) -> None:
    stored.on(f"DELETE {NODES}/{ID}", Answer(None, 204))
    assert "use --yes to confirm" in rectl("cdpm", "remove", "shop/lib").err
    assert not stored.requests(f"DELETE {NODES}/{ID}")
    assert rectl("cdpm", "remove", "shop/lib", "--yes").err == "shop/lib is removed\n"
    assert stored.asked[-1].headers["if-match"] == '"3"'
