"""Those around the core, scripted: a worker, a notifier, somebody who asks. They honour the protocol. Must not know the core."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from re_core.ports import Bus, Delivery
from re_core.wire import messages as m
from re_core.wire.messages import Message

#: subcommand -> what a worker answers at once; a subcommand that is not here completes
Script = dict[str, dict[str, Any]]


class Begun(NamedTuple):
    """One begin of one attempt, as the outside world sees it."""

    attempt: str
    granted: bool


class ScriptedWorld:
    """What really happened; it outlives every process."""

    def __init__(self) -> None:
        self.begun: list[Begun] = []
        #: ids of notifications that a notifier took
        self.told: Counter[str] = Counter()
        #: attempts whose worker was told to stop
        self.stopped: list[str] = []

    def begun_times(self, deployment: str) -> Counter[str]:
        """How often each attempt of the deployment was begun."""
        return Counter(one.attempt for one in self.begun if m.parse_attempt(one.attempt).deployment == deployment)


class Held(NamedTuple):
    """A step in the worker's hands."""

    delivery: Delivery
    token: str
    subcommand: str


class ScriptedWorker:
    """Takes steps of some commands, one reply after the other."""

    def __init__(self, bus: Bus, world: ScriptedWorld, name: str, commands: Sequence[str], script: Script) -> None:
        self.name, self.control = name, f"re.control.{name}"
        self._bus, self._world, self._script = bus, world, script
        self._subscription = bus.subscribe([*(f"worker.{one}" for one in commands), self.control], 64)
        self._seen: set[str] = set()
        self._tokens = 0
        #: attempt -> claimed, not granted yet
        self.waiting: dict[str, Held] = {}
        #: attempt -> begun, not ended yet
        self.running: dict[str, Held] = {}
        #: asked before a step that began ends by itself
        self.may_end: Callable[[str], bool] = lambda attempt: True

    def turn(self, limit: int = 64) -> int:
        """Take what there is, and end what may end."""
        taken = self._subscription.take(limit, 0)
        for delivery in taken:
            if delivery.queue == self.control:
                self._hear(delivery)
            else:
                self._take(delivery)
        ended = [attempt for attempt in list(self.running) if self._ends(attempt)]
        for attempt in ended:
            answer = self._script.get(self.running[attempt].subcommand, {"status": "completed"})
            self.end(attempt, answer)
        return len(taken) + len(ended)

    def end(self, attempt: str, answer: dict[str, Any]) -> None:
        """Say how it went."""
        held = self.running.pop(attempt)
        self._say(held, attempt, "outcome", answer)
        self._subscription.ack([held.delivery])

    def decline(self, attempt: str) -> None:
        """The grant does not come: let go of it."""
        held = self.waiting.pop(attempt)
        self._seen.discard(attempt)
        self._say(held, attempt, "declined", {"reason": "no grant came in time"}, {m.EVENT: "declined"})
        self._subscription.ack([held.delivery])

    def close(self) -> None:
        self._subscription.close()

    def _ends(self, attempt: str) -> bool:
        return self.running[attempt].subcommand != "Hang" and self.may_end(attempt)

    def _take(self, delivery: Delivery) -> None:
        attempt = delivery.message.headers[m.ATTEMPT]
        if attempt in self._seen:
            self._subscription.ack([delivery])
            return
        self._seen.add(attempt)
        self._tokens += 1
        step = m.parse_step(delivery.message.body)
        held = Held(delivery, f"{self.name}.{self._tokens}", step.parameters["subcommand"])
        if delivery.message.headers.get(m.GRANT) == "1":
            self.waiting[attempt] = held
        else:
            self._begin(attempt, held, granted=False)
        asks = {m.ASKS: "1"} if attempt in self.waiting else None
        self._say(held, attempt, "started", {"status": "started"}, asks)

    def _hear(self, delivery: Delivery) -> None:
        headers = delivery.message.headers
        attempt, word = headers[m.ATTEMPT], headers[m.EVENT]
        held = self.waiting.get(attempt)
        if word == "cancel":
            self._world.stopped.append(attempt)
            if held is not None:
                self.decline(attempt)
            elif attempt in self.running:
                self.end(attempt, {"status": "failed", "message": "cancelled"})
        elif held is not None and held.token == headers.get(m.TOKEN):
            del self.waiting[attempt]
            if word == "go":
                self._begin(attempt, held, granted=True)
            else:
                self._subscription.ack([held.delivery])
        self._subscription.ack([delivery])

    def _begin(self, attempt: str, held: Held, granted: bool) -> None:
        self._world.begun.append(Begun(attempt, granted))
        self.running[attempt] = held

    def _say(
        self, held: Held, attempt: str, what: str, body: dict[str, Any], more: dict[str, str] | None = None
    ) -> None:
        headers = {m.ATTEMPT: attempt, m.TOKEN: held.token, m.WORKER: self.name, **(more or {})}
        message = held.delivery.message
        id = f"{attempt}/{what}/{held.token}"
        reply = Message(
            message.reply_to, m.encode(body), id, message.correlation_id, self.control, headers, direct=True
        )
        self._bus.publish([reply])


class Notifier:
    """Takes notifications of one transport, and drops an id that it has seen."""

    def __init__(self, bus: Bus, world: ScriptedWorld, transport: str) -> None:
        self._world = world
        self._subscription = bus.subscribe([f"notify.{transport}"], 64)

    def turn(self) -> int:
        taken = self._subscription.take(64, 0)
        for delivery in taken:
            m.parse_notification(delivery.message.body)
            self._world.told[delivery.message.id] += 1
        self._subscription.ack(taken)
        return len(taken)


class ReplyProbe:
    """A queue of answers."""

    def __init__(self, bus: Bus, name: str) -> None:
        self.name = name
        self._subscription = bus.subscribe([name], 1000)

    def hear(self) -> list[Message]:
        """What came since."""
        taken = self._subscription.take(1000, 0)
        self._subscription.ack(taken)
        return [delivery.message for delivery in taken]
