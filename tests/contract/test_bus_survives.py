"""Bus: what outlives a process. Opening the place again stands for a restart."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from re_core.ports import Journal, Mailbox, Published
from re_core.wire.messages import DEAD
from tests.contract.places import NEVER, BusPlace, EmbeddedPlace, SqlitePlace
from tests.contract.samples import append, message, names, take_all

KEPT = ["notify.irc", "output", DEAD]


@pytest.mark.parametrize("queue", KEPT)
def test_notices_output_and_dead_letters_survive_in_order_and_marked(lasting_bus_place: BusPlace, queue: str) -> None:
    first = lasting_bus_place.open()
    first.declare(queue)
    first.publish([message(name, queue, direct=True) for name in "abc"])
    first.close()
    again = take_all(lasting_bus_place.open().subscribe([queue], 10), 3)
    assert names(again) == ["a", "b", "c"]
    assert all(delivery.redelivered for delivery in again)


def test_what_was_taken_and_not_settled_survives_and_what_was_acked_does_not(lasting_bus_place: BusPlace) -> None:
    first = lasting_bus_place.open()
    subscription = first.subscribe(["output"], 10)
    first.publish([message(name, "output") for name in "abc"])
    subscription.ack(take_all(subscription, 3)[1:2])
    first.close()
    assert names(take_all(lasting_bus_place.open().subscribe(["output"], 10), 2)) == ["a", "c"]


def test_a_dead_letter_survives_before_anybody_has_seen_it(lasting_bus_place: BusPlace) -> None:
    first = lasting_bus_place.open()
    subscription = first.subscribe(["worker.test"], 1)
    first.publish([message("bad")])
    subscription.reject(take_all(subscription, 1)[0], "bad-message", "why")
    first.close()
    (dead,) = take_all(lasting_bus_place.open().subscribe([DEAD], 1), 1)
    assert dead.message.body == message("bad").body


@pytest.mark.parametrize("state", ["waiting", "in hand", "settled", "settled before a restart"])
def test_an_id_that_a_kept_queue_knows_is_not_delivered_twice(lasting_bus_place: BusPlace, state: str) -> None:
    bus = lasting_bus_place.open()
    subscription = bus.subscribe(["notify.irc"], 10)
    bus.publish([message("a", "notify.irc")])
    expected = 1
    if state != "waiting":
        deliveries = take_all(subscription, 1)
        expected = 0
        if state != "in hand":
            subscription.ack(deliveries)
    if state == "settled before a restart":
        bus.close()
        bus = lasting_bus_place.open()
        subscription = bus.subscribe(["notify.irc"], 10)
    assert bus.publish([message("a", "notify.irc")]) == [Published.TAKEN]
    assert len(subscription.take(10, NEVER)) == expected


@pytest.fixture
def kept_with_the_journal(mailbox_place: SqlitePlace) -> EmbeddedPlace:
    return EmbeddedPlace(mailbox_place)


def test_mail_that_an_append_committed_is_delivered_once_when_it_is_published(
    mailbox_place: SqlitePlace, kept_with_the_journal: EmbeddedPlace
) -> None:
    bus = kept_with_the_journal.open()
    journal: Journal = mailbox_place.open()
    subscription = bus.subscribe(["notify.irc", "worker.test"], 10)
    effects = [message("notice", "notify.irc"), message("step")]
    mail = bus.mail(effects)
    assert mail == [("notify.irc", effects[0])]
    journal.append([append("d-1")._replace(mail=tuple(mail))])
    assert bus.publish(effects) == [Published.TAKEN] * 2
    assert sorted(names(subscription.take(10, NEVER))) == ["notice", "step"]
    assert subscription.take(10, NEVER) == []
    bus.close()


def test_mail_that_an_append_committed_is_delivered_after_a_crash_before_its_publishing(
    mailbox_place: SqlitePlace, kept_with_the_journal: EmbeddedPlace
) -> None:
    journal: Journal = mailbox_place.open()
    journal.append([append("d-1")._replace(mail=(("notify.irc", message("notice", "notify.irc")),))])
    bus = kept_with_the_journal.open()
    subscription = bus.subscribe(["notify.irc"], 10)
    assert names(take_all(subscription, 1)) == ["notice"]
    bus.publish([message("notice", "notify.irc")])
    assert subscription.take(10, NEVER) == []
    bus.close()


def test_mail_for_a_queue_that_nobody_declared_is_not_kept(kept_with_the_journal: EmbeddedPlace) -> None:
    bus = kept_with_the_journal.open()
    assert bus.mail([message("notice", "notify.nobody")]) == []
    assert bus.publish([message("notice", "notify.nobody")]) == [Published.UNROUTABLE]
    bus.close()


def test_a_mailbox_says_what_it_keeps_and_what_was_settled(mailbox_place: SqlitePlace) -> None:
    mailbox: Mailbox = mailbox_place.open()
    assert mailbox.keep([("output", message("a")), ("output", message("b"))]) == [True, True]
    mailbox.settle("output", ["a", "unknown"])
    assert mailbox.keep([("output", message("a")), ("output", message("c")), ("other", message("a"))]) == [
        False,
        True,
        True,
    ]
    assert [one.id for one in mailbox.kept("output")] == ["b", "c"]


def test_a_mailbox_gives_back_what_it_was_given(mailbox_place: SqlitePlace) -> None:
    mailbox: Mailbox = mailbox_place.open()
    given = message("a", expires=5000)._replace(headers={"re-step": "1"}, correlation_id="d", body=b"\x00\xff")
    mailbox.keep([("output", given)])
    assert mailbox.kept("output") == [given]


def test_a_mailbox_does_not_give_back_what_expired(mailbox_place: SqlitePlace) -> None:
    mailbox: Mailbox = mailbox_place.open()
    mailbox.keep([("output", message("a", expires=5000)), ("output", message("b", expires=9000))])
    mailbox_place.clock.milliseconds += 6000
    assert [(one.id, one.expires) for one in mailbox.kept("output")] == [("b", 3000)]


def test_settled_ids_are_forgotten_after_a_day(mailbox_place: SqlitePlace) -> None:
    mailbox: Mailbox = mailbox_place.open()
    mailbox.keep([("output", message("a"))])
    mailbox.settle("output", ["a"])
    mailbox_place.clock.milliseconds += 23 * 3600 * 1000
    mailbox.settle("output", [])
    assert mailbox.keep([("output", message("a"))]) == [False]
    mailbox_place.clock.milliseconds += 2 * 3600 * 1000
    mailbox.settle("output", [])
    assert mailbox.keep([("output", message("a"))]) == [True]


def test_ids_are_forgotten_as_fast_as_they_come(mailbox_place: SqlitePlace) -> None:
    """More at each look than any fixed number, for three days of a clock that steps by three hours."""
    mailbox: Mailbox = mailbox_place.open()
    step, day, many = 3 * 3600 * 1000, 8, 1500
    known = []
    for round in range(3 * day):
        ids = [f"{round}.{number}" for number in range(many)]
        mailbox.keep([("notify.irc", message(id)) for id in ids])
        mailbox.settle("notify.irc", ids)
        known.append(_count(mailbox_place))
        mailbox_place.clock.milliseconds += step
    assert max(known) <= many * (day + 2)


def test_what_piled_up_is_forgotten_behind_a_trickle(mailbox_place: SqlitePlace) -> None:
    """As a store of an older version has it: a million ids, and few settlings a minute."""
    mailbox: Mailbox = mailbox_place.open()
    ids = [f"old {number}" for number in range(5000)]
    mailbox.keep([("notify.irc", message(id)) for id in ids])
    mailbox.settle("notify.irc", ids)
    mailbox_place.clock.milliseconds += 25 * 3600 * 1000
    for number in range(100):
        mailbox.keep([("notify.irc", message(f"new {number}"))])
        mailbox.settle("notify.irc", [f"new {number}"])
    assert _count(mailbox_place) == 100


@pytest.mark.parametrize(("queue", "left"), [("output", 0), ("notify.irc", 3), (DEAD, 3)])
def test_what_was_settled_leaves_an_id_only_where_the_consumer_knows_none(
    mailbox_place: SqlitePlace, kept_with_the_journal: EmbeddedPlace, queue: str, left: int
) -> None:
    bus = kept_with_the_journal.open()
    subscription = bus.subscribe([queue], 10)
    bus.publish([message(name, queue, direct=True) for name in "abc"])
    subscription.ack(take_all(subscription, 3))
    assert _count(mailbox_place) == left


def _count(place: SqlitePlace) -> int:
    with closing(sqlite3.connect(place.path)) as file:
        (count,) = file.execute("SELECT count(*) FROM mailbox").fetchone()
        return int(count)
