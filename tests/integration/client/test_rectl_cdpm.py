"""`rectl cdpm`: nodes are shown with their subscriptions, releases and votes, and operated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine, problem
from tests.integration.client.nodes import ID, KEYS, NODES, OTHER, SOURCE, TIME, node_key, node_row, page, whole_node


@pytest.fixture
def stored(engine: FakeEngine) -> FakeEngine:
    """An engine with two nodes."""
    engine.on(
        f"GET {NODES}", page(node_row(), node_row(OTHER, "app", release=None, release_state=None, state="waiting"))
    )
    return engine


def test_nodes_are_listed_and_found_by_name_part_of_id_and_last(rectl: Rectl, stored: FakeEngine) -> None:
    head, first, second = rectl("cdpm", "nodes").out.splitlines()
    assert head.split() == ["ID", "NODE", "STATE", "JOINED", "DEPENDENTS", "RELEASE", "SOURCE"]
    assert first.split() == [ID, "shop/lib", "ready", "1/2", "4", "42", "deployed", SOURCE]
    assert second.split() == [OTHER, "shop/app", "waiting", "1/2", "4", SOURCE]
    stored.on(f"GET {NODES}/{ID}", Answer(whole_node()))
    stored.on(f"GET {NODES}/{OTHER}", Answer(whole_node(name="app")))
    assert rectl("cdpm", "show", "shop/lib").err == ""
    assert rectl("cdpm", "show", ID).err == ""
    assert rectl("cdpm", "show", ID[-5:]).err == f"{ID[-5:]} is shop/lib, {ID}\n"
    assert rectl("cdpm", "show", "@last").err == f"@last is shop/app, {OTHER}\n"
    assert "2 pipeline nodes match '01M8GAS'" in rectl("cdpm", "show", "01M8GAS").err
    assert "did you mean 'shop/lib'" in rectl("cdpm", "show", "lib").err
    assert "`rectl cdpm nodes` lists them" in rectl("cdpm", "show", "zzzzzz").err
    stored.on(f"GET {NODES}", page())
    assert "rectl cdpm init GROUP/NAME" in rectl("cdpm", "nodes").err
    assert "there are no pipeline nodes" in rectl("cdpm", "show", "@last").err


def test_a_node_is_shown_with_its_keys_or_as_the_document_that_apply_takes(rectl: Rectl, stored: FakeEngine) -> None:
    candidate = {"deployment": "01D", "state": "testing", "since": TIME}
    whole = whole_node(candidates=[candidate], barred=["https://b.example/cdpm.yml"], source="https://x\x1b[31m")
    stored.on(f"GET {NODES}/{ID}", Answer(whole))
    out = rectl("cdpm", "show", "shop/lib").out
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert lines["state"] == "ready"
    assert lines["dependencies"] == "2, subscribed to 1"
    assert lines["release"] == "42 deployed"
    assert lines["candidate"].startswith("01D testing, since 2025-01-0")
    assert lines["barred"] == "https://b.example/cdpm.yml"
    assert lines["key"].startswith(node_key(KEYS[0])["kid"])
    assert "\x1b" not in out
    assert json.loads(rectl("cdpm", "show", "shop/lib", "--json").out) == whole
    stored.on(f"GET {NODES}/{ID}", Answer(b"node: shop/lib\n", 200, {"content-type": "application/yaml"}))
    assert rectl("cdpm", "show", "shop/lib", "--document").out == "node: shop/lib\n"
    assert stored.asked[-1].headers["accept"] == "application/yaml"
    assert rectl("cdpm", "show", "shop/lib", "--document", "--json").code == 2
    stored.on(f"GET {NODES}/{ID}", Answer(whole_node(state="waiting")))
    assert "to read it now: rectl cdpm refresh shop/lib" in rectl("cdpm", "show", "shop/lib").out


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
        "dependency nokogiri building master 2025-01-02 builds 01T, 2 releases wait, 1 vote not answered, last vote stable",
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
    stored.on(f"GET {NODES}/{ID}/releases", page(_release(undecided=True), _release(deployment=None, deadline=None)))
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
    stored.on(f"GET {NODES}/{ID}/trials", page(trial, waits))
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
    stored.on(f"GET {NODES}/{ID}/received", page(one, {**one, "release": 40, "skipped": ""}))
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
    stored.on(at, Answer(node_key(KEYS[1]), 201))
    ran = rectl("cdpm", "rotate", "shop/lib")
    assert (ran.code, ran.out) == (0, f"{KEYS[1]}\n")
    assert f"write it as public-key into {SOURCE}" in ran.err
    assert stored.asked[-1].document == {"another": False}
    assert json.loads(rectl("cdpm", "rotate", "shop/lib", "--another", "--json").out) == node_key(KEYS[1])
    assert stored.asked[-1].document == {"another": True}


def test_the_engine_reads_the_file_of_a_node_at_once(rectl: Rectl, stored: FakeEngine) -> None:
    stored.on(f"POST {NODES}/{ID}/refresh", Answer(whole_node()))
    ran = rectl("cdpm", "refresh", "shop/lib")
    assert ran.out == "shop/lib is ready: 2 dependencies, subscriptions of others: 4\n"
    assert json.loads(rectl("cdpm", "refresh", "shop/lib", "--json").out) == whole_node()


def test_a_node_is_removed_only_as_it_was_seen_and_after_a_yes(rectl: Rectl, stored: FakeEngine) -> None:
    stored.on(f"DELETE {NODES}/{ID}", Answer(None, 204))
    assert "use --yes to confirm" in rectl("cdpm", "remove", "shop/lib").err
    assert not stored.requests(f"DELETE {NODES}/{ID}")
    assert rectl("cdpm", "remove", "shop/lib", "--yes").err == "shop/lib is removed\n"
    assert stored.asked[-1].headers["if-match"] == '"3"'
