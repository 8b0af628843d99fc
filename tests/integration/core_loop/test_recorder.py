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
from re_core.wire.recorded import LINES, PLACE
from re_core.wire.redaction import REDACTED, Redaction
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.fixture
def recorder(harness: CoreHarness) -> Iterator[Recorder]:
    made = _recorder(harness)
    yield made
    made.close()


def _recorder(harness: CoreHarness, *redact: str, bus: Bus | None = None) -> Recorder:
    patterns = [re.compile(one) for one in redact]
    store = harness.faults.store(harness.store)
    return Recorder(bus or harness.faults.bus(harness.bus), store, harness.clock, Redaction(patterns))


def _print(bus: Bus, text: str, id: str, deployment: str = "d1", step: str = "0") -> None:
    headers = {m.STEP: step} if step else {}
    bus.publish([Message("output", m.encode({"message": text}), id, deployment, headers=headers)])


def _lines(harness: CoreHarness, deployment: str = "d1") -> list[tuple[int, str]]:
    return [(line.number, line.text) for line in harness.store.output(deployment)]


def test_lines_are_numbered_from_one_in_their_order(harness: CoreHarness, recorder: Recorder) -> None:
    _print(harness.bus, "one\ntwo\n", "a")
    _print(harness.bus, "three", "b", step="1")
    _print(harness.bus, "other", "c", deployment="d2")
    assert recorder.turn(0) == 3
    _print(harness.bus, "four\r\n\r\n", "d", step="x")
    assert recorder.turn(0) == 1
    assert _lines(harness) == [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "")]
    assert _lines(harness, "d2") == [(1, "other")]
    assert [line.step for line in harness.store.output("d1")] == [0, 0, 1, None, None]


def test_a_recorder_with_nothing_to_write_writes_nothing(recorder: Recorder) -> None:
    assert recorder.turn(0) == 0


def test_a_step_that_is_no_number_of_ours_is_no_step(harness: CoreHarness, recorder: Recorder) -> None:
    _print(harness.bus, "x", "a", step="\N{SUPERSCRIPT TWO}")
    recorder.turn(0)
    assert [line.step for line in harness.store.output("d1")] == [None]


def test_what_matches_a_pattern_is_redacted_wherever_it_stands(harness: CoreHarness) -> None:
    recorder = _recorder(harness, r"password=\S+", "s3cr3t")
    _print(harness.bus, "login password=hunter2 s3cr3ts3cr3t\nPASSWORD", "a")
    recorder.turn(0)
    assert _lines(harness) == [(1, f"login {REDACTED} {REDACTED}{REDACTED}"), (2, "PASSWORD")]


def test_what_is_said_of_a_bad_message_has_no_part_of_a_secret(harness: CoreHarness) -> None:
    """The reason repeats the beginning of what was found."""
    recorder = _recorder(harness, "s3cr3t-[0-9]+")
    harness.bus.publish([Message("output", b'{"message": ["' + b"x" * 30 + b's3cr3t-1234567890"]}', "bad", "d1")])
    recorder.turn(0)
    (letter,) = [one.message for one in harness.dead()]
    assert "found" in letter.headers[DETAIL] and "s3cr" not in letter.headers[DETAIL]


@pytest.mark.parametrize(
    ("body", "deployment", "words"),
    [
        (b"{", "d1", "not JSON"),
        (b'{"message": 1}', "d1", "string"),
        (b'{"message": "x"}', "", "the deployment is unknown"),
    ],
)
def test_a_bad_message_is_a_dead_letter_and_the_rest_is_kept(
    harness: CoreHarness, recorder: Recorder, body: bytes, deployment: str, words: str
) -> None:
    _print(harness.bus, "before", "a")
    harness.bus.publish([Message("output", body, "bad", deployment)])
    _print(harness.bus, "after", "b")
    assert recorder.turn(0) == 3
    assert _lines(harness) == [(1, "before"), (2, "after")]
    (letter,) = [one.message for one in harness.dead()]
    assert (letter.body, letter.headers[REASON]) == (body, "bad-message")
    assert words in letter.headers["re-dead-detail"]


def test_numbers_go_on_after_a_restart(harness: CoreHarness, recorder: Recorder) -> None:
    _print(harness.bus, "one\ntwo", "a")
    recorder.turn(0)
    harness.boot()
    again = _recorder(harness)
    _print(harness.bus, "three", "b")
    again.turn(0)
    assert _lines(harness) == [(1, "one"), (2, "two"), (3, "three")]


