"""A deployment's trace: from its request through every step and notification, and over the death of its core."""

from __future__ import annotations

from collections.abc import Sequence

from re_core.deployment.records import Record
from re_core.deployment.state import State
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Delivery, Observer
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.trace_context import TRACEPARENT, DeploymentTrace, TraceContext, parse, span_id, trace_id
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness

CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", False)


class Heard(Observer):
    """Notes what it hears; says that spans are recorded."""

    traces = True

    def __init__(self) -> None:
        self.taken = self.entries = 0
        self.keys: list[str] = []
        self.kinds: list[str] = []
        self.trace: DeploymentTrace | None = None

    def took(self, deliveries: Sequence[Delivery]) -> None:
        self.taken += len(deliveries)

    def appended(self, entries: int, lost: int, seconds: float) -> None:
        self.entries += entries - lost

    def published(self, messages: Sequence[Message], seconds: float) -> None:
        self.keys += [message.key for message in messages]

    def recorded(self, state: State, records: Sequence[Record], at: int, trace: DeploymentTrace | None) -> None:
        self.kinds += [type(record).__name__ for record in records]
        self.trace = trace


def _sent(harness: CoreHarness, *queues: str) -> list[Message]:
    """What lies on the queues of those who go on, which nobody else takes."""
    subscription = harness.bus.subscribe(queues, 100)
    taken = subscription.take(100, 0)
    subscription.ack(taken)
    subscription.close()
    return [delivery.message for delivery in taken]


def _context(message: Message) -> TraceContext | None:
    return parse(message.headers.get(TRACEPARENT, ""))


def test_steps_and_notifications_carry_their_callers_context_unchanged_where_no_spans_are_recorded(
    build: Build,
) -> None:
    harness = build(around=EnginePolicy(notify={"started": {"pigeon": ("ops",)}}), transports=())
    harness.bus.declare("notify.pigeon")
    harness.save(simple("noop:A"))
    harness.worker.close()
    harness.ask("d1", headers={TRACEPARENT: CALLER.header})
    harness.core.turn(0)
    sent = _sent(harness, "worker.noop", "notify.pigeon")
    assert [(message.key, _context(message)) for message in sent] == [
        ("worker.noop", CALLER),
        ("notify.pigeon", CALLER),
    ]


def test_without_a_caller_a_step_is_in_a_trace_of_the_deployments_own(harness: CoreHarness) -> None:
    harness.save(simple("noop:A"))
    harness.worker.close()
    harness.ask("d1")
    harness.core.turn(0)
    [step] = _sent(harness, "worker.noop")
    assert _context(step) == TraceContext(trace_id("d1"), span_id("d1"))


def test_a_core_that_takes_over_learns_the_trace_from_a_workers_reply(harness: CoreHarness) -> None:
    harness.save(simple("noop:A", "noop:B"))
    harness.worker.close()
    harness.ask("d1", headers={TRACEPARENT: CALLER.header})
    harness.core.turn(0)
    [first] = _sent(harness, "worker.noop")
    harness.boot()
    harness.worker.close()
    attempt = first.headers[m.ATTEMPT]
    said = {m.ATTEMPT: attempt, m.TOKEN: "t", m.WORKER: "w", TRACEPARENT: first.headers[TRACEPARENT]}
    for word in ("started", "completed"):
        body = m.encode({"status": word})
        harness.bus.publish([Message(m.reply_queue("d1"), body, word, "d1", "re.control.w", said, direct=True)])
    harness.core.turn(0)
    harness.core.turn(0)
    second = _sent(harness, "worker.noop")[-1]
    assert second.headers[m.ATTEMPT] == "d1/1/1"
    assert _context(second) == CALLER


def test_the_observer_hears_each_point_once_and_spans_are_parents_where_they_are_recorded(build: Build) -> None:
    harness = build()
    core, observer = harness.core, Heard()
    for part in (core, core._outbox, core._committer, core._decider._deployments):
        part._observer = observer
    harness.save(simple("noop:A"))
    harness.ask("d1", headers={TRACEPARENT: CALLER.header})
    harness.settle()
    assert observer.kinds == ["Accepted", "Dispatched", "Started", "Completed", "Ended"]
    assert observer.kinds == [type(record).__name__ for record in harness.records()]
    assert observer.entries == len(harness.store.entries("d1"))
    assert observer.taken == 3, "the request, the claim and the outcome"
    assert observer.keys.count("worker.noop") == 1
    assert observer.trace is not None
    assert observer.trace.parent("d1/0/1") == CALLER._replace(span_id=span_id("d1/0/1"))
