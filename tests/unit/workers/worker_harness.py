"""A worker's consumer on the embedded bus, with the core's side in the test's own hands. Must not know what is tested."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.errors import BusUnavailable
from re_core.wire import strict_json
from re_core.wire.messages import ATTEMPT, EVENT, GRANT, TIMEOUT, TOKEN, Message, encode
from re_workers import Context, Failed, Worker, step
from re_workers.consumer import StepConsumer
from re_workers.runs import Spawn, inline
from re_workers.secrets.resolver import Secrets
from tests.unit.workers.line import Line

REPLIES = "re.reply.0"


class ManualClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 1_000_000

    def now(self) -> int:
        return self.time


class Work(Worker):
    """Counts what it did."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @step
    def Run(self, ctx: Context, say: str = "", transport: str = "irc") -> object:
        """Takes time, so it would have a thread."""
        self.done.append(ctx.attempt_id)
        if say:
            ctx.output(say)
            ctx.notify(transport, ["#a"], "slug", "text", "completed")
        return {"attempt": ctx.attempt}

    @step(quick=True)
    def Quick(self, ctx: Context) -> None:
        """Takes none."""
        self.done.append(ctx.attempt_id)

    @step
    def Patient(self, ctx: Context) -> None:
        """Waits to be told to stop."""
        ctx.wait(3600)

    @step(quick=True)
    def Fail(self, ctx: Context) -> None:
        """Fails."""
        raise Failed("no")


class Parked:
    """Steps that were begun and run only when the test says."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.work.append(work)

    def run(self) -> None:
        """Let the oldest run to its end."""
        self.work.pop(0)()


class WorkerHarness:
    """Sends steps as a core does, and reads what comes back."""

    def __init__(self, worker: Worker, slots: int = 16, spawn: Spawn = inline, secrets: Secrets | None = None) -> None:
        self.bus = EmbeddedBus()
        #: the worker's own connection to it
        self.line = Line(self.bus)
        self.clock = ManualClock()
        self.worker = worker
        self.replies = self.bus.subscribe([REPLIES, "output", "notify.irc"], 10_000)
        self.dead = self.bus.subscribe(["re.dead"], 1000)
        self.consumer = StepConsumer(self.line, self.clock, worker, "W", slots, spawn, secrets=secrets)
        self.subscription = self.line.subscriptions[0]
        self._numbers = itertools.count()

    def send(
        self,
        subcommand: str = "Run",
        parameters: Mapping[str, Any] | None = None,
        *,
        attempt: str | None = None,
        grant: bool = False,
        timeout: str = "60",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        reply_to: str = REPLIES,
    ) -> str:
        """One step message; the attempt's id."""
        id = attempt or f"D/{next(self._numbers)}/1"
        command = self.worker.command
        document = {
            "parameters": {"command": command, "subcommand": subcommand, **(parameters or {})},
            "group": "g",
            "dynamic": {},
            "notify": {},
        }
        mine = {ATTEMPT: id, TIMEOUT: timeout, **({GRANT: "1"} if grant else {})}
        key = f"worker.{command}"
        given = mine if headers is None else headers
        self.bus.publish([Message(key, encode(document) if body is None else body, id, "D", reply_to, given)])
        return id

    def answer(self, claim: Message, event: str, token: str | None = None, **more: str) -> None:
        """The core's word on a claim; `more` headers."""
        mine = {EVENT: event, ATTEMPT: claim.headers[ATTEMPT], TOKEN: token or claim.headers[TOKEN]}
        mine |= {f"re-{name}": text for name, text in more.items()}
        self.bus.publish([Message(claim.reply_to, b"{}", f"{event}/{next(self._numbers)}", headers=mine, direct=True)])

    def cancel(self, attempt: str, body: bytes = b"{}") -> None:
        """The core's word to a running step."""
        self._tell(attempt, "cancel", body)

    def inquire(self, attempt: str) -> None:
        """The core's question how an attempt stands."""
        self._tell(attempt, "tell")

    def _tell(self, attempt: str, event: str, body: bytes = b"{}") -> None:
        mine, number = {EVENT: event, ATTEMPT: attempt}, next(self._numbers)
        key = self.consumer.control
        self.bus.publish([Message(key, body, f"{event}/{number}", "D", REPLIES, mine, direct=True)])

    def turn(self) -> int:
        """One turn that waits for nothing."""
        return self.consumer.turn(0)

    def heard(self) -> list[Message]:
        """What was sent to the core and to others since the last time."""
        deliveries = self.replies.take(10_000, 0)
        self.replies.ack(deliveries)
        return [delivery.message for delivery in deliveries]

    def words(self) -> list[str]:
        """What was heard, in short: the status, what happened, or the output."""
        return [_word(message) for message in self.heard()]

    def buried(self) -> list[Message]:
        """The dead letters since the last time."""
        deliveries = self.dead.take(1000, 0)
        self.dead.ack(deliveries)
        return [delivery.message for delivery in deliveries]

    def waits(self) -> int:
        """How many step messages wait in the queue for somebody with a free hand."""
        idle = self.bus.subscribe([f"worker.{self.worker.command}"], 1000)
        waiting = idle.take(1000, 0)
        idle.close()
        return len(waiting)

    def unsettled(self) -> int:
        """How many step messages the worker still holds: what comes again when it is closed."""
        assert self.subscription.wrongly == []
        self.consumer.close()
        again = self.bus.subscribe([f"worker.{self.worker.command}"], 1000)
        return len(again.take(1000, 0))


def _word(message: Message) -> str:
    document = strict_json.loads(message.body)
    if EVENT in message.headers:
        return message.headers[EVENT]
    if message.key == "output":
        return f"output: {document['message']}"
    if message.key.startswith("notify."):
        return f"notice: {document['slug']}"
    return str(document["status"])


def end_while_the_bus_is_away(harness: WorkerHarness, parked: Parked) -> str:
    """The attempt of a step whose outcome was tried to be published twice; the bus stays away."""
    attempt = harness.send()
    harness.turn()
    parked.run()
    harness.line.away = True
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            harness.turn()
    return attempt