def test_what_was_printed_before_a_restart_is_recorded_after_it(harness: CoreHarness) -> None:
    harness.bus.declare(m.OUTPUT)
    _print(harness.bus, "one", "a")
    _print(harness.bus, "two", "b")
    harness.boot()
    _recorder(harness).turn(0)
    assert _lines(harness) == [(1, "one"), (2, "two")]


def test_a_message_that_comes_again_is_recorded_once(harness: CoreHarness, recorder: Recorder) -> None:
    _print(harness.bus, "one", "a")
    recorder.turn(0)
    _print(harness.bus, "one", "a")
    recorder.turn(0)
    assert _lines(harness) == [(1, "one")]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_copy_that_nobody_marked_makes_no_gap(harness: CoreHarness, restarted: bool) -> None:
    """Who published it did not hear that it had arrived, and published it again."""
    bus = EmbeddedBus(None, harness.clock, harness.clock.monotonic)
    recorder = _recorder(harness, bus=bus)
    for id in ("a", "b"):
        _print(bus, id, id)
    recorder.turn(0)
    if restarted:
        recorder.close()
        recorder = _recorder(harness, bus=bus)
    for id in ("a", "b", "a", "c"):
        _print(bus, id, id)
    recorder.turn(0)
    assert _lines(harness) == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_call_that_fails_once_makes_no_gap_and_no_copy(harness: CoreHarness, number: int, after: bool) -> None:
    """Calls of the store and of the bus: a bad letter to reject, output to add, deliveries to settle."""
    recorder = _recorder(harness)
    harness.faults.fail(number, after)
    for round in range(3):
        _print(harness.bus, f"a{round}", f"a{round}")
        harness.bus.publish([Message("output", b"bad", f"bad{round}", "d1")])
        _print(harness.bus, f"b{round}\nc{round}", f"b{round}")
        for _ in range(2):
            try:
                recorder.turn(0)
            except TransientError:
                continue
    assert _lines(harness) == list(enumerate([f"{one}{round}" for round in range(3) for one in "abc"], 1))
    assert {letter.message.headers["re-dead-id"] for letter in harness.dead()} == {"bad0", "bad1", "bad2"}
    recorder.close()
    assert harness.bus.subscribe([m.OUTPUT], 10).take(10, 0) == []


def test_a_recorder_that_died_before_it_settled_writes_nothing_twice(harness: CoreHarness) -> None:
    recorder = _recorder(harness)
    _print(harness.bus, "one", "a")
    _print(harness.bus, "two", "b")
    harness.faults.before = _no_ack
    with pytest.raises(KeyboardInterrupt):
        recorder.turn(0)
    harness.faults.heal()
    harness.boot()
    again = _recorder(harness)
    _print(harness.bus, "three", "c")
    again.turn(0)
    assert _lines(harness) == [(1, "one"), (2, "two"), (3, "three")]


def _no_ack(name: str, number: int) -> None:
    if name == "ack":
        raise KeyboardInterrupt


def test_equal_lines_of_a_worker_that_sends_no_ids_are_all_kept(harness: CoreHarness) -> None:
    """Written in 2014: the bus of one process knows no such worker, so this one forgets what it had."""
    bus = EmbeddedBus(None, harness.clock, harness.clock.monotonic)
    recorder = _recorder(harness, bus=bus)
    for _ in range(3):
        _print(bus, "same", "", step="")
        recorder.turn(0)
    assert _lines(harness) == [(1, "same"), (2, "same"), (3, "same")]


