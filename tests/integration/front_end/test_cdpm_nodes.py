"""Pipeline nodes over HTTP, with a real core behind the front end: stored, shown, given keys, removed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from re_core.cdpm import public_key
from re_core.cdpm.ids import pipeline_key
from re_core.deployment.records import Entry, Void
from re_core.ports import Append, Appended
from re_core.rows import PipelineRow
from re_core.usecases.cdpm import names, nodes
from re_core.usecases.ids import new_id
from tests.integration.front_end.node_harness import NODE, URL, NodeHarness

NAMES = ("release_id", "cdpm_chain")


def _wants(*names: str) -> dict[str, Any]:
    """Execution of a playbook that needs these values."""
    steps = [{"noop:First": {"dynamic": list(names)}}]
    return {"execution": [{"hosts": ["one"], "steps": steps}]}


def test_a_node_is_stored_with_a_key_pair_of_which_the_private_half_is_in_no_answer(nodes_here: NodeHarness) -> None:
    made = nodes_here.create()
    assert (made["group"], made["name"], made["version"], made["state"]) == ("ours", "own", 1, "waiting")
    [key] = made["keys"]
    assert public_key.read(key["public_key"]).kid == key["kid"]
    assert public_key.read(key["public_key"]).bits >= 3072
    assert set(key) == {"kid", "public_key", "created"}
    assert nodes_here.get(made["id"]) == made
    [stored] = nodes_here.store.keys(made["id"])
    assert b"PRIVATE" not in stored.sealed


def test_the_engine_has_the_document_and_the_ids_of_the_playbooks_that_it_names(nodes_here: NodeHarness) -> None:
    nodes_here.playbook("try", name="try", **_wants(*NAMES))
    nodes_here.playbook("next", name="next", **_wants("verdict"))
    made = nodes_here.create(trials={"playbook": "ours/try"}, on={"promoted": "ours/next"}, promote={"stable": 1})
    state = nodes_here.state(made["id"])
    assert state.playbooks == {"ours/try": "try", "ours/next": "next"}
    assert (state.group, state.name, state.source, state.configured) == ("ours", "own", nodes_here.source(), 1)
    assert [row.id for row in nodes_here.store.pipelines_of_playbook("next")] == [made["id"]]


def test_a_document_may_be_yaml_and_its_errors_have_lines(nodes_here: NodeHarness) -> None:
    text = f"node: ours/own\nsource: {nodes_here.source()}\npromote:\n  stable: most of them\n"
    headers = {"Content-Type": "application/yaml"}
    wrong = nodes_here.call("POST", URL, data=text, headers=headers)
    assert wrong.status_code == 422
    [error] = wrong.json["errors"]
    assert (error["path"], error["line"]) == ("/promote/stable", 4)
    assert "`2 of majors`" in error["message"]
    made = nodes_here.call("POST", URL, data=text.replace("most of them", "all of majors"), headers=headers)
    assert made.status_code == 201
    shown = nodes_here.call("GET", made.headers["Location"], headers={"Accept": "application/yaml"})
    assert "stable: all of majors" in shown.text


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"trials": {"playbook": "ours/none"}}, "/trials/playbook", "there is no playbook"),
        ({"trials": {"playbook": "theirs/try"}}, "/trials/playbook", "not of the node's group"),
        ({"on": {"demoted": "ours/none"}}, "/on/demoted", "there is no playbook"),
        ({"on": {"undecided": "ours/none"}}, "/on/undecided", "without `promote: within`"),
        ({"refs": [{"ref_type": "branch", "ref": "m"}] * 2}, "/refs/1", "twice"),
        ({"trials": {"plabook": "ours/try"}}, "/trials/plabook", "playbook"),
        ({"promote": {"stable": 0}}, "/promote/stable", "from 1"),
        ({"source": "https://u:p@x.example/cdpm.yml"}, "/source", "without user and password"),
        ({"node": "own"}, "/node", "group/name"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_where_it_is_said(
    nodes_here: NodeHarness, changes: dict[str, Any], path: str, words: str
) -> None:
    answer = nodes_here.post(**changes)
    assert answer.status_code == 422, answer.text
    errors = {error["path"]: error["message"] for error in answer.json["errors"]}
    assert words in errors[path]
    assert nodes_here.store.pipelines() == []


@pytest.mark.parametrize(("part", "given"), [("trials", "release_id"), ("on", "verdict")])
def test_a_playbook_that_needs_a_value_which_it_is_not_given_is_refused(
    nodes_here: NodeHarness, part: str, given: str
) -> None:
    nodes_here.playbook("try", name="try", **_wants(given, "host"))
    document = {"trials": {"playbook": "ours/try"}} if part == "trials" else {"on": {"demoted": "ours/try"}}
    answer = nodes_here.post(**document)
    assert answer.status_code == 422
    [error] = answer.json["errors"]
    assert "needs host, which it is not given" in error["message"]
    nodes_here.playbook("release", name="release", **_wants("host"))
    nodes_here.create(release={"playbook": "ours/release"})


def test_a_name_and_a_source_are_one_node_s(nodes_here: NodeHarness) -> None:
    first = nodes_here.create()
    same_name = nodes_here.post(source=nodes_here.source("other"))
    assert same_name.status_code == 409
    assert first["id"] in same_name.json["detail"]
    same_source = nodes_here.post(node="ours/other")
    assert same_source.status_code == 409
    assert "a cdpm.yml of its own" in same_source.json["detail"]
    nodes_here.create(node="ours/other", source=nodes_here.source("other"))


def test_of_many_that_create_one_node_at_once_one_succeeds(nodes_here: NodeHarness) -> None:
    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(lambda _: nodes_here.post().status_code, range(6)))
    assert statuses == [201, 409, 409, 409, 409, 409]
    assert len(nodes_here.listed()) == 1


def test_a_repetition_with_its_key_is_the_same_node_with_the_same_key_pair(nodes_here: NodeHarness) -> None:
    headers = {"Idempotency-Key": "k1"}
    first, again = (nodes_here.call("POST", URL, json=nodes_here.document(), headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    other = nodes_here.call("POST", URL, json=nodes_here.document(demote={"unstable": 1}), headers=headers)
    assert other.status_code == 422


def test_a_document_is_replaced_under_its_version_and_an_equal_one_changes_nothing(nodes_here: NodeHarness) -> None:
    made = nodes_here.create()
    address = f"{URL}/{made['id']}"
    changed = nodes_here.document(demote={"unstable": 2})
    put = nodes_here.call("PUT", address, json=changed, headers={"If-Match": '"1"'})
    assert (put.status_code, put.json["version"], put.headers["ETag"]) == (200, 2, '"2"')
    assert nodes_here.state(made["id"]).document == changed
    assert nodes_here.call("PUT", address, json=changed).json["version"] == 2
    late = nodes_here.call("PUT", address, json=nodes_here.document(), headers={"If-Match": '"1"'})
    assert late.status_code == 412
    assert "version is now 2" in late.json["detail"]


@pytest.mark.parametrize("changes", [{"node": "ours/new"}, {"source": "https://x.example/cdpm.yml"}])
def test_name_and_source_of_a_node_never_change(nodes_here: NodeHarness, changes: dict[str, Any]) -> None:
    made = nodes_here.create()
    answer = nodes_here.call("PUT", f"{URL}/{made['id']}", json=nodes_here.document(**changes))
    assert answer.status_code == 422
    assert "never changes" in answer.json["errors"][0]["message"]


def test_a_node_that_the_engine_did_not_confirm_is_registering_until_its_document_comes_again(
    nodes_here: NodeHarness,
) -> None:
    made = nodes_here.create()
    [row] = nodes_here.store.pipelines()
    assert nodes_here.store.save_pipeline(row._replace(version=2))  # as a front end does that dies before it asks
    assert nodes_here.get(made["id"])["state"] == "registering"
    again = nodes_here.call("PUT", f"{URL}/{made['id']}", json=nodes_here.document())
    assert (again.json["version"], again.json["state"]) == (2, "waiting")


def test_a_removed_node_is_listed_no_more_and_its_name_and_source_are_free(nodes_here: NodeHarness) -> None:
    made = nodes_here.create()
    address = f"{URL}/{made['id']}"
    assert nodes_here.call("DELETE", address, headers={"If-Match": '"7"'}).status_code == 412
    assert nodes_here.call("DELETE", address).status_code == 204
    assert nodes_here.call("DELETE", address).status_code == 204
    assert nodes_here.listed() == []
    shown = nodes_here.get(made["id"])
    assert (shown["state"], shown["document"], shown["removed"] is not None) == ("removed", {}, True)
    assert nodes_here.call("PUT", address, json=nodes_here.document()).status_code == 409
    assert nodes_here.call("POST", f"{address}/rotate").status_code == 409
    assert nodes_here.store.keys(made["id"])  # they sign that it leaves its dependencies
    again = nodes_here.create()
    assert again["id"] != made["id"]
    assert nodes_here.store.keys(made["id"]) == []
    assert nodes_here.store.entries(pipeline_key(made["id"])) == []


def test_removed_nodes_are_forgotten_after_a_week_when_another_is_created(
    nodes_here: NodeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = nodes_here.create()
    assert nodes_here.call("DELETE", f"{URL}/{made['id']}").status_code == 204
    nodes_here.create(node="ours/b", source=nodes_here.source("b"))
    assert nodes_here.store.pipeline(made["id"]) is not None
    monkeypatch.setattr(nodes, "KEPT", -1_000)
    nodes_here.create(node="ours/c", source=nodes_here.source("c"))
    assert nodes_here.store.pipeline(made["id"]) is None
    assert nodes_here.store.keys(made["id"]) == []
    assert nodes_here.store.entries(pipeline_key(made["id"])) == []
    assert [one["name"] for one in nodes_here.listed()] == ["b", "c"]


def test_a_node_whose_journal_cannot_be_read_is_listed_as_that_beside_all_others(nodes_here: NodeHarness) -> None:
    for name in ("a", "b"):
        nodes_here.create(node=f"ours/{name}", source=nodes_here.source(name))
    broken = new_id()
    row = PipelineRow(broken, "ours", "aa", nodes_here.source("aa"), 1, {"node": "ours/aa"})
    assert nodes_here.store.save_pipeline(row)
    entry = Entry(pipeline_key(broken), 1, 1, "another", (Void("of a deployment"),))
    assert nodes_here.store.append([Append(entry)]) == [Appended.STORED]
    assert [(one["name"], one["state"]) for one in nodes_here.listed()] == [
        ("a", "waiting"),
        ("aa", "unreadable"),
        ("b", "waiting"),
    ]
    [shown] = nodes_here.listed("?name=aa")
    assert (shown["id"], shown["dependencies"], shown["release"]) == (broken, 0, None)


def test_nodes_are_listed_by_group_and_name_page_by_page(nodes_here: NodeHarness) -> None:
    for name in ("ours-b/x", "ours/b", "ours/a", "theirs/a"):
        nodes_here.create(node=name, source=nodes_here.source(name.replace("/", "-")))
    found, cursor = [], ""
    for _ in range(5):
        page = nodes_here.call("GET", f"{URL}?limit=1&cursor={cursor}").json
        found += [f"{one['group']}/{one['name']}" for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == ["ours/a", "ours/b", "ours-b/x", "theirs/a"]
    assert [one["name"] for one in nodes_here.listed("?group=ours&name=b")] == ["b"]
    mine = nodes_here.call("GET", URL, nodes_here.theirs).json["items"]
    assert [one["group"] for one in mine] == ["theirs"]


def test_the_number_of_nodes_has_a_bound(nodes_here: NodeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MOST_NODES", 1)
    nodes_here.create()
    answer = nodes_here.post(node="ours/other", source=nodes_here.source("other"))
    assert answer.status_code == 409
    assert "remove some" in answer.json["detail"]


def test_a_name_that_a_dead_process_took_is_given_to_the_next_one(
    nodes_here: NodeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = nodes_here.clock.now()
    assert names.take(nodes_here.store, "ours", "own", "dead", now) == "dead"
    assert nodes_here.post().status_code == 409
    monkeypatch.setattr(names, "ABANDONED", -1)
    nodes_here.create()


def test_a_rotation_gives_the_next_key_once_and_forgets_what_is_older_than_the_committed_one(
    nodes_here: NodeHarness,
) -> None:
    made = nodes_here.create()
    [first] = made["keys"]
    address = f"{URL}/{made['id']}"
    waiting = nodes_here.call("POST", f"{address}/rotate")
    assert (waiting.status_code, waiting.json["kid"]) == (201, first["kid"])  # it was never committed
    nodes_here.commit(first["public_key"])
    second = nodes_here.call("POST", f"{address}/rotate").json
    assert second["kid"] != first["kid"]
    assert nodes_here.call("POST", f"{address}/rotate").json == second
    nodes_here.commit(second["public_key"])
    third = nodes_here.call("POST", f"{address}/rotate").json
    assert [key["kid"] for key in nodes_here.get(made["id"])["keys"]] == [second["kid"], third["kid"]]
    another = nodes_here.call("POST", f"{address}/rotate", json={"another": True}).json
    kept = [key["kid"] for key in nodes_here.get(made["id"])["keys"]]
    assert kept == [second["kid"], third["kid"], another["kid"]]


def test_a_refresh_reads_the_node_s_file_now_and_makes_it_ready(nodes_here: NodeHarness) -> None:
    made = nodes_here.create()
    address = f"{URL}/{made['id']}/refresh"
    missing = nodes_here.call("POST", address)
    assert (missing.status_code, nodes_here.get(made["id"])["state"]) == (409, "waiting")
    public = made["keys"][0]["public_key"]
    more = "Dependents:\n  a: {url: 'https://a.example/cdpm.yml'}\n  b: {url: 'https://b.example/cdpm.yml', major: false}\n"
    nodes_here.commit(public, more=more)
    read = nodes_here.call("POST", address)
    assert (read.status_code, read.json["state"]) == (200, "ready")
    assert nodes_here.state(made["id"]).majors == ("https://a.example/cdpm.yml",)
    assert [one["name"] for one in nodes_here.call("GET", f"{URL}/{made['id']}/subscriptions").json["dependents"]] == [
        "a",
        "b",
    ]


def test_a_file_with_another_key_is_refused_with_what_to_do(nodes_here: NodeHarness) -> None:
    made = nodes_here.create()
    other = nodes_here.create(node="ours/other", source=nodes_here.source("other"))
    nodes_here.commit(other["keys"][0]["public_key"])
    refused = nodes_here.call("POST", f"{URL}/{made['id']}/refresh")
    assert refused.status_code == 409
    assert "none of this pipeline's" in refused.json["detail"]
    nodes_here.commit("AAAA")
    refused = nodes_here.call("POST", f"{URL}/{made['id']}/refresh")
    assert (refused.status_code, "line 2:" in refused.json["detail"]) == (409, True)


def test_without_its_setting_the_engine_has_no_nodes_and_says_why(nodes_here: NodeHarness) -> None:
    nodes_here.switch_off()
    answer = nodes_here.post()
    assert answer.status_code == 409
    assert "RE_CDPM is off" in answer.json["detail"]
    assert nodes_here.listed() == []


def test_no_node_is_stored_by_who_may_only_author_or_only_deploy(
    nodes_here: NodeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role, missing in (("author", "deploy"), ("operator", "author")):
        nodes_here.become(monkeypatch, role)
        answer = nodes_here.post()
        assert answer.status_code == 403
        assert f"no right `{missing}`" in answer.json["detail"]


@pytest.mark.parametrize("id", ["none", "x" * 200, "a b"])
def test_a_node_that_is_not_there_is_not_found(nodes_here: NodeHarness, id: str) -> None:
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("POST", "/rotate")):
        answer = nodes_here.call(method, f"{URL}/{id}{path}", json=NODE if method == "PUT" else {})
        assert answer.status_code == 404
        assert pipeline_key("")[:8] not in answer.json["detail"]


@pytest.fixture
def nodes_here(tmp_path: Any, routes: Any) -> Iterator[NodeHarness]:
    made = NodeHarness(tmp_path, routes)
    yield made
    made.close()
