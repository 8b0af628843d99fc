"""Steps of the engine beside hosts: what a message says of its host, how many run at once, how far they are."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from re_core.wire.messages import ATTEMPT, HOST, OUTPUT, PROGRESS
from re_workers import Context, Worker, step
from re_workers.catalog.files import Files
from re_workers.context import Call
from re_workers.host_handle import Rows, Runner
from re_workers.outgoing import Origin, Outgoing
from re_workers.runs import on_thread
from re_workers.steps.command import Command
from re_workers.testing import ScriptedHost
from tests.integration.workers.waiting import until
from tests.unit.workers.worker_harness import WorkerHarness

ROWS = {"web1": {"jump": "gate", "vars": {"role": "db"}}, "gate": {"address": "10.0.0.1"}}


class Crowd(Worker):
    command = "work"

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.go = threading.Event()
        self.lock = threading.Lock()

    @step(concurrency=2)
    def Run(self, ctx: Context) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.go.wait(20)
        with self.lock:
            self.inside -= 1

    @step
    def Where(self, ctx: Context) -> object:
        return [ctx.host.name, dict(ctx.host.vars), ctx.call.reaches, ctx.host.run("hostname").out]


@pytest.fixture
def work() -> tuple[Crowd, WorkerHarness]:
    """A worker on a bus, its steps on threads."""
    worker = Crowd()
    return worker, WorkerHarness(worker, spawn=on_thread)


def test_only_so_many_attempts_of_a_step_run_at_once(work: tuple[Crowd, WorkerHarness]) -> None:
    worker, harness = work
    ids = [harness.send() for _ in range(5)]
    harness.turn()
    until(lambda: worker.inside == 2)
    harness.cancel(ids[-1])
    found: list[str] = []

    def ended(how_many: int) -> bool:
        harness.turn()
        found.extend(word for word in harness.words() if word in ("completed", "failed"))
        return len(found) == how_many

    until(lambda: ended(1))
    assert found == ["failed"]  # the one that waited hears of its cancel
    worker.go.set()
    until(lambda: ended(5))
    assert (sorted(found), worker.most) == (["completed"] * 4 + ["failed"], 2)
    assert worker.crowd == 2


def test_a_message_says_what_the_inventory_says_of_its_host(work: tuple[Crowd, WorkerHarness]) -> None:
    worker, harness = work
    reached: list[Rows] = []

    def reach(name: str, rows: Rows, secret: Callable[[str], str]) -> Runner:
        reached.append(rows)
        return ScriptedHost({"hostname": name})

    setattr(worker, "reach", reach)  # noqa: B010  # for mypy it is a method
    headers = {ATTEMPT: "D/0/1", HOST: json.dumps(ROWS)}
    harness.send("Where", {"hosts": ["web1"]}, headers=headers)
    bodies: list[Mapping[str, Any]] = []
    until(_heard(harness, bodies))
    assert bodies[-1]["data"] == ["web1", {"role": "db"}, True, "web1"]
    assert reached == [ROWS]


def _heard(harness: WorkerHarness, bodies: list[Mapping[str, Any]]) -> Callable[[], bool]:
    def ended() -> bool:
        harness.turn()
        bodies.extend(json.loads(one.body) for one in harness.heard())
        return bool(bodies) and "data" in bodies[-1]

    return ended


@pytest.mark.parametrize("header", ["[]", "{", '{"web1": 1}'])
def test_a_header_that_is_no_row_is_refused(work: tuple[Crowd, WorkerHarness], header: str) -> None:
    _, harness = work
    harness.send("Where", {"hosts": ["web1"]}, headers={ATTEMPT: "D/0/1", HOST: header})
    harness.turn()
    assert len(harness.buried()) == 1


def test_a_progress_is_a_line_now_and_then_with_what_was_said_last() -> None:
    outgoing = Outgoing(Origin("D", 3, "D/3/1/T"))
    for done in range(5):
        outgoing.progress(done, 10, f"copying\n{done}")
    [message] = outgoing.drain()
    assert (message.key, json.loads(message.body)) == (OUTPUT, {"message": "[40%, 4 of 10, copying 4]"})
    assert json.loads(message.headers[PROGRESS]) == {"done": 4, "of": 10, "words": "copying 4"}
    outgoing.progress(5, 10, "")
    assert (outgoing.drain(), outgoing.waiting) == ([], False)


@pytest.mark.parametrize(("done", "of"), [(-1, 2), (1, -2), (float("nan"), 1), (1, float("inf"))])
def test_a_progress_of_no_number_is_refused(done: float, of: float) -> None:
    with pytest.raises(ValueError, match="expected numbers from 0 on"):
        Outgoing(Origin("D", 3, "D/3/1/T")).progress(done, of, "")


@pytest.mark.parametrize(
    ("rows", "recorded"), [({}, False), ({"web1": {"runner": "local"}}, False), ({"web1": {}}, True)]
)
def test_another_worker_goes_on_only_with_what_it_can_reach(rows: Mapping[str, Any], recorded: bool) -> None:
    call = Call("D/0/1", "D", 0, 1, "command", "Run", "g", ("web1",), {}, None, rows)
    assert Command().records(call) is recorded
    assert Files().records(call) is recorded
