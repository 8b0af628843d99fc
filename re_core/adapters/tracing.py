"""Spans over OTLP/HTTP, by the extra `otel` (docs/decisions/0023). Must not know which collector takes them.

Each span is made after the fact, whole, with ids that are derived from names; nothing is kept while it lasts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from re_core.deployment import records as r
from re_core.deployment.state import State
from re_core.ports import Observer, StepRun
from re_core.wire.messages import Message
from re_core.wire.trace_context import TRACEPARENT, DeploymentTrace, TraceContext, parse, span_id

#: milliseconds between two sendings, and seconds that one may take
EVERY, PATIENCE = 1_000, 3.0

#: spans that wait to be sent; what comes beyond is dropped
WAITING = 8_192

#: records of an attempt's end; the kind of one is its outcome
_ENDS = frozenset({r.Completed, r.Failed, r.TimedOut, r.Lost})


class Tracer(Observer):
    """The spans that are this process's own."""

    traces = True

    def __init__(self, url: str, component: str) -> None:
        """`url` of the collector, with its path; `component` names the program. Sends nothing yet: it may be forked first."""
        self._url = url
        self._resource = Resource.create({"service.name": component})
        self._lock = Lock()
        self._made: BatchSpanProcessor | None = None

    def close(self) -> None:
        """Send what waits; takes PATIENCE seconds at most."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.shutdown()  # type: ignore[no-untyped-call]  # it says nothing of its types

    def requested(
        self, deployment: str, parent: TraceContext | None, span: TraceContext, outcome: str, began: int
    ) -> None:
        """See Observer."""
        about = {"release_engine.deployment": deployment, "release_engine.outcome": outcome}
        bad = "" if outcome == "accepted" else outcome
        self._record("POST deployment", span, parent, began, time.time_ns(), SpanKind.SERVER, about, bad)

    def recorded(self, state: State, records: Sequence[r.Record], at: int, trace: DeploymentTrace | None) -> None:
        """See Observer."""
        if trace is None:
            return
        for record in records:
            if isinstance(record, r.Accepted):
                self._on_acceptance(state, at, trace)
            elif isinstance(record, r.Started):
                self._on_claim(state, record.step, record.attempt, at, trace)
            elif type(record) in _ENDS:
                self._on_outcome(state, record, at, trace)

    def ran(self, run: StepRun) -> None:
        """See Observer."""
        if run.span is not None:
            about = {"release_engine.attempt": run.attempt, "release_engine.worker": run.worker}
            bad = "" if run.status == "completed" else run.status
            name = f"run {run.command}:{run.subcommand}"
            self._record(name, run.span, run.parent, run.began, run.ended, SpanKind.CONSUMER, about, bad)

    def notified(self, transport: str, message: Message, delivered: bool, began: int) -> None:
        """See Observer."""
        parent = parse(message.headers.get(TRACEPARENT, ""))
        if parent is not None:
            span = parent._replace(span_id=span_id(f"{message.id}/notify"))
            bad = "" if delivered else "refused"
            self._record(f"notify {transport}", span, parent, began, time.time_ns(), SpanKind.CONSUMER, {}, bad)

    def _on_acceptance(self, state: State, at: int, trace: DeploymentTrace) -> None:
        about = {"release_engine.deployment": state.deployment, "release_engine.group": state.accepted.group}
        about["release_engine.playbook"] = state.accepted.playbook
        parent = trace.context if trace.given else None
        span = trace.parent(state.deployment)
        self._record("accept", span, parent, at * 1_000_000, time.time_ns(), SpanKind.CONSUMER, about)

    def _on_claim(self, state: State, step: int, attempt: int, at: int, trace: DeploymentTrace) -> None:
        name, id = state.plan.steps[step].spec.name, f"{state.deployment}/{step}/{attempt}"
        known = state.steps[step]
        began = known.dispatched_at if known.attempt == attempt and known.dispatched_at is not None else at
        about = {"release_engine.attempt": id}
        span, parent = trace.parent(id), trace.parent(state.deployment)
        self._record(f"dispatch {name}", span, parent, began * 1_000_000, at * 1_000_000, SpanKind.PRODUCER, about)

    def _on_outcome(self, state: State, record: Any, at: int, trace: DeploymentTrace) -> None:
        known, outcome = state.steps[record.step], r.kind_of(record)
        id = f"{state.deployment}/{record.step}/{record.attempt}"
        current = known.attempt == record.attempt
        if current and known.started_at is None:
            self._on_claim(state, record.step, record.attempt, at, trace)
        cause = f"{id}/{known.token}" if current and known.token else id
        about = {"release_engine.attempt": id, "release_engine.outcome": outcome}
        bad = "" if outcome == "completed" else outcome
        name, span = f"outcome {state.plan.steps[record.step].spec.name}", trace.parent(f"{id}/outcome")
        self._record(name, span, trace.parent(cause), at * 1_000_000, time.time_ns(), SpanKind.CONSUMER, about, bad)

    def _record(
        self,
        name: str,
        span: TraceContext,
        parent: TraceContext | None,
        began: int,
        ended: int,
        kind: SpanKind,
        about: Mapping[str, str],
        bad: str = "",
    ) -> None:
        if not span.sampled:
            return
        status = Status(StatusCode.ERROR, bad) if bad else Status(StatusCode.UNSET)
        self._processor().on_end(
            ReadableSpan(
                name,
                _context(span),
                None if parent is None else _context(parent),
                self._resource,
                dict(about),
                kind=kind,
                status=status,
                start_time=began,
                end_time=max(began, ended),
            )
        )

    def _processor(self) -> BatchSpanProcessor:
        with self._lock:
            if self._made is None:
                exporter = OTLPSpanExporter(self._url, timeout=PATIENCE)
                self._made = BatchSpanProcessor(exporter, WAITING, EVERY)
            return self._made


def _context(context: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(context.trace_id, 16), int(context.span_id, 16), True, flags)
