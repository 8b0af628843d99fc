"""Messages that somebody made to break who reads them: none ends a part of the core, and what cannot be used is a dead letter.

On every bus and every store: what one of them cannot carry or keep is part of the attack.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from re_core.adapters.clock_system import SystemClock
from re_core.admission.acceptance import Acceptance
from re_core.errors import NotStorable
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Bus, Store
from re_core.rows import StoredPlaybook
from re_core.sequencer.loop import Sequencer
from re_core.services.dead_letters import DeadLetterRecorder
from re_core.services.heartbeats import Heartbeats
from re_core.services.output_recorder import Recorder
from re_core.wire import dead_letters
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_core.workforce.capabilities import LiveOffers
from re_core.workforce.presence import Presence, RollCall
from re_workers.notify.consumer import Notifier
from re_workers.notify.handler import Notice
from tests.factories import simple

#: more digits than int() reads, and numbers that no store keeps
DIGITS = "9" * 5000
HUGE = 10**300

#: seconds within which every message has been dealt with
PATIENCE = 10.0


class Silent:
    """See Handler: it tells nobody."""

    transport = "console"

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Parts:
    """All consumers of a core, and a notifier, turned by the test: what one of them raises, the test raises."""

    def __init__(self, bus: Bus, store: Store) -> None:
        clock = SystemClock()
        self.bus, self.store = bus, store
        presence = Presence("core")
        offers = LiveOffers(RollCall(store, presence), clock)
        acceptance = Acceptance(store, offers, EnginePolicy())
        self.all: list[Any] = [
            Sequencer(bus, store, clock, acceptance, "core", Redaction()),
            Recorder(bus, store, clock, Redaction()),
            Heartbeats(bus, store, clock, presence),
            DeadLetterRecorder(bus, store, clock),
            Notifier(bus, clock, "w", Silent()),
        ]

    def turn_until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            for part in self.all:
                part.turn(0.01)
            assert time.monotonic() < end, "a message was never dealt with"

    def publish(self, messages: list[Message]) -> None:
        self.bus.publish(messages)

    def letters(self) -> list[bytes]:
        return [one.body for one in self.store.dead_letters(1000)]

    def close(self) -> None:
        for part in self.all:
            part.close()


@pytest.fixture
def parts(bus: Bus, store: Store) -> Iterator[Parts]:
    made = Parts(bus, store)
    yield made
    made.close()


def _beat(**more: Any) -> bytes:
    return m.encode({"worker": "w", "slots": 1, "offers": {}, "running": [], **more})


def _raw(text: str) -> bytes:
    """A body with digits that no encoder of ours would write."""
    return text.replace("#", DIGITS).encode()


HOSTILE = {
    "slots": Message("heartbeat", _beat(slots=HUGE), "a"),
    "slots that int() does not read": Message(
        "heartbeat", _raw('{"worker":"w","slots":#,"offers":{},"running":[]}'), "b"
    ),
    "slots of 64 bits and one": Message("heartbeat", _beat(slots=2**63), "c"),
    "beat": Message("heartbeat", _beat(beat=2**63), "d"),
    "attempt": Message(
        "re.reply.1", b'{"status":"started"}', "e", "d1", headers={m.ATTEMPT: f"d1/{DIGITS}/1"}, direct=True
    ),
    "before": Message("re.reply.1", _raw('{"before":#}'), "f", "d1", headers={m.EVENT: "gone"}, direct=True),
    "retries": Message("re.reply.1", _raw('{"retries":#}'), "g", "d1", headers={m.EVENT: "retry"}, direct=True),
    "values": Message("job.create", _raw('{"group":"g","playbook_id":"p","dynamic":{"a":#}}'), "h"),
    "timeout of an offer": Message("heartbeat", _beat(offers={"a:B": {"retries": HUGE}}), "i"),
    "notification": Message("notify.console", _raw('{"slug":#}'), "j"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_message_with_huge_digits_is_a_dead_letter(parts: Parts, what: str) -> None:
    message = HOSTILE[what]
    parts.publish([message])
    parts.turn_until(lambda: parts.letters() == [message.body])


def test_output_of_a_step_with_huge_digits_is_recorded(parts: Parts) -> None:
    headers = {m.STEP: DIGITS}
    parts.publish([Message("output", b'{"message":"one"}', "o", "d1", headers=headers)])
    parts.publish([Message("output", b'{"message":"two"}', "p", "d1", headers={m.STEP: str(2**63)})])
    parts.turn_until(lambda: len(parts.store.output("d1")) == 2)
    assert {line.step for line in parts.store.output("d1")} == {None}


@pytest.mark.parametrize("at", [DIGITS, str(2**63), "-1", ""])
def test_a_dead_letter_with_huge_digits_is_kept(parts: Parts, at: str) -> None:
    """Where it does not say when it died, it has the time at which it was stored, so that a prune does not take it for old."""
    before = SystemClock().now()
    parts.publish([Message(m.DEAD, b"body", "x", headers={dead_letters.AT: at, dead_letters.QUEUE: "q"}, direct=True)])
    parts.turn_until(lambda: parts.letters() == [b"body"])
    assert before <= parts.store.dead_letters(1)[0].at <= SystemClock().now()


def test_dead_letters_without_an_id_are_all_kept() -> None:
    """A broker makes them so of what somebody else has sent."""
    one, two = (dead_letters.parse_dead_letter(Message(m.DEAD, body, "", direct=True)) for body in (b"one", b"two"))
    assert one.id and two.id and one.id != two.id


# -- anything ------------------------------------------------------------------------------------------

_NUMBERS = st.sampled_from([DIGITS, str(2**63), str(2**64), "-1", "0", "1e999", "٣", "", "nan", "\0", "x" * 2000])
_ATTEMPTS = st.builds("{}/{}/{}".format, st.sampled_from(["d1", "", "/", "\0"]), _NUMBERS, _NUMBERS)
_NAMES = st.sampled_from(
    [m.ATTEMPT, m.TOKEN, m.WORKER, m.EVENT, m.GRANT, m.TIMEOUT, m.TURN, m.ASKS, m.STEP, m.USER, m.SOURCE, m.KEY,
     m.KEY_DIGEST, m.FORWARDED_BY, dead_letters.QUEUE, dead_letters.REASON, dead_letters.AT, dead_letters.ID, "other"]
)  # fmt: skip
_EVENTS = st.sampled_from(["gone", "due", "cancel", "retry", "decide", "declined", m.BYE, "tell", "go"])
_HEADERS = st.dictionaries(_NAMES, st.one_of(_NUMBERS, _ATTEMPTS, _EVENTS), max_size=6)
_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.sampled_from([HUGE, -HUGE, 2**63, 2**53, -1, 0, 1, 1e300]), st.text(max_size=20),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)  # fmt: skip
_KEYS = ["worker", "slots", "offers", "running", "beat", "degraded", "status", "data", "message", "before", "workers", "step",
         "attempt", "ruling", "retries", "lost", "user", "reason", "group", "playbook_id", "dynamic", "slug", "phase",
         "target"]  # fmt: skip
#: bodies that are nearly right: then the hostile value gets further
_BASES: list[dict[str, Any]] = [
    {"worker": "w", "slots": 1, "offers": {}, "running": []},
    {"status": "completed", "data": None},
    {"before": 1},
    {"group": "inception", "playbook_id": "p1", "dynamic": {}},
    {"message": "line"},
    {"slug": "s", "message": "m", "phase": "started", "target": []},
    {"step": 0, "ruling": "again"},
]
_BODIES = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda base, more: m.encode({**base, **more}),
        st.sampled_from(_BASES),
        st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=3),
    ),
)
_KEYS_OF_QUEUES = st.sampled_from(
    ["job.create", "re.reply.1", "re.reply.9", "output", "heartbeat", m.DEAD, "notify.console"]
)
_IDS = st.sampled_from(["", "d1", "i" * 200, "a/b/c", "\0", "é", "2", "3"])


def _message(key: str, body: bytes, id: str, correlation: str, headers: dict[str, str]) -> Message:
    direct = key.startswith("re.reply.") or key == m.DEAD
    return Message(key, body, id, correlation, "", headers, "app", direct)


_MESSAGES = st.lists(st.builds(_message, _KEYS_OF_QUEUES, _BODIES, _IDS, _IDS, _HEADERS), min_size=1, max_size=25)


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(messages=_MESSAGES)
def test_no_message_whatever_ends_a_part_of_the_core(parts: Parts, messages: list[Message]) -> None:
    """What follows it is dealt with: a notice on each queue, behind the others."""
    parts.publish(messages)
    last = f"last {time.monotonic_ns()}".encode()
    queues = ("job.create", "re.reply.1", "re.reply.9", "output", "heartbeat", m.DEAD, "notify.console")
    parts.publish([_message(key, b"%s %s" % (last, key.encode()), f"{last.decode()} {key}", "", {}) for key in queues])
    parts.turn_until(lambda: sum(body.startswith(last) for body in parts.letters()) == len(queues))


def test_a_deployment_goes_on_among_messages_that_break_their_batch(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason: a store that cannot keep one entry keeps the others."""
    playbook = simple("noop:A")
    parts.store.save_playbook(StoredPlaybook("p1", "inception", "p1", 1, playbook, 1, 1, "pat"))
    real = parts.store.append

    def append(batch: Any) -> Any:
        if any(one.entry.deployment == "bad" for one in batch):
            raise NotStorable
        return real(batch)

    monkeypatch.setattr(parts.store, "append", append)
    body = m.encode({"group": "inception", "playbook_id": "p1"})
    parts.bus.declare("worker.noop")
    parts.publish([Message("job.create", body, id) for id in ("good", "bad", "better")])
    parts.turn_until(lambda: bool(parts.letters()) and bool(parts.store.entries("better")))
    assert parts.store.entries("good") and not parts.store.entries("bad")
    assert [one.reason for one in parts.store.dead_letters(9)] == ["not-storable"]
