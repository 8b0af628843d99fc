"""What the spans of one deployment must be, whatever it ran on. Must not know which bus that was."""

from __future__ import annotations

from re_client.api import Client
from re_core.wire.trace_context import TraceContext, parse, span_id
from tests import plain_http
from tests.e2e.deploying import PATIENCE, await_line_number, ended, printed, steps_book
from tests.e2e.engine_process import wait_until
from tests.services.collector import Collector, Span

CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def check_one_deployment(client: Client, url: str, token: str, collector: Collector, services: dict[str, str]) -> None:
    """Deploys a step that prints its TRACEPARENT, and follows the spans from the caller to that program.

    `services`: the part that a span is of -> the program that must have sent it.
    """
    step = "{'command:Run': {cmd: 'echo $TRACEPARENT', notify: {completed: {console: [ops]}}}}"
    book = client.apply_playbook(steps_book(step).encode())
    answer = plain_http.post(
        f"{url}/api/v1/deployments",
        json={"group": book["group"], "playbook_id": book["id"]},
        headers={"Authorization": f"Bearer {token}", "traceparent": CALLER.header},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    assert ended(client, id)["status"] == "completed"
    await_line_number(client, id, 1)
    names = (
        "POST deployment",
        "accept",
        "dispatch command:Run",
        "run command:Run",
        "outcome command:Run",
        "notify console",
    )
    wait_until(f"spans of {id}", lambda: {span.name for span in _of(collector)} >= set(names), PATIENCE)
    found = {span.name: span for span in _of(collector)}
    post, accept, dispatch, run, outcome, notify = (found[name] for name in names)
    assert post.parent == CALLER.span_id
    assert accept.parent == post.id
    assert dispatch.parent == accept.id
    assert run.parent == dispatch.id
    assert outcome.parent == run.id
    assert notify.parent == accept.id
    assert not any(span.failed for span in found.values())
    assert dispatch.id == span_id(f"{id}/0/1")
    await_line_number(client, id, 1)
    assert parse(printed(client, id)[0]) == TraceContext(CALLER.trace_id, run.id)
    sent = {"front": post.service, "core": accept.service, "worker": run.service}
    assert sent == services
    assert {dispatch.service, outcome.service} == {services["core"]}


def _of(collector: Collector) -> list[Span]:
    return [span for span in collector.spans if span.trace == CALLER.trace_id]
