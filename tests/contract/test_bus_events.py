"""Bus: events reach whoever listens, and a queue that is bound to them; nothing else sees them."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue

import pytest

from re_core.ports import Bus, Published
from re_core.wire.messages import Message
from tests.contract.places import SOON, BusPlace
from tests.contract.samples import message

KEY = "event.deployment.ended"


class Ear:
    """What one listener has heard."""

    def __init__(self, bus: Bus, *keys: str) -> None:
        self.heard: SimpleQueue[Message | None] = SimpleQueue()
        self.stop = bus.listen(self.heard.put, keys)
        # it hears nothing yet, but that it begins to
        assert self.heard.get(timeout=SOON) is None

    def next(self) -> str:
        found = self.heard.get(timeout=SOON)
        return "" if found is None else found.id


def test_every_listener_hears_every_event(bus: Bus) -> None:
    ears = [Ear(bus), Ear(bus)]
    sent = [message("a", KEY), message("b", "event.other.kind"), message("c", "hint.output")]
    assert bus.publish(sent) == [Published.TAKEN] * 3
    assert [[ear.next(), ear.next(), ear.next()] for ear in ears] == [["a", "b", "c"]] * 2


def test_a_listener_gets_the_message_as_it_was_published(bus: Bus) -> None:
    ear = Ear(bus)
    sent = Message(KEY, b'{"specversion":"1.0"}', "d:000001:0", "d", headers={"re-event": "x"}, app_id="re-core")
    bus.publish([sent])
    assert ear.heard.get(timeout=SOON) == sent


def test_a_listener_hears_nothing_but_events(bus: Bus) -> None:
    ear = Ear(bus)
    bus.declare("worker.test")
    bus.publish([message("a"), message("b", "events"), message("c", KEY, direct=True)])
    bus.publish([message("d", KEY)])
    assert ear.next() == "d"


def test_who_has_stopped_listening_hears_nothing_more(bus: Bus) -> None:
    first, second = Ear(bus), Ear(bus)
    first.stop()
    third = Ear(bus)  # by now the bus knows of it
    bus.publish([message("a", KEY)])
    assert second.next() == third.next() == "a"
    with pytest.raises(Empty):
        first.heard.get_nowait()


def test_after_the_last_listener_has_gone_events_reach_nothing_until_there_is_another(bus: Bus) -> None:
    Ear(bus).stop()
    end = time.monotonic() + SOON
    while bus.publish([message("a", KEY)]) != [Published.UNROUTABLE]:
        assert time.monotonic() < end
    ear = Ear(bus)
    assert bus.publish([message("b", KEY)]) == [Published.TAKEN]
    assert ear.next() == "b"


def test_an_event_that_reaches_nothing_is_unroutable_and_the_bus_says_so(bus: Bus) -> None:
    assert bus.publish([message("a", KEY)]) == [Published.UNROUTABLE]
    assert not bus.listened(KEY)


def test_of_another_key_the_bus_does_not_say_that_it_reaches_nothing(bus: Bus) -> None:
    assert bus.publish([message("a", "hint.journal")]) == [Published.UNROUTABLE]
    assert not bus.listened("hint.journal")
    ear = Ear(bus)
    bus.publish([message("b", KEY)])
    assert bus.listened(KEY)
    assert ear.next() == "b"


def test_a_bus_with_a_listener_is_listened_to(bus: Bus) -> None:
    ear = Ear(bus)
    assert bus.publish([message("a", KEY)]) == [Published.TAKEN]
    assert bus.listened(KEY)
    assert ear.next() == "a"


def test_a_listener_to_some_keys_hears_nothing_else(bus: Bus) -> None:
    some, all_of_it = Ear(bus, KEY, "event.pipeline.*"), Ear(bus)
    keys = ["event.deployment.accepted", "event.pipeline.voted", "event.pipeline.voted.twice", "hint.journal", KEY]
    bus.publish([message(key, key) for key in keys])
    assert [all_of_it.next() for _ in keys] == keys
    assert [some.next(), some.next()] == ["event.pipeline.voted", KEY]


def test_what_no_listener_wants_reaches_nothing_and_the_bus_says_so(bus: Bus) -> None:
    ear = Ear(bus, "event.pipeline.*", KEY)
    sent = [message("a", "event.deployment.step_ended"), message("b", "event.pipeline.released"), message("c", KEY)]
    assert bus.publish(sent) == [Published.UNROUTABLE, Published.TAKEN, Published.TAKEN]
    assert [ear.next(), ear.next()] == ["b", "c"]
    listened = [bus.listened(key) for key in ("event.deployment.step_ended", "event.pipeline.released", KEY)]
    assert listened == [False, True, True]


def test_who_stops_listening_to_some_keys_leaves_those_who_listen_to_others(bus: Bus) -> None:
    some, others = Ear(bus, KEY), Ear(bus, "event.pipeline.*")
    some.stop()
    end = time.monotonic() + SOON
    while bus.publish([message("a", KEY)]) != [Published.UNROUTABLE]:
        assert time.monotonic() < end
    assert bus.publish([message("b", "event.pipeline.voted")]) == [Published.TAKEN]
    assert others.next() == "b"


def test_a_listener_of_another_process_hears_too(bus_place: BusPlace) -> None:
    here = bus_place.open()
    if type(here).__name__ == "EmbeddedBus":
        pytest.skip("there is one process")
    ear = Ear(here)
    bus_place.open().publish([message("a", KEY)])
    assert ear.next() == "a"
