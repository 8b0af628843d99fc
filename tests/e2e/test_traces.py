"""The trace of a deployment in one process, from the request to the program of its step."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.deploying import PATIENCE, begin, ended, run_step, steps_book
from tests.e2e.engine_process import running, wait_until
from tests.e2e.tracing import CALLER, check_one_deployment
from tests.services.collector import collecting


def test_a_deployment_is_one_trace_from_its_callers_span_to_the_program_of_its_step(tmp_path: Path) -> None:
    with (
        collecting() as collector,
        running(tmp_path, f"traces_url: {collector.url}\n") as engine,
        engine.client() as client,
    ):
        url, token = ((engine.data / name).read_text().strip() for name in ("url", "token"))
        one = "rectl up"
        check_one_deployment(client, url, token, collector, {"front": one, "core": one, "worker": one})

        id = begin(client, steps_book(run_step("exit 3")).replace("name: book", "name: fails"))
        assert ended(client, id)["status"] == "failed"

        def others() -> dict[str, bool]:
            return {span.name: span.failed for span in collector.spans if span.trace != CALLER.trace_id}

        failed = {"run command:Run": True, "outcome command:Run": True, "accept": False}
        wait_until("the spans of a failure", lambda: others().items() >= failed.items(), PATIENCE)
        roots = [span.name for span in collector.spans if not span.parent]
        assert roots == ["POST deployment"], "a caller without a trace begins one"


def test_without_a_collector_the_program_has_the_callers_own_context(tmp_path: Path) -> None:
    with running(tmp_path) as engine, engine.client() as client:
        id = begin(client, steps_book(run_step('test "$TRACEPARENT" != ""')))
        assert ended(client, id)["status"] == "completed"
