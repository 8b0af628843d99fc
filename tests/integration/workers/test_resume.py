"""A run that outlives its process goes on in another one, on both buses; and it ends with the other ends there are."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.errors import BadMessage
from re_core.ports import Bus
from re_core.wire.messages import ASKS, ATTEMPT, EVENT, GRANT, MOVES, TOKEN, WORKER, Message, encode, parse_reply
from re_workers import Context, Declined, HandedOver, Lost, Worker, step
from re_workers.host import WorkerHost
from tests.integration.workers.waiting import PATIENCE, until

REPLIES = "re.reply.3"


class Far(Worker):
    """What it starts ends when the test says so."""

    outlives = True

    def __init__(self, end: threading.Event) -> None:
        self.end = end
        self.saved: dict[str, bytes] = {}
        self.resumed: list[str] = []
        self.refusals: list[str] = []

    @step
    def Run(self, ctx: Context) -> str:
        """Runs far away."""
        self.saved[ctx.attempt_id] = ctx.saved()
        if ctx.resumed:
            self.resumed.append(ctx.attempt_id)
        while not self.end.wait(0.01):
            ctx.check()
            if ctx.stopping.is_set():
                raise HandedOver("this process stops")
        return "there"

    @step
    def Lose(self, ctx: Context) -> None:
        """Loses sight of it."""
        raise Lost("out of sight")

    @step
    def Decline(self, ctx: Context) -> None:
        """Begins nothing."""
        raise Declined("no room")

    def refused(self, attempt_id: str) -> None:
        self.refusals.append(attempt_id)


class Shore:
    """The core's side, and worker processes as far as the bus can tell."""

    def __init__(self, connect: Callable[[], Bus]) -> None:
        self._connect = connect
        self.bus = connect()
        self.end = threading.Event()
        self.heard: list[Message] = []
        #: what is said to a claim that moves
        self.answer = "go"
        self._replies = self.bus.subscribe([REPLIES, "re.heartbeat"], 1000)
        self._answered: set[tuple[str, str]] = set()
        self._numbers = itertools.count()
        self.hosts: list[WorkerHost] = []

    def hire(self) -> tuple[Far, WorkerHost]:
        worker = Far(self.end)
        host = WorkerHost(self._connect(), SystemClock(), [worker])
        self.hosts.append(host)
        host.start()
        return worker, host

    def leave(self, host: WorkerHost) -> None:
        host.stop(PATIENCE)
        self.hosts.remove(host)

    def send(self, subcommand: str = "Run") -> str:
        id = f"D/{next(self._numbers)}/1"
        body = {"parameters": {"command": "far", "subcommand": subcommand}, "group": "g", "dynamic": {}, "notify": {}}
        self.bus.publish([Message("worker.far", encode(body), id, "D", REPLIES, {ATTEMPT: id, GRANT: "1"})])
        return id

    def all_of(self, word: str) -> list[Message]:
        """What was said so far; every claim is answered."""
        taken = self._replies.take(1000, 0.02)
        self._replies.ack(taken)
        self.heard += [one.message for one in taken]
        for claim in self.heard:
            if claim.headers.get(ASKS) != "1" or (claim.id, claim.reply_to) in self._answered:
                continue
            self._answered.add((claim.id, claim.reply_to))
            event = self.answer if MOVES in claim.headers else "go"
            headers = {EVENT: event, ATTEMPT: claim.headers[ATTEMPT], TOKEN: claim.headers[TOKEN]}
            self.bus.publish([Message(claim.reply_to, b"{}", f"{event}/{claim.id}", headers=headers, direct=True)])
        return [one for one in self.heard if f"/{word}" in one.id]


@pytest.fixture
def shore(connect: Callable[[], Bus]) -> Iterator[Shore]:
    shore = Shore(connect)
    yield shore
    shore.end.set()
    for host in shore.hosts:
        host.stop(2)


def _begun(shore: Shore, worker: Far, attempt: str) -> bytes:
    until(lambda: shore.all_of("started") and attempt in worker.saved)
    return worker.saved[attempt]


def test_a_run_goes_on_in_another_process_after_its_own_has_stopped(shore: Shore) -> None:
    first, host = shore.hire()
    attempt = shore.send()
    saved = _begun(shore, first, attempt)
    shore.leave(host)
    second, other = shore.hire()
    other.resume(saved, 1)
    until(lambda: shore.all_of("moved") and second.resumed == [attempt])
    assert other.running() == [attempt]
    shore.end.set()
    until(lambda: shore.all_of("outcome"))
    (outcome,) = shore.all_of("outcome")
    assert (outcome.headers[WORKER], parse_reply(outcome.body).data) == (other.identity, "there")
    assert outcome.headers[TOKEN] == shore.all_of("started")[0].headers[TOKEN]
    assert not shore.all_of("bye")


def test_a_run_goes_on_beside_a_process_that_still_has_the_step(shore: Shore) -> None:
    """It was taken over from, and ends its own by handing it over."""
    first, _ = shore.hire()
    attempt = shore.send()
    saved = _begun(shore, first, attempt)
    second, other = shore.hire()
    other.resume(saved, 1)
    until(lambda: shore.all_of("moved") and second.resumed == [attempt])
    assert shore.all_of("moved")[0].reply_to == f"re.control.{other.identity}.far"


def test_a_run_that_the_core_does_not_want_does_not_go_on(shore: Shore) -> None:
    first, host = shore.hire()
    attempt = shore.send()
    saved = _begun(shore, first, attempt)
    shore.leave(host)
    shore.answer = "no-go"
    second, other = shore.hire()
    other.resume(saved, 1)
    until(lambda: shore.all_of("moved") and second.refusals == [attempt])
    assert (second.resumed, other.running()) == ([], [])


def test_what_cannot_go_on_is_given_up(shore: Shore) -> None:
    first, host = shore.hire()
    attempt = shore.send()
    saved = _begun(shore, first, attempt)
    shore.leave(host)
    _, other = shore.hire()
    other.give_up(saved, "no runner is left")
    until(lambda: shore.all_of("lost"))
    assert shore.all_of("lost")[0].headers[ATTEMPT] == attempt


def test_what_no_process_saved_is_refused(shore: Shore) -> None:
    worker, host = shore.hire()
    with pytest.raises(BadMessage):
        host.resume(b"{}", 1)
    attempt = shore.send()
    saved = _begun(shore, worker, attempt)
    with pytest.raises(BadMessage, match="from 1 on; found 0"):
        host.resume(saved, 0)
    with pytest.raises(BadMessage, match="'near', which this process does not carry out"):
        host.give_up(saved.replace(b'\\"command\\":\\"far\\"', b'\\"command\\":\\"near\\"'), "")


@pytest.mark.parametrize(("subcommand", "word"), [("Lose", "lost"), ("Decline", "declined")])
def test_a_step_ends_otherwise_than_completed_or_failed(shore: Shore, subcommand: str, word: str) -> None:
    _, host = shore.hire()
    attempt = shore.send(subcommand)
    until(lambda: shore.all_of(word))
    (said,) = shore.all_of(word)
    assert (said.headers[ATTEMPT], said.headers[EVENT]) == (attempt, word)
    until(lambda: not host.running())
    assert not shore.all_of("outcome")
