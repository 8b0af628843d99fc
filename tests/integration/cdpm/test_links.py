"""Links to a dependency that keeps to docs/cdpm.md, over real sockets: what arrives once, what is sent again, and after what."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.values import DependentStatus, Stability
from re_core.services import cdpm_talk
from re_core.usecases.cdpm import key_book
from re_core.usecases.cdpm.own_file import read_own_file
from tests.integration.cdpm.dependency import Dependency, new_key
from tests.integration.cdpm.node import DEP, FAST, ID, SOON, Node


class House:
    """A node and its dependency."""

    def __init__(self, node: Node, dep: Dependency, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node, self.dep, self._patch = node, dep, monkeypatch

    def begin(self, **document: Any) -> None:
        self.node.start(self._patch)
        self.node.register({DEP: self.dep.url}, **document)

    def restart(self) -> None:
        self.node.stop()
        self.node.start(self._patch)

    def connected(self) -> None:
        self.dep.wait(lambda: self.dep.connected == 1)

    def received(self) -> list[object]:
        return [one.id for one in self.node.records(r.Received)]

    def votes(self) -> list[tuple[object, str]]:
        return [(one["id"], one["message_type"]) for one in self.dep.of("vote_stable", "vote_unstable")]

    def delivered(self, count: int) -> None:
        self.node.wait(lambda: len(self.node.records(r.VoteDelivered, r.VoteRefused)) == count)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    node = Node(tmp_path)
    dep = Dependency(node.files / "lib.yml", node.source)
    dep.start()
    try:
        yield House(node, dep, monkeypatch)
    finally:
        node.close()
        dep.stop()


def test_a_release_is_tried_and_voted_on_once(house: House) -> None:
    house.begin()
    house.connected()
    house.dep.release(1)
    house.delivered(1)
    house.node.trying.bad.add("1.2")
    house.dep.release(2)
    house.delivered(2)
    assert house.votes() == [(1, "vote_stable"), (2, "vote_unstable")]
    assert house.node.trying.tried == ["1.1", "1.2"]
    [first, _] = house.dep.of("vote_stable", "vote_unstable")
    job = house.node.records(r.JobAsked)[0].job
    assert (first["caller_name"], first["url"], first["subscription_id"]) == ("app", house.node.source, "s-v1")
    assert (first["created_at"], first["ref"], first["deployable"]["id"]) == ("2026-01-01T00:00:01.000Z", "v1", job)
    known = house.node.known()
    assert (known.status, known.votes, known.stability) == (DependentStatus.SUBSCRIBED, (), Stability.VOTE_UNSTABLE)
    [subscribe] = house.dep.of("subscribe")
    assert subscribe["subscriptions"] == [{"ref_type": "stable", "ref": "v1"}]
    assert [one["last"] for one in house.dep.of("open")] == [None]
    assert [one["id"] for one in house.dep.of("received")] == [1, 2]


def test_a_dependent_that_is_not_major_tries_and_does_not_vote(house: House) -> None:
    house.dep.major = False
    house.dep.write()
    house.begin()
    house.connected()
    house.dep.release(1)
    house.node.wait(lambda: house.node.records(r.JobEnded))
    assert (house.votes(), house.node.records(r.Voted)) == ([], [])


def test_what_was_released_in_its_absence_comes_once_and_in_order(house: House) -> None:
    house.begin()
    house.connected()
    house.dep.release(1)
    house.delivered(1)
    house.node.stop()
    for n in (2, 3, 4):
        house.dep.release(n, send=False)
    house.restart()
    house.delivered(4)
    assert house.received() == [1, 2, 3, 4]
    assert house.node.trying.tried == ["1.1", "1.2", "1.3", "1.4"]
    assert house.dep.of("open")[-1]["last"] == {"id": 1, "created_at": "2026-01-01T00:00:01.000Z"}


def test_a_release_that_is_sent_again_is_acknowledged_again_and_tried_once(house: House) -> None:
    house.begin()
    house.connected()
    release = house.dep.release(1)
    house.delivered(1)
    house.dep.send(release)
    house.dep.wait(lambda: len(house.dep.of("received")) == 2)
    assert (house.received(), house.node.trying.tried, len(house.votes())) == ([1], ["1.1"], 1)


def test_a_connection_that_is_cut_is_made_again(house: House) -> None:
    house.begin()
    house.connected()
    for count in (2, 3):
        house.dep.stop()
        house.dep.start()
        house.dep.wait(lambda count=count: len(house.dep.of("open")) >= count)  # type: ignore[misc]
    house.connected()
    house.dep.release(1)
    house.delivered(1)
    assert len(house.dep.of("subscribe")) == 1


def test_a_dependency_that_restarts_often_is_found_as_soon_as_at_first(house: House) -> None:
    house.node.timing = FAST._replace(first=0.01, longest=1000.0)
    house.begin()
    for n in range(1, 14):  # by then a pause that doubles each time is longer than the test waits
        house.dep.wait(lambda n=n: len(house.dep.of("open")) == n)  # type: ignore[misc]
        house.dep.release(n)
        house.dep.wait(lambda n=n: len(house.dep.of("received")) == n)  # type: ignore[misc]
        house.dep.close_all(1001, "restarting")
    house.dep.wait(lambda: len(house.dep.of("open")) == 14)


def test_subscriptions_that_the_dependency_ends_again_and_again_are_asked_for_ever_later(house: House) -> None:
    house.node.timing = FAST._replace(first=0.3, longest=SOON * 20)
    house.begin()
    pauses = []
    for n in (1, 2, 3):
        house.dep.wait(lambda n=n: len(house.dep.of("open")) == n)  # type: ignore[misc]
        house.dep.release(n)
        house.dep.wait(lambda: house.dep.of("received"))
        ended = time.monotonic()
        house.dep.close_all(4001, "barred")
        house.dep.wait(lambda n=n: len(house.dep.of("subscribe")) == n + 1)  # type: ignore[misc]
        pauses.append(time.monotonic() - ended)
    assert pauses[2] >= 0.6  # the third is from 0.6 to 1.2 s, the first from 0.15 to 0.3


def test_a_dependency_that_is_away_from_the_beginning_is_found_when_it_comes(house: House) -> None:
    house.dep.stop()
    house.begin()
    house.node.wait(lambda: DEP in house.node.state().dependencies)
    house.dep.start()
    house.connected()


def test_a_vote_is_sent_again_until_it_is_answered(house: House) -> None:
    house.dep.votes_get = 0
    house.begin()
    house.connected()
    house.dep.release(1)
    house.dep.wait(lambda: len(house.votes()) == 3)
    assert len({one["jti"] for one in house.dep.of("vote_stable")}) == 3
    assert len(house.node.known().votes) == 1
    house.dep.votes_get = 200
    house.delivered(1)
    assert (house.node.known().votes, len(house.node.records(r.Voted))) == ((), 1)


def test_a_vote_outlives_the_absence_of_the_dependency_and_of_the_engine(house: House) -> None:
    house.begin()
    house.connected()
    house.node.trying.hold.clear()
    house.dep.release(1)
    house.node.wait(lambda: house.node.records(r.JobAccepted))
    house.dep.stop()
    house.node.trying.hold.set()
    house.node.wait(lambda: house.node.records(r.Voted))
    house.restart()
    house.dep.start()
    house.delivered(1)
    assert set(house.votes()) == {(1, "vote_stable")}


@pytest.mark.parametrize("status", [403, 404, 409])
def test_a_vote_that_is_refused_for_good_is_not_sent_again(house: House, status: int) -> None:
    house.dep.votes_get = status
    house.begin()
    house.connected()
    house.dep.release(1)
    house.delivered(1)
    assert house.node.records(r.VoteRefused) == [r.VoteRefused(DEP, 1, "2026-01-01T00:00:01.000Z", status, "said")]
    assert (len(house.votes()), house.node.known().votes) == (1, ())


def test_a_vote_that_another_answer_refuses_is_sent_again(house: House) -> None:
    house.dep.votes_get = 503
    house.begin()
    house.connected()
    house.dep.release(1)
    house.dep.wait(lambda: len(house.votes()) == 2)
    house.dep.votes_get = 200
    house.delivered(1)
    assert house.node.records(r.VoteRefused) == []


def test_a_connection_that_a_newer_one_replaced_waits_before_it_comes_back(house: House) -> None:
    house.begin()
    house.connected()
    begun = time.monotonic()
    house.dep.close_all(4000, "a newer connection")
    house.dep.wait(lambda: len(house.dep.of("open")) == 2)
    assert time.monotonic() - begun >= house.node.timing.replaced


def test_a_subscription_that_the_dependency_ended_is_asked_for_again(house: House) -> None:
    house.begin()
    house.connected()
    house.dep.close_all(4001, "barred")
    house.dep.wait(lambda: len(house.dep.of("open")) == 2)
    assert len(house.dep.of("subscribe")) == 2
    assert [one.dependency for one in house.node.records(r.NotJoined)] == [DEP]
    assert len(house.node.records(r.Joined)) == 2


def test_a_dependency_that_has_forgotten_the_subscription_is_asked_again(house: House) -> None:
    house.begin()
    house.connected()
    house.dep.stop()
    house.dep.subscriptions.clear()
    house.dep.start()
    house.connected()
    assert len(house.dep.of("subscribe")) == 2


def test_a_subscription_that_is_refused_is_shown_once_and_asked_for_again(house: House) -> None:
    house.dep.subscribes = (403, "not-listed: ask the owner")
    house.begin()
    house.dep.wait(lambda: len(house.dep.of("subscribe")) == 3)
    assert house.node.records(r.NotJoined) == [r.NotJoined(DEP, "403 not-listed: ask the owner")]
    house.dep.subscribes = (200, "OK")
    house.connected()
    assert house.node.known().why == ""


def test_a_node_shows_once_why_its_dependency_cannot_be_reached(house: House) -> None:
    house.dep.stop()
    house.begin()
    house.node.wait(lambda: any("Connection refused" in one.why for one in house.node.records(r.NotJoined)))
    house.dep.start()
    house.connected()
    assert house.node.known().why == ""
    assert len(house.node.records(r.NotJoined)) == 1


def test_a_refusal_without_a_signature_says_what_may_be_wrong(house: House) -> None:
    house.dep.subscribes, house.dep.signing = (403, "not-listed"), new_key()
    house.begin()
    house.node.wait(lambda: any("does not list this node" in one.why for one in house.node.records(r.NotJoined)))
    assert house.node.known().why.startswith("403 without a valid signature")


def test_a_dependency_that_has_moved_is_found_where_its_file_says_once_it_cannot_be_reached(house: House) -> None:
    house.begin()
    house.connected()
    house.dep.stop()
    house.dep.move()
    house.dep.start()
    house.connected()


def test_of_a_dependency_that_releases_all_the_time_so_many_are_taken_in_an_hour(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdpm_talk, "MOST_RELEASES", 2)
    house.begin()
    house.connected()
    for n in (1, 2, 3):
        house.dep.release(n)
    house.dep.send(house.dep.releases[0])  # what is known counts not again
    house.node.wait(lambda: "too-many" in house.node.refused)
    assert house.received() == [1, 2]
    monkeypatch.setattr(cdpm_talk, "MOST_RELEASES", 3)
    house.delivered(3)
    assert house.received() == [1, 2, 3]


def test_retry_after_is_heeded(house: House) -> None:
    house.dep.subscribes, house.dep.headers = (503, "later"), {"Retry-After": "1"}
    house.begin()
    house.dep.wait(lambda: len(house.dep.of("subscribe")) == 1)
    begun = time.monotonic()
    house.dep.wait(lambda: len(house.dep.of("subscribe")) == 2)
    assert time.monotonic() - begun >= 0.9


def test_a_dependency_that_the_file_names_no_more_is_left_with_a_word(house: House) -> None:
    house.begin()
    house.connected()
    house.node.write({})
    house.node.tell(e.FileRead("another", {}))
    house.dep.wait(lambda: house.dep.of("unsubscribe"))
    assert [one["subscription_id"] for one in house.dep.of("unsubscribe")] == ["s-v1"]
    house.dep.wait(lambda: house.dep.connected == 0)
    assert house.node.state().dependencies == {}


def test_an_operator_leaves_a_dependency_and_joins_it_again(house: House) -> None:
    house.begin()
    house.connected()
    house.node.tell(e.Leave(DEP))
    house.dep.wait(lambda: house.dep.of("unsubscribe") and house.dep.connected == 0)
    house.node.tell(e.Join(DEP))
    house.connected()
    assert len(house.dep.of("unsubscribe")) == 1


def test_a_node_that_is_removed_leaves_its_dependencies(house: House) -> None:
    house.begin()
    house.connected()
    house.node.tell(e.Remove("ann"))
    house.dep.wait(lambda: house.dep.of("unsubscribe") and house.dep.connected == 0)


def test_another_ref_is_another_subscription(house: House) -> None:
    house.begin(subscribe={DEP: {"ref_type": "branch", "ref": "main"}})
    house.connected()
    assert house.dep.subscriptions == ["s-main"]
    document = dict(house.node.state().document)
    document["subscribe"] = {DEP: {"ref_type": "stable", "ref": "v1"}}
    house.node.tell(e.Configure(2, document, house.node.state().playbooks))
    house.dep.wait(lambda: house.dep.subscriptions == ["s-v1"])
    house.dep.wait(lambda: [one["subscription_id"] for one in house.dep.of("open")] == ["s-main", "s-v1"])
    house.connected()


def test_another_key_is_announced_under_the_old_one_before_anything_that_it_signs(house: House) -> None:
    house.begin()
    house.connected()
    house.dep.release(1)
    house.delivered(1)
    house.node.kid = house.node.rotate()
    house.node.write({DEP: house.dep.url})
    read_own_file(house.node.bus, house.node.peers, ID, house.node.source, SOON, again=True)
    house.dep.wait(lambda: house.dep.of("key_rotated"))
    house.dep.release(2)
    house.delivered(2)
    assert [(one["url"], len(house.dep.of("open"))) for one in house.dep.of("key_rotated")] == [(house.node.source, 1)]
    assert house.dep.misfits == 0


# -- what is refused ---------------------------------------------------------------------------------


def _is_refused(house: House, code: str, count: int = 1) -> None:
    house.node.wait(lambda: house.node.refused.count(code) >= count)


def test_a_release_that_another_key_signed_is_refused(house: House) -> None:
    house.begin()
    house.connected()
    house.dep.signing = new_key()
    house.dep.release(1)
    _is_refused(house, "bad-signature")
    house.dep.signing = house.dep.key
    house.dep.release(2)
    house.delivered(2)
    assert house.received() == [1, 2]


def test_a_dependency_that_rotates_its_key_is_believed_once_its_file_has_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_book, "AGAIN", 100)
    house.begin()
    house.connected()
    house.dep.release(1)
    house.delivered(1)
    house.dep.key = house.dep.signing = new_key()
    house.dep.release(2)
    _is_refused(house, "bad-signature")
    house.dep.write()
    house.delivered(2)
    assert house.received() == [1, 2]


@pytest.mark.parametrize(
    ("code", "claims"),
    [
        ("stale", {"iat": 1_600_000_000}),
        ("from-future", {"iat": 4_000_000_000}),
        ("wrong-audience", {"aud": "https://other.example/cdpm.yml"}),
        ("unknown-sender", {"iss": "https://other.example/cdpm.yml"}),
        ("bad-alg", {"alg": "none"}),
        ("bad-message", {"jwk": {}}),
    ],
)
def test_a_release_with_other_claims_is_refused(house: House, code: str, claims: dict[str, object]) -> None:
    house.begin()
    house.connected()
    release = house.dep.release(1, send=False)
    house.dep.send(release, **claims)
    _is_refused(house, code)
    house.connected()
    house.dep.send(release)
    house.delivered(1)
    assert (house.received(), len(house.node.refused)) == ([1], 1)


def test_a_message_that_is_repeated_is_refused(house: House) -> None:
    house.begin()
    house.connected()
    release = house.dep.release(1, send=False)
    for _ in range(2):
        house.dep.send(release, jti="repeated")
    _is_refused(house, "replayed")
    house.delivered(1)
    assert house.received() == [1]


def test_frames_that_are_no_messages_are_refused_and_many_of_them_end_the_connection(house: House) -> None:
    house.begin()
    house.connected()
    for number in range(11):
        payload = json.dumps({"message_type": "subscribe", "n": number}).encode()
        house.dep.send_text("no message" if number % 2 else house.dep.sign(payload))
    house.dep.wait(lambda: len(house.dep.of("open")) == 2)
    assert set(house.node.refused) == {"unsigned", "bad-message"}


def test_a_binary_frame_ends_the_connection(house: House) -> None:
    house.begin()
    house.connected()
    house.dep.send_text(b"\0")
    house.dep.wait(lambda: len(house.dep.of("open")) == 2)
    _is_refused(house, "binary-frame")


def test_an_answer_to_no_vote_changes_nothing(house: House) -> None:
    house.dep.votes_get = 0
    house.begin()
    house.connected()
    house.dep.release(1)
    house.dep.wait(lambda: len(house.votes()) == 1)
    answer = {"response": [], "status_code": "200", "status_msg": "OK", "response_time_stamp": "2026-01-01T00:00:00"}
    house.dep.send(answer, irt="another")
    house.dep.wait(lambda: len(house.votes()) == 2)
    assert len(house.node.known().votes) == 1
    assert (house.node.records(r.VoteDelivered), house.node.refused) == ([], [])


def test_a_subscription_that_is_not_signed_by_the_dependency_is_not_believed(house: House) -> None:
    house.dep.signing = new_key()
    house.begin()
    house.dep.wait(lambda: len(house.dep.of("subscribe")) == 2)
    assert (house.node.records(r.Joined), house.dep.connected) == ([], 0)
    assert "bad-signature" in house.node.refused
    house.dep.signing = house.dep.key
    house.connected()
