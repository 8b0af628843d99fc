"""Which trace a message belongs to: what is read of a header, and what is derived where there is none."""

from __future__ import annotations

import pytest

from re_core.wire.messages import Message
from re_core.wire.trace_context import TRACEPARENT, DeploymentTrace, TraceContext, parse, span_id, trace_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def _message(header: str) -> Message:
    return Message("job.create", b"{}", "d1", headers={TRACEPARENT: header} if header else {})


@pytest.mark.parametrize(
    ("header", "context"),
    [
        (f"00-{TRACE}-{SPAN}-01", TraceContext(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", TraceContext(TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", TraceContext(TRACE, SPAN, True)),
        (f"01-{TRACE}-{SPAN}-01-of a later version", TraceContext(TRACE, SPAN, True)),
        (f"01-{TRACE}-{SPAN}-01", TraceContext(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        (f"01-{TRACE}-{SPAN}-01-{'x' * 1000}", None),
        ("", None),
    ],
)
def test_a_header_is_read_as_the_standard_has_it(header: str, context: TraceContext | None) -> None:
    assert parse(header) == context


def test_what_is_written_is_read_again() -> None:
    for context in (TraceContext(TRACE, SPAN, True), TraceContext(TRACE, SPAN, False)):
        assert parse(context.header) == context


def test_ids_are_derived_from_names_and_are_in_the_format() -> None:
    derived = TraceContext(trace_id("01M8"), span_id("01M8/0/1"))
    assert parse(derived.header) == derived
    assert trace_id("01M8") == trace_id("01M8") != trace_id("01M9")
    assert span_id("01M8/0/1") != span_id("01M8/0/2")


def test_a_deployment_is_in_its_callers_trace() -> None:
    trace = DeploymentTrace.of("d1", [_message(""), _message(f"00-{TRACE}-{SPAN}-00")], recorded=True)
    assert trace.given
    assert trace.parent("d1/0/1") == TraceContext(TRACE, span_id("d1/0/1"), False)


def test_without_a_caller_it_has_a_trace_of_its_own_the_same_in_every_process() -> None:
    here, there = (DeploymentTrace.of("d1", [_message(told)], recorded=True) for told in ("", "nonsense"))
    assert not here.given
    assert here == there
    assert here.parent("d1/0/1").trace_id == trace_id("d1")


def test_an_engine_that_records_no_spans_passes_on_what_it_was_told() -> None:
    trace = DeploymentTrace.of("d1", [_message(f"00-{TRACE}-{SPAN}-01")], recorded=False)
    stamped = trace.stamp(Message("worker.noop", b"{}", "d1/0/1", headers={"re-attempt": "d1/0/1"}), "d1/0/1")
    assert stamped.headers == {"re-attempt": "d1/0/1", TRACEPARENT: f"00-{TRACE}-{SPAN}-01"}
