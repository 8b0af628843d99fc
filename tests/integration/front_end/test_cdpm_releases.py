"""Releases, votes and subscriptions of nodes over HTTP, with a real core; what peers say comes as events, as their messages do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from re_core.cdpm import events as e
from re_core.cdpm import messages
from re_core.rows import Position
from re_core.usecases.cdpm import validation
from re_core.wire import strict_json
from tests.integration.front_end.node_harness import URL, NodeHarness
from tests.integration.workers.waiting import until

MAJOR, MINOR, UP = (f"https://{name}.example/cdpm.yml" for name in ("major", "minor", "up"))
REF = {"ref_type": "stable", "ref": "v1"}


@pytest.fixture
def here(tmp_path: Path, routes: Flask) -> Iterator[NodeHarness]:
    made = NodeHarness(tmp_path, routes)
    yield made
    made.close()


def _node(here: NodeHarness, **changes: Any) -> str:
    """A node whose cdpm.yml was read: one dependency, a major dependent and another one."""
    made = here.create(
        refs=[REF], promote={"stable": "all of majors", "within": "24h"}, demote={"unstable": 1}, **changes
    )
    here.say(made["id"], e.FileRead("digest", {"Up": UP}, {MAJOR: "Major", MINOR: "Minor"}, [MAJOR]))
    return str(made["id"])


def _subscribe(here: NodeHarness, id: str, *urls: str) -> None:
    now = here.clock.now()
    here.say(id, *(e.SubscribeAsked(url, f"peer {url[8:13]}", [REF], f"j {url}", now) for url in urls))


def _publish(here: NodeHarness, id: str, **values: str) -> Any:
    answer = here.call("POST", f"{URL}/{id}/publish", json={"dynamic": values})
    assert answer.status_code == 201, answer.text
    return answer.json


def _vote(here: NodeHarness, id: str, url: str, value: str) -> None:
    state = here.state(id)
    [subscription] = [one.id for one in state.subscriptions.values() if one.url == url]
    newest = state.releases[state.last]
    said = e.VoteReceived(url, subscription, newest.n, newest.created_at, value, "01D", f"v {value}", here.clock.now())
    here.say(id, said)


def test_a_release_that_an_operator_publishes_is_a_message_that_peers_take(here: NodeHarness) -> None:
    id = _node(here)
    made = _publish(here, id, version="1.8.2", commit="abcdef1234")
    assert (made["release"], made["state"], made["version"], made["ref"]) == (1, "deployed", "1.8.2", "v1")
    assert made["deployment"] is None
    parsed = messages.parse(strict_json.dumps(made["document"]).encode())
    assert isinstance(parsed, messages.NewRelease)
    assert here.get(id)["release"] == 1
    assert here.call("GET", f"{URL}/{id}/releases/1").json == made


def test_a_release_shows_who_voted_what_and_who_has_not(here: NodeHarness) -> None:
    id = _node(here)
    _subscribe(here, id, MAJOR, MINOR)
    made = _publish(here, id, version="2")
    assert [(one["name"], one["url"]) for one in made["missing"]] == [("peer major", MAJOR)]
    assert made["rule"] == {"promote": "all of majors", "demote": 1, "within": "24h"}
    assert made["deadline"] is not None
    _vote(here, id, MAJOR, "stable")
    shown = here.call("GET", f"{URL}/{id}/releases/1").json
    assert (shown["state"], shown["stable"], shown["majors"], shown["missing"]) == ("promoted", 1, 1, [])
    [vote] = shown["votes"]
    assert (vote["value"], vote["counts"], vote["deployment"], vote["url"]) == ("stable", True, "01D", MAJOR)
    [row] = here.call("GET", f"{URL}/{id}/releases").json["items"]
    assert row == {name: shown[name] for name in row}


def test_a_verdict_shows_the_deployment_that_follows_it(here: NodeHarness) -> None:
    here.playbook("back", name="back")
    id = _node(here, on={"demoted": "ours/back"})
    _subscribe(here, id, MAJOR)
    _publish(here, id)
    _vote(here, id, MAJOR, "unstable")
    [reaction] = here.call("GET", f"{URL}/{id}/releases/1").json["reactions"]
    assert reaction["verdict"] == "demoted"
    until(lambda: here.call("GET", f"/api/v1/deployments/{reaction['deployment']}").status_code == 200)


def test_a_publication_with_a_key_is_one_release(here: NodeHarness) -> None:
    id = _node(here)
    headers = {"Idempotency-Key": "k"}
    body = {"dynamic": {"version": "1"}}
    numbers = [here.call("POST", f"{URL}/{id}/publish", json=body, headers=headers).json["release"] for _ in range(2)]
    assert numbers == [1, 1]
    assert _publish(here, id, version="1")["release"] == 2
    other = here.call("POST", f"{URL}/{id}/publish", json={}, headers=headers)
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"version": 7}, "/dynamic/version"),
        ({"a": "x" * 501}, "/dynamic/a"),
        ({f"v{n}": "" for n in range(65)}, "/dynamic"),
    ],
)
def test_values_that_no_release_may_have_are_refused(here: NodeHarness, values: dict[str, Any], path: str) -> None:
    answer = here.call("POST", f"{URL}/{_node(here)}/publish", json={"dynamic": values})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["path"] == path


def test_a_release_of_which_no_peer_would_take_the_message_is_not_published(here: NodeHarness) -> None:
    made = here.create()  # it has no refs, and the values name none
    answer = here.call("POST", f"{URL}/{made['id']}/publish", json={})
    assert answer.status_code == 422
    assert "/ref" in answer.json["errors"][0]["message"]
    assert here.call("GET", f"{URL}/{made['id']}/releases").json["items"] == []


@pytest.mark.parametrize("n", ["0", "7", "99999999999999999999"])
def test_a_release_that_is_not_there_is_not_found(here: NodeHarness, n: str) -> None:
    id = _node(here)
    _publish(here, id)
    answer = here.call("GET", f"{URL}/{id}/releases/{n}")
    assert answer.status_code == 404
    assert "the newest is 1" in answer.json["detail"]


def test_subscriptions_show_both_directions_and_who_may_subscribe(here: NodeHarness) -> None:
    id = _node(here)
    _subscribe(here, id, MAJOR)
    _publish(here, id)
    here.say(id, e.Subscribed("Up", "s-1", "v2"))
    shown = here.call("GET", f"{URL}/{id}/subscriptions").json
    [up] = shown["dependencies"]
    assert (up["name"], up["state"], up["subscription"], up["ref"]) == ("Up", "subscribed", "s-1", "v2")
    major, minor = shown["dependents"]
    assert (major["major"], major["behind"], major["delivered"], major["connected"]) == (True, 1, None, None)
    assert (minor["name"], minor["subscription"], minor["major"]) == ("Minor", None, False)
    now = here.clock.now()
    assert here.store.open_position(major["subscription"], id, now, "j", now)
    here.store.save_positions([Position(major["subscription"], id, 1, "2026-01-01T00:00:00Z")])
    served = here.call("GET", f"{URL}/{id}/subscriptions").json["dependents"][0]
    assert (served["delivered"], served["behind"], served["connected"] is not None) == (1, 0, True)


def test_a_dependency_that_an_operator_left_stays_left_until_it_is_taken_back(here: NodeHarness) -> None:
    id = _node(here)
    here.say(id, e.Subscribed("Up", "s-1"))
    left = here.call("POST", f"{URL}/{id}/unsubscribe", json={"dependency": "Up"})
    assert [(one["state"], one["left"]) for one in left.json["dependencies"]] == [("initial", True)]
    back = here.call("POST", f"{URL}/{id}/subscribe", json={"dependency": "Up"})
    assert [one["left"] for one in back.json["dependencies"]] == [False]


@pytest.mark.parametrize("what", ["subscribe", "unsubscribe"])
def test_a_dependency_that_cdpm_yml_does_not_name_is_not_found(here: NodeHarness, what: str) -> None:
    id = _node(here)
    answer = here.call("POST", f"{URL}/{id}/{what}", json={"dependency": "Upp"})
    assert answer.status_code == 404
    assert "did you mean 'Up'?" in answer.json["detail"]
    unread = here.create(node="ours/new", source=here.source("new"))
    answer = here.call("POST", f"{URL}/{unread['id']}/{what}", json={"dependency": "Up"})
    assert answer.status_code == 409
    assert "was not read yet" in answer.json["detail"]


def test_a_barred_node_has_no_subscription_and_gets_none_until_that_is_taken_back(here: NodeHarness) -> None:
    id = _node(here)
    _subscribe(here, id, MAJOR)
    barred = here.call("POST", f"{URL}/{id}/bar", json={"url": MAJOR}).json
    assert [(one["barred"], one["subscription"]) for one in barred["dependents"]] == [(True, None), (False, None)]
    assert here.get(id)["barred"] == [MAJOR]
    with pytest.raises(AssertionError, match="barred"):
        here.say(id, e.SubscribeAsked(MAJOR, "m", [REF], "j2", here.clock.now()))
    assert here.call("POST", f"{URL}/{id}/bar", json={"url": MAJOR, "barred": False}).status_code == 200
    here.say(id, e.SubscribeAsked(MAJOR, "m", [REF], "j3", here.clock.now()))


def test_a_trial_shows_its_deployment_and_the_vote_that_it_became(here: NodeHarness) -> None:
    here.playbook("try", name="try")
    id = _node(here, trials={"playbook": "ours/try"})
    said = {"new_version": "1.0", "ref": "v1", "url": UP, "chain": []}
    made = "2026-01-01T00:00:00Z"
    here.say(id, e.Subscribed("Up", "s-1"), e.ReleaseReceived("Up", 41, made, said, True))
    address = f"{URL}/{id}/trials"
    [trial] = here.call("GET", address).json["items"]
    assert (trial["dependency"], trial["release"], trial["created"], trial["vote"]) == ("Up", 41, made, None)
    until(lambda: here.call("GET", address).json["items"][0]["state"] == "accepted")
    here.say(id, e.Fact(trial["deployment"], 3, "completed"))
    [trial] = here.call("GET", address).json["items"]
    assert (trial["status"], trial["vote"], trial["answer"]) == ("completed", "stable", None)
    here.say(id, e.VoteAnswered("Up", 41, made, 409, "changed-vote"))
    assert here.call("GET", address).json["items"][0]["answer"] == "409 changed-vote"


def _text(here: NodeHarness, public: str, more: str = "") -> str:
    return f"Pipeline-node:\n  public-key: {public}\n  url: https://own.example\n{more}"


def test_a_file_is_checked_with_lines_and_stores_nothing(here: NodeHarness) -> None:
    public = here.create()["keys"][0]["public_key"]
    good = here.call("POST", "/api/v1/cdpm/validate", here.theirs, json={"text": _text(here, public)})
    assert good.json == {"valid": True, "errors": [], "peers": []}
    bad = here.call("POST", "/api/v1/cdpm/validate", json={"text": _text(here, public[:-8])})
    assert (bad.status_code, bad.json["valid"]) == (200, False)
    assert bad.json["errors"][0]["line"] == 2


def test_with_remote_the_file_of_each_peer_is_read_and_judged(
    here: NodeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = here.create()["keys"][0]["public_key"]
    here.commit(public, "good")
    here.commit("AAAA", "bad")
    peers = {"good": here.source("good"), "bad": here.source("bad"), "none": here.source("none"), "away": UP}
    more = "Dependencies:\n" + "".join(f"  {name}: {{url: '{url}'}}\n" for name, url in peers.items())
    body = {"text": _text(here, public, more), "remote": True}
    shown = here.call("POST", "/api/v1/cdpm/validate", json=body).json["peers"]
    assert {one["name"]: one["ok"] for one in shown} == {"good": True, "bad": False, "none": False, "away": False}
    details = {one["name"]: one["detail"] for one in shown}
    assert "bits; it answers at https://good.example" in details["good"]
    assert details["bad"].startswith("line 2:")
    assert "RE_CDPM_SOURCES" in details["away"]
    assert here.store.peer_file(here.source("good")) is None
    monkeypatch.setattr(validation, "MOST_READ", 1)
    limited = here.call("POST", "/api/v1/cdpm/validate", json=body).json["peers"]
    assert [one["detail"][:8] for one in limited[1:]] == ["not read"] * 3
    here.switch_off()
    assert here.call("POST", "/api/v1/cdpm/validate", json=body).status_code == 409


def test_with_remote_a_dependency_is_no_good_to_which_this_engine_does_not_connect(here: NodeHarness) -> None:
    public = here.create()["keys"][0]["public_key"]
    here.commit(public, "near", url="https://127.0.0.1:1")
    text = _text(here, public, f"Dependencies:\n  near: {{url: '{here.source('near')}'}}\n")
    [shown] = here.call("POST", "/api/v1/cdpm/validate", json={"text": text, "remote": True}).json["peers"]
    assert not shown["ok"]
    assert "does not connect to https://127.0.0.1:1: 127.0.0.1 is denied by cdpm_denied (loopback)" in shown["detail"]
