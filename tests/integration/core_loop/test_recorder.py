"""Output: every line once, in order, numbered without gaps, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.errors import StoreUnavailable, TransientError
from re_core.ports import Bus
from re_core.services.output_recorder import Recorder
from re_core.wire import messages as m
from re_core.wire.dead_letters import DETAIL, REASON
from re_core.wire.messages import Message
from re_core.wire.redaction import REDACTED, Redaction
from tests.integration.core_loop.house import House


@pytest.fixture
def recorder(house: House) -> Iterator[Recorder]:
    made = _recorder(house)
    yield made
    made.close()


def _recorder(house: House, *redact: str, bus: Bus | None = None) -> Recorder:
    patterns = [re.compile(one) for one in redact]
    store = house.faults.store(house.store)
    return Recorder(bus or house.faults.bus(house.bus), store, house.clock, Redaction(patterns))


def _print(bus: Bus, text: str, id: str, deployment: str = "d1", step: str = "0") -> None:
    headers = {m.STEP: step} if step else {}
    bus.publish([Message("output", m.encode({"message": text}), id, deployment, headers=headers)])


def _lines(house: House, deployment: str = "d1") -> list[tuple[int, str]]:
    return [(line.number, line.text) for line in house.store.output(deployment)]


def test_lines_are_numbered_from_one_in_their_order(house: House, recorder: Recorder) -> None:
    _print(house.bus, "one\ntwo\n", "a")
    _print(house.bus, "three", "b", step="1")
    _print(house.bus, "other", "c", deployment="d2")
    assert recorder.turn(0) == 3
    _print(house.bus, "four\r\n\r\n", "d", step="x")
    assert recorder.turn(0) == 1
    assert _lines(house) == [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "")]
    assert _lines(house, "d2") == [(1, "other")]
    assert [line.step for line in house.store.output("d1")] == [0, 0, 1, None, None]


def test_a_recorder_with_nothing_to_write_writes_nothing(recorder: Recorder) -> None:
    assert recorder.turn(0) == 0


def test_a_step_that_is_no_number_of_ours_is_no_step(house: House, recorder: Recorder) -> None:
    _print(house.bus, "x", "a", step="\N{SUPERSCRIPT TWO}")
    recorder.turn(0)
    assert [line.step for line in house.store.output("d1")] == [None]


def test_what_matches_a_pattern_is_redacted_wherever_it_stands(house: House) -> None:
    recorder = _recorder(house, r"password=\S+", "s3cr3t")
    _print(house.bus, "login password=hunter2 s3cr3ts3cr3t\nPASSWORD", "a")
    recorder.turn(0)
    assert _lines(house) == [(1, f"login {REDACTED} {REDACTED}{REDACTED}"), (2, "PASSWORD")]


def test_what_is_said_of_a_bad_message_has_no_part_of_a_secret(house: House) -> None:
    """The reason repeats the beginning of what was found."""
    recorder = _recorder(house, "s3cr3t-[0-9]+")
    house.bus.publish([Message("output", b'{"message": ["' + b"x" * 30 + b's3cr3t-1234567890"]}', "bad", "d1")])
    recorder.turn(0)
    (letter,) = [one.message for one in house.dead()]
    assert "found" in letter.headers[DETAIL] and "s3cr" not in letter.headers[DETAIL]


@pytest.mark.parametrize(
    ("body", "deployment", "words"),
    [(b"{", "d1", "not JSON"), (b'{"message": 1}', "d1", "string"), (b'{"message": "x"}', "", "which deployment")],
)
def test_a_bad_message_is_a_dead_letter_and_the_rest_is_kept(
    house: House, recorder: Recorder, body: bytes, deployment: str, words: str
) -> None:
    _print(house.bus, "before", "a")
    house.bus.publish([Message("output", body, "bad", deployment)])
    _print(house.bus, "after", "b")
    assert recorder.turn(0) == 3
    assert _lines(house) == [(1, "before"), (2, "after")]
    (letter,) = [one.message for one in house.dead()]
    assert (letter.body, letter.headers[REASON]) == (body, "bad-message")
    assert words in letter.headers["re-dead-detail"]


def test_numbers_go_on_after_a_restart(house: House, recorder: Recorder) -> None:
    _print(house.bus, "one\ntwo", "a")
    recorder.turn(0)
    house.boot()
    again = _recorder(house)
    _print(house.bus, "three", "b")
    again.turn(0)
    assert _lines(house) == [(1, "one"), (2, "two"), (3, "three")]


def test_what_was_printed_before_a_restart_is_recorded_after_it(house: House) -> None:
    house.bus.declare(m.OUTPUT)
    _print(house.bus, "one", "a")
    _print(house.bus, "two", "b")
    house.boot()
    _recorder(house).turn(0)
    assert _lines(house) == [(1, "one"), (2, "two")]


def test_a_message_that_comes_again_is_recorded_once(house: House, recorder: Recorder) -> None:
    _print(house.bus, "one", "a")
    recorder.turn(0)
    _print(house.bus, "one", "a")
    recorder.turn(0)
    assert _lines(house) == [(1, "one")]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_copy_that_nobody_marked_makes_no_gap(house: House, restarted: bool) -> None:
    """Who published it did not hear that it had arrived, and published it again."""
    bus = EmbeddedBus(None, house.clock, house.clock.monotonic)
    recorder = _recorder(house, bus=bus)
    for id in ("a", "b"):
        _print(bus, id, id)
    recorder.turn(0)
    if restarted:
        recorder.close()
        recorder = _recorder(house, bus=bus)
    for id in ("a", "b", "a", "c"):
        _print(bus, id, id)
    recorder.turn(0)
    assert _lines(house) == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_call_that_fails_once_makes_no_gap_and_no_copy(house: House, number: int, after: bool) -> None:
    """Calls of the store and of the bus: a bad letter to reject, output to add, deliveries to settle."""
    recorder = _recorder(house)
    house.faults.fail(number, after)
    for round in range(3):
        _print(house.bus, f"a{round}", f"a{round}")
        house.bus.publish([Message("output", b"bad", f"bad{round}", "d1")])
        _print(house.bus, f"b{round}\nc{round}", f"b{round}")
        for _ in range(2):
            try:
                recorder.turn(0)
            except TransientError:
                continue
    assert _lines(house) == list(enumerate([f"{one}{round}" for round in range(3) for one in "abc"], 1))
    assert {letter.message.headers["re-dead-id"] for letter in house.dead()} == {"bad0", "bad1", "bad2"}
    recorder.close()
    assert house.bus.subscribe([m.OUTPUT], 10).take(10, 0) == []


def test_a_recorder_that_died_before_it_settled_writes_nothing_twice(house: House) -> None:
    recorder = _recorder(house)
    _print(house.bus, "one", "a")
    _print(house.bus, "two", "b")
    house.faults.before = _no_ack
    with pytest.raises(KeyboardInterrupt):
        recorder.turn(0)
    house.faults.heal()
    house.boot()
    again = _recorder(house)
    _print(house.bus, "three", "c")
    again.turn(0)
    assert _lines(house) == [(1, "one"), (2, "two"), (3, "three")]


def _no_ack(name: str, number: int) -> None:
    if name == "ack":
        raise KeyboardInterrupt


def test_equal_lines_of_a_worker_that_sends_no_ids_are_all_kept(house: House) -> None:
    """Written in 2014: the bus of one process knows no such worker, so this one forgets what it had."""
    bus = EmbeddedBus(None, house.clock, house.clock.monotonic)
    recorder = _recorder(house, bus=bus)
    for _ in range(3):
        _print(bus, "same", "", step="")
        recorder.turn(0)
    assert _lines(house) == [(1, "same"), (2, "same"), (3, "same")]


def test_more_deployments_than_are_remembered_are_numbered_all_the_same(
    house: House, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("re_core.services.output_recorder._REMEMBERED", 2)
    for round in range(2):
        for number in range(4):
            _print(house.bus, f"{round}", f"{round}.{number}", deployment=f"d{number}")
        recorder.turn(0)
    assert [_lines(house, f"d{number}") for number in range(4)] == [[(1, "0"), (2, "1")]] * 4


MARK = "[the output quota of 2000 bytes is used up; what else this step prints is dropped]"


def _narrow(house: House) -> Recorder:
    return Recorder(house.faults.bus(house.bus), house.faults.store(house.store), house.clock, Redaction(), 2000)


def test_what_a_worker_without_a_quota_prints_past_it_is_dropped(house: House) -> None:
    recorder = _narrow(house)
    for number in range(5):
        _print(house.bus, "x" * 999, f"a{number}")
    _print(house.bus, "another step", "b", step="1")
    _print(house.bus, "another deployment", "c", deployment="d2")
    assert recorder.turn(0) == 7
    _print(house.bus, "more", "d")
    _print(house.bus, "the other step goes on", "e", step="1")
    recorder.turn(0)
    recorder.close()
    assert [text for _, text in _lines(house)] == [
        "x" * 999,
        "x" * 999,
        MARK,
        "another step",
        "the other step goes on",
    ]
    assert [number for number, _ in _lines(house)] == [1, 2, 3, 4, 5]
    assert _lines(house, "d2") == [(1, "another deployment")]
    assert house.bus.subscribe(["output"], 10).take(10, 0) == []


def test_who_says_that_it_keeps_to_a_quota_is_believed(house: House) -> None:
    recorder = _narrow(house)
    headers = {m.STEP: "0", m.QUOTA: "1048576"}
    house.bus.publish([Message("output", m.encode({"message": "x" * 5000}), "a", "d1", headers=headers)])
    recorder.turn(0)
    recorder.close()
    assert [len(text) for _, text in _lines(house)] == [5000]


def test_what_was_not_stored_is_not_counted(house: House) -> None:
    recorder = _narrow(house)
    _print(house.bus, "x" * 1500, "a")

    def refuse(name: str, call: int) -> None:
        if name == "add_output":
            raise StoreUnavailable

    house.faults.before = refuse
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            recorder.turn(0)
    house.faults.heal()
    recorder.turn(0)
    recorder.close()
    assert [len(text) for _, text in _lines(house)] == [1500]