def test_more_deployments_than_are_remembered_are_numbered_all_the_same(
    harness: CoreHarness, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("re_core.services.output_recorder._REMEMBERED", 2)
    for round in range(2):
        for number in range(4):
            _print(harness.bus, f"{round}", f"{round}.{number}", deployment=f"d{number}")
        recorder.turn(0)
    assert [_lines(harness, f"d{number}") for number in range(4)] == [[(1, "0"), (2, "1")]] * 4


MARK = "[the output quota of 2000 bytes is used up; further output of this step is dropped]"


def _narrow(harness: CoreHarness) -> Recorder:
    return Recorder(
        harness.faults.bus(harness.bus), harness.faults.store(harness.store), harness.clock, Redaction(), 2000
    )


def test_what_a_worker_without_a_quota_prints_past_it_is_dropped(harness: CoreHarness) -> None:
    recorder = _narrow(harness)
    for number in range(5):
        _print(harness.bus, "x" * 999, f"a{number}")
    _print(harness.bus, "another step", "b", step="1")
    _print(harness.bus, "another deployment", "c", deployment="d2")
    assert recorder.turn(0) == 7
    _print(harness.bus, "more", "d")
    _print(harness.bus, "the other step goes on", "e", step="1")
    recorder.turn(0)
    recorder.close()
    assert [text for _, text in _lines(harness)] == [
        "x" * 999,
        "x" * 999,
        MARK,
        "another step",
        "the other step goes on",
    ]
    assert [number for number, _ in _lines(harness)] == [1, 2, 3, 4, 5]
    assert _lines(harness, "d2") == [(1, "another deployment")]
    assert harness.bus.subscribe(["output"], 10).take(10, 0) == []


def test_who_says_that_it_keeps_to_a_quota_is_believed(harness: CoreHarness) -> None:
    recorder = _narrow(harness)
    headers = {m.STEP: "0", m.QUOTA: "1048576"}
    harness.bus.publish([Message("output", m.encode({"message": "x" * 5000}), "a", "d1", headers=headers)])
    recorder.turn(0)
    recorder.close()
    assert [len(text) for _, text in _lines(harness)] == [5000]


def test_what_was_not_stored_is_not_counted(harness: CoreHarness) -> None:
    recorder = _narrow(harness)
    _print(harness.bus, "x" * 1500, "a")

    def refuse(name: str, call: int) -> None:
        if name == "add_output":
            raise StoreUnavailable

    harness.faults.before = refuse
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            recorder.turn(0)
    harness.faults.heal()
    recorder.turn(0)
    recorder.close()
    assert [len(text) for _, text in _lines(harness)] == [1500]


# -- attempts that another process goes on with ----------------------------------------------------------


def _say(bus: Bus, process: str, place: int, *lines: str, attempt: str = "d1/0/1", moves: int = 0) -> None:
    """What a process of a recorded attempt sends: some of its lines, with the number of the first one."""
    headers = {m.STEP: "0", m.ATTEMPT: attempt, PLACE: str(place), **({m.MOVES: str(moves)} if moves else {})}
    id = f"{attempt}/{process}{LINES}{place + len(lines)}"
    bus.publish([Message("output", m.encode({"message": "\n".join(lines)}), id, "d1", headers=headers)])


@pytest.mark.parametrize("restarts", [False, True])
def test_lines_that_another_process_says_again_are_recorded_once(harness: CoreHarness, restarts: bool) -> None:
    recorder = _recorder(harness)
    said = [
        ("w1", 0, "ab"),
        ("w1", 2, "c"),
        ("w2", 0, "abcd"),  # goes on with it, and says all of it
        ("w1", 3, "de"),  # was only frozen
        ("w2", 4, "e"),
        ("w2", 5, "f"),
        ("w3", 0, "ab"),
        ("w3", 2, "cdefg"),
    ]
    for process, place, lines in said:
        _say(harness.bus, process, place, *lines, moves=process != "w1")
        recorder.turn(0)
        if restarts:  # what it remembered is gone; so is what no other recorder sees
            recorder.close()
            recorder = _recorder(harness)
    _say(harness.bus, "w1", 0, "x", attempt="d1/0/2")
    recorder.turn(0)
    assert "".join(text for _, text in _lines(harness)) == "abcdefgx"
    assert [number for number, _ in _lines(harness)] == list(range(1, 9))
    assert harness.dead() == []
    recorder.close()


def test_what_one_process_says_late_is_recorded_all_the_same(harness: CoreHarness, recorder: Recorder) -> None:
    """A bus may bring a message after those behind it."""
    _say(harness.bus, "w1", 1, "b")
    _say(harness.bus, "w1", 0, "a")
    _say(harness.bus, "w1", 0, "a")
    _say(harness.bus, "w9", 0, "z", attempt="other/0/1")
    recorder.turn(0)
    assert [text for _, text in _lines(harness)] == ["b", "a", "z"]
