"""Dependents subscribe, get every release once and in order, and vote, over real sockets of a front end."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.cdpm import events as e
from re_core.cdpm import messages as cdpm
from re_core.cdpm.values import ReleaseStatus
from re_core.ports.peering import ChannelClosed
from re_core.usecases.cdpm import key_book
from re_core.usecases.cdpm.peers import Peers
from re_core.usecases.ids import new_id
from re_core.wire import strict_json
from re_rest import cdpm_sessions
from tests.e2e.engine_process import wait_until
from tests.integration.cdpm.conftest import Served
from tests.integration.cdpm.serving import LONG, Peer


def test_subscribing_again_is_the_same_subscription(served: Served) -> None:
    first = served.rails.subscribe(served.front)
    assert served.rails.subscribe(served.front) == first
    assert served.toy.subscribe(served.front) != first
    assert [one.url for one in served.node.state.subscriptions.values()] == [served.rails.url, served.toy.url]


def test_a_release_is_sent_to_every_subscriber_word_by_word_as_it_was_recorded(served: Served) -> None:
    channels = {peer: peer.open(served.front, peer.subscribe(served.front)) for peer in (served.rails, served.toy)}
    number = served.node.release("1.2")
    for peer, channel in channels.items():
        text = channel.take(LONG)
        assert text is not None
        payload = served.world.peering.signatures.read(text).payload
        assert payload == strict_json.dumps(served.node.document(number)).encode()
        release = peer.read(text)
        assert (release.id, release.new_version, release.url) == (number, "1.2", served.node.url)


def test_releases_come_once_and_in_order_after_an_absence(served: Served) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    served.node.release()
    first = rails.take_release(channel)
    channel.close(1000, "")
    for version in ("1.1", "1.2", "1.3"):
        served.node.release(version)
    channel = rails.open(served.front, subscription, (first.id, first.created_at))
    assert [rails.take_release(channel).new_version for _ in range(3)] == ["1.1", "1.2", "1.3"]
    served.node.release("1.4")
    assert rails.take_release(channel).new_version == "1.4"
    assert channel.take(0.2) is None


def test_what_the_subscriber_says_to_have_counts_more_than_what_was_acknowledged(served: Served) -> None:
    """A dependent that was restored from a backup asks for what it had."""
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    releases = []
    for version in ("1.1", "1.2"):
        served.node.release(version)
        releases.append(rails.take_release(channel))
    channel.send(rails.sign(cdpm.Received(subscription, releases[1].id)))
    assert rails.vote(channel, subscription, releases[1]).status_code == "200"
    channel.close(1000, "")
    served.front.sessions.close()
    position = served.world.store.position(subscription)
    assert position is not None and (position.delivered, position.acknowledges) == (2, True)
    other = served.world.front_end()
    again = rails.open(other, subscription, (releases[0].id, releases[0].created_at))
    assert rails.take_release(again).id == 2
    nothing = rails.open(other, subscription)
    served.node.release("1.3")
    assert rails.take_release(nothing).id == 3


def test_only_what_was_released_after_the_subscription_is_sent(served: Served) -> None:
    served.node.release("0.9")
    rails = served.rails
    channel = rails.open(served.front, rails.subscribe(served.front))
    served.node.release("1.0")
    assert rails.take_release(channel).new_version == "1.0"


def test_votes_are_counted_and_answered_and_promote_and_demote(served: Served) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    number = served.node.release()
    release = rails.take_release(channel)
    for _ in range(2):
        answer = rails.vote(channel, subscription, release)
        assert (answer.subscriptions, answer.status_code, answer.status_msg) == ((subscription,), "200", "OK")
    assert served.node.state.releases[number].status is ReleaseStatus.PROMOTED
    assert rails.vote(channel, subscription, release, stable=False).status_code == "200"
    assert served.node.state.releases[number].status is ReleaseStatus.DEMOTED
    changed = rails.vote(channel, subscription, release)
    assert (changed.status_code, changed.status_msg.partition(":")[0]) == ("409", "changed-vote")
    assert len(served.node.state.releases[number].votes) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": 99}, "404"),
        ({"id": "x"}, "404"),
        ({"created_at": "2016-08-11T11:32:35.444Z"}, "404"),
        ({"subscription_id": "00000000-0000-0000-0000-000000000000"}, "403"),
    ],
)
def test_votes_that_do_not_fit_are_answered_with_their_reason(
    served: Served, changes: dict[str, Any], code: str
) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    served.node.release()
    release = rails.take_release(channel)
    assert rails.vote(channel, subscription, release, **changes).status_code == code
    assert rails.vote(channel, subscription, release).status_code == "200"


def test_the_vote_of_a_dependent_that_is_not_major_does_not_count(served: Served) -> None:
    subscription = served.toy.subscribe(served.front)
    channel = served.toy.open(served.front, subscription)
    number = served.node.release()
    release = served.toy.take_release(channel)
    answer = served.toy.vote(channel, subscription, release)
    assert (answer.status_code, answer.status_msg.partition(":")[0]) == ("403", "not-major")
    assert served.node.state.releases[number].votes == {}


def test_what_was_not_acknowledged_is_sent_again_signed_anew(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    served.node.release("1.0")
    first = rails.take_release(channel)
    monkeypatch.setattr(cdpm_sessions, "AGAIN", 0.3)
    channel.send(rails.sign(cdpm.Received(subscription, first.id)))
    served.node.release("1.1")
    served.node.release("1.2")
    texts = [channel.take(LONG) for _ in range(4)]
    jtis = {served.world.peering.signatures.read(text or "").claims.jti for text in texts}
    assert [rails.read(text or "").new_version for text in texts] == ["1.1", "1.2", "1.1", "1.2"]
    assert len(jtis) == 4
    channel.send(rails.sign(cdpm.Received(subscription, 3)))
    served.node.release("1.3")
    while (newest := rails.take_release(channel)).new_version != "1.3":
        assert newest.new_version in ("1.1", "1.2")


def test_to_a_subscriber_that_never_acknowledges_the_newest_is_sent_once_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cdpm_sessions, "AGAIN", 0.3)
    rails = served.rails
    channel = rails.open(served.front, rails.subscribe(served.front))
    served.node.release("1.0")
    served.node.release("1.1")
    found = [rails.take_release(channel).new_version for _ in range(3)]
    assert sorted(found) == ["1.0", "1.1", "1.1"] or sorted(found) == ["1.0", "1.0", "1.1"]
    rest = [] if found.count("1.1") == 2 else [rails.take_release(channel).new_version]
    assert channel.take(1.0) is None, rest


def test_a_subscription_that_was_ended_ends_its_connection(served: Served) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    served.node.release()
    rails.take_release(channel)
    status, answer = rails.post(served.front, rails.unsubscribing(subscription))
    assert (status, answer.message_type, answer.subscriptions) == (200, "unsubscribed", (subscription,))
    with pytest.raises(ChannelClosed) as closed:
        rails.take(channel)
    assert closed.value.code == 4001
    assert rails.subscribe(served.front) != subscription


def test_a_newer_connection_takes_the_place_of_the_older_one(served: Served) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    older = rails.open(served.front, subscription)
    served.node.release("1.0")
    rails.take_release(older)
    newer = rails.open(served.front, subscription)
    assert rails.take_release(newer).new_version == "1.0"
    with pytest.raises(ChannelClosed) as closed:
        older.take(LONG)
    assert closed.value.code == 4000
    served.node.release("1.1")
    assert rails.take_release(newer).new_version == "1.1"


def test_a_newer_connection_at_another_front_end_does_so_too(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdpm_sessions, "AGAIN", 0.2)
    rails = served.rails
    subscription = rails.subscribe(served.front)
    older = rails.open(served.front, subscription)
    served.node.release("1.0")
    rails.take_release(older)
    newer = rails.open(served.world.front_end(), subscription)
    with pytest.raises(ChannelClosed) as closed:
        while older.take(LONG):
            pass
    assert closed.value.code == 4000
    assert rails.take_release(newer).new_version == "1.0"


def test_any_front_end_serves_any_dependent(served: Served) -> None:
    other = served.world.front_end()
    rails, toy = served.rails, served.toy
    channels = [
        (rails, rails.open(other, rails.subscribe(served.front))),
        (toy, toy.open(served.front, toy.subscribe(other))),
    ]
    served.node.release("1.0")
    assert [peer.take_release(channel).new_version for peer, channel in channels] == ["1.0", "1.0"]


def test_a_server_that_stops_says_so_and_ends_its_connections(served: Served) -> None:
    rails = served.rails
    channel = rails.open(served.front, rails.subscribe(served.front))
    served.node.release("1.0")
    rails.take_release(channel)
    unopened = rails.dial(served.front)
    served.front.close()
    for one in (channel, unopened):
        with pytest.raises(ChannelClosed) as closed:
            one.take(LONG)
        assert closed.value.code == 1001
    wait_until("all connections are given back", lambda: served.front.sessions.count() == 0, LONG)


def test_a_key_that_was_replaced_is_read_as_soon_as_its_owner_says_so(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_book, "AGAIN", 0)
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    served.node.release("1.0")
    release = rails.take_release(channel)
    old = rails.pair
    fresh = Peer(served.world, "rails", served.pairs[3], served.node, served._stack)
    channel.send(rails.sign(cdpm.KeyRotated(rails.url), pair=old))
    assert fresh.vote(channel, subscription, release).status_code == "200"


def test_another_key_of_the_node_is_announced_under_the_old_one_before_anything_that_it_signs(served: Served) -> None:
    rails, node, world = served.rails, served.node, served.world
    channel = rails.open(served.front, rails.subscribe(served.front))
    node.release("1.0")
    rails.take_release(channel)
    old, fresh = node.pair, served.pairs[3]
    Peers(world.peering._replace(new_key=lambda: fresh), world.store, world.clock).add_key(node.id)
    node.pair = fresh
    world.write(node.name, fresh.public, [rails.name])
    Peers(world.peering, world.store, world.clock).read_again(node.url)
    world.say(node.key, e.FileRead(new_id(), {}, {rails.url: rails.name}, [rails.url]))
    text = channel.take(LONG)
    assert text is not None
    unverified = world.peering.signatures.read(text)
    world.peering.signatures.verify(unverified, old.public)
    assert cdpm.parse(unverified.payload) == cdpm.KeyRotated(node.url)
    node.release("1.1")
    assert rails.take_release(channel).new_version == "1.1"  # by the new one


def test_a_vote_is_not_answered_while_no_core_lives_and_counts_when_one_does(served: Served) -> None:
    rails = served.rails
    subscription = rails.subscribe(served.front)
    channel = rails.open(served.front, subscription)
    number = served.node.release("1.0")
    release = rails.take_release(channel)
    served.world.core.stop(LONG)
    channel.send(rails.sign(rails.voting(subscription, release)))
    assert channel.take(1.0) is None
    served.world.restart_core()
    assert rails.take(channel).status_code == "200"
    assert rails.vote(channel, subscription, release).status_code == "200"
    assert list(served.node.state.releases[number].votes) == [subscription]


def test_addresses_of_pipelines_are_not_there_where_they_are_off(served: Served) -> None:
    served.front.app.extensions["release_engine_cdpm"].close()
    served.front.app.extensions["release_engine_cdpm"] = None
    assert served.front.request("POST", "/subscribe", b"{}")[0] == 404
    assert served.front.request("GET", "/cdpm")[0] == 404
