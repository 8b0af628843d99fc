"""A whole worker process's part on the embedded bus, with its threads: starts, beats, works, stops."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.wire.messages import (
    ATTEMPT,
    EVENT,
    GRANT,
    Heartbeat,
    Message,
    encode,
    parse_heartbeat,
    parse_output,
    parse_reply,
)
from re_workers import Context, HandedOver, Worker, step
from re_workers.host import WorkerHost
from re_workers.notify.handler import Notice
from tests.integration.workers.waiting import PATIENCE, until

REPLIES = "re.reply.0"


class Slow(Worker):
    """Waits for the test."""

    def __init__(self) -> None:
        self.go = threading.Event()

    @step
    def Run(self, ctx: Context) -> object:
        ctx.output("begun")
        while not self.go.wait(0.01):
            ctx.check()
        return "done"

    @step(quick=True)
    def Quick(self, ctx: Context) -> None:
        """At once."""


class Pigeon:
    """A transport that counts."""

    transport = "pigeon"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.closed = False

    def deliver(self, notice: Notice, notification_id: str) -> None:
        self.told.append(notification_id)

    def close(self) -> None:
        self.closed = True


class Engine:
    """The core's side of the bus."""

    def __init__(self) -> None:
        self.bus = EmbeddedBus()
        self.worker, self.pigeon = Slow(), Pigeon()
        self._heard = self.bus.subscribe([REPLIES, "output", "re.heartbeat"], 1000)
        self._numbers = itertools.count()
        self.messages: list[Message] = []
        self.host = WorkerHost(self.bus, SystemClock(), [self.worker], [self.pigeon], slots=2)

    def send(self, subcommand: str = "Run", **headers: str) -> str:
        id = f"D/{next(self._numbers)}/1"
        parameters = {"command": "slow", "subcommand": subcommand}
        body = encode({"parameters": parameters, "group": "g", "dynamic": {}, "notify": {}})
        self.bus.publish([Message("worker.slow", body, id, "D", REPLIES, {ATTEMPT: id, **headers})])
        return id

    def until_heard(self, wanted: Callable[[Message], object], count: int = 1) -> list[Message]:
        """Those messages that are wanted, once there are so many of them."""

        def enough() -> bool:
            deliveries = self._heard.take(1000, 0.01)
            self._heard.ack(deliveries)
            self.messages += [delivery.message for delivery in deliveries]
            return sum(bool(wanted(message)) for message in self.messages) >= count

        until(enough)
        return [message for message in self.messages if wanted(message)]


def _outcome(message: Message) -> bool:
    return "/outcome/" in message.id


def _beats(messages: list[Message]) -> list[Heartbeat]:
    return [parse_heartbeat(message.body) for message in messages]


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    engine.host.start()
    yield engine
    engine.worker.go.set()
    engine.host.stop(0)
    engine.bus.close()


def _beat(message: Message) -> bool:
    return message.key == "heartbeat"


def test_it_says_at_once_that_it_lives_and_what_it_offers(engine: Engine) -> None:
    [beat] = _beats(engine.until_heard(_beat))
    assert (beat.worker, beat.slots, beat.running) == (engine.host.identity, 2, ())
    assert set(beat.offers) == {"slow:Run", "slow:Quick"}


def test_it_names_what_it_runs_and_shows_output_before_the_end(engine: Engine) -> None:
    attempt = engine.send()
    [output] = engine.until_heard(lambda message: message.key == "output")
    assert parse_output(output.body) == "begun"
    engine.host.heartbeat()
    assert _beats(engine.until_heard(_beat, 2))[1].running == (attempt,)
    engine.worker.go.set()
    [outcome] = engine.until_heard(_outcome)
    assert parse_reply(outcome.body).data == "done"


def test_no_more_than_its_slots_run_at_once(engine: Engine) -> None:
    attempts = [engine.send() for _ in range(5)]
    begun = engine.until_heard(lambda message: "/started/" in message.id, 2)
    assert [message.headers[ATTEMPT] for message in begun] == attempts[:2]
    engine.worker.go.set()
    assert len(engine.until_heard(_outcome, 5)) == 5


def test_it_carries_notifications(engine: Engine) -> None:
    document: dict[str, Any] = {"slug": "s", "message": "m", "phase": "failed", "target": ["a"]}
    engine.bus.publish([Message("notify.pigeon", encode(document), "n1", "D")])
    until(lambda: engine.pigeon.told)
    assert engine.pigeon.told == ["n1"]


def test_at_its_stop_what_runs_may_end_and_nothing_new_begins(engine: Engine) -> None:
    engine.send()
    engine.until_heard(lambda message: message.key == "output")
    waits = engine.send(**{GRANT: "1"})
    engine.until_heard(lambda message: message.headers.get(ATTEMPT) == waits)
    stopping = threading.Thread(target=engine.host.stop, args=(60,))
    stopping.start()
    [declined] = engine.until_heard(lambda message: "/declined/" in message.id)
    assert declined.headers[ATTEMPT] == waits
    engine.worker.go.set()
    stopping.join()
    [outcome] = engine.until_heard(_outcome)
    assert parse_reply(outcome.body).status == "completed"
    assert engine.pigeon.closed


def test_at_its_stop_what_does_not_end_in_time_is_told_to(engine: Engine) -> None:
    engine.send()
    engine.until_heard(lambda message: message.key == "output")
    engine.host.stop(4)
    assert engine.host.running() == []
    [declined] = engine.until_heard(lambda message: "/declined/" in message.id)
    assert declined.headers[ATTEMPT] == "D/0/1"
    assert engine.bus.subscribe(["worker.slow"], 10).take(10, 0) == []


def test_a_heartbeat_names_the_transports_whose_server_is_away_while_it_is() -> None:
    bus, away = EmbeddedBus(), {"email": "x" * 1000}
    cores = bus.subscribe(["re.heartbeat"], 10)
    host = WorkerHost(bus, SystemClock(), [Slow()], degraded=lambda: away)
    host.heartbeat()
    away.clear()
    host.heartbeat()
    found = [parse_heartbeat(one.message.body).degraded for one in cores.take(10, PATIENCE)]
    assert found == [{"email": "x" * 500}, {}]
    bus.close()


def test_at_its_stop_it_says_that_it_leaves(engine: Engine) -> None:
    engine.host.stop(0)
    [_, bye] = engine.until_heard(_beat, 2)
    assert bye.headers[EVENT] == "bye"
    assert (parse_heartbeat(bye.body).worker, parse_heartbeat(bye.body).offers) == (engine.host.identity, {})


def test_a_heartbeat_that_nobody_heard_is_followed_by_the_next_one_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores may start after their workers, and a worker that they have never heard of cannot fall silent."""
    monkeypatch.setattr("re_workers.host.HEARTBEAT", 3600.0)
    bus = EmbeddedBus()
    host = WorkerHost(bus, SystemClock(), [Slow()])
    host.start()
    cores = bus.subscribe(["re.heartbeat"], 10)
    [beat] = cores.take(10, PATIENCE)
    assert parse_heartbeat(beat.message.body).worker == host.identity
    host.stop(0)
    bus.close()


def test_two_starts_are_two_workers() -> None:
    bus = EmbeddedBus()
    first, second = (WorkerHost(bus, SystemClock(), [Slow()]) for _ in range(2))
    assert first.identity != second.identity


class Remote(Worker):
    """Starts what goes on without it."""

    outlives = True

    @step
    def Run(self, ctx: Context) -> None:
        ctx.output("begun")
        ctx.stopping.wait(PATIENCE)
        raise HandedOver("this gateway stops")


def test_a_host_that_handed_a_run_over_leaves_at_once_and_without_a_word() -> None:
    """Its silence has to count where no other process goes on with the run."""
    bus, worker = EmbeddedBus(), Remote()
    heard = bus.subscribe([REPLIES, "output", "re.heartbeat"], 1000)
    host = WorkerHost(bus, SystemClock(), [worker])
    host.start()
    parameters = {"command": "remote", "subcommand": "Run"}
    body = encode({"parameters": parameters, "group": "g", "dynamic": {}, "notify": {}})
    bus.publish([Message("worker.remote", body, "D/0/1", "D", REPLIES, {ATTEMPT: "D/0/1"})])
    messages: list[Message] = []

    def said(what: str) -> bool:
        deliveries = heard.take(1000, 0.01)
        messages.extend(delivery.message for delivery in deliveries)
        return any(what in message.id for message in messages)

    until(lambda: said("/output/"))
    host.stop(60)
    said("")
    assert not [one.id for one in messages if "/outcome/" in one.id or one.headers.get(EVENT)]
    assert bus.subscribe(["worker.remote"], 10).take(10, 0) == []
    bus.close()


def test_a_host_that_was_never_started_lets_go_of_its_queues() -> None:
    bus = EmbeddedBus()
    host = WorkerHost(bus, SystemClock(), [Slow(), Remote()], [Pigeon()])
    assert bus.consumers("worker.slow") == 1
    host.stop(0)
    assert [bus.consumers(queue) for queue in ("worker.slow", "worker.remote", "notify.pigeon")] == [0, 0, 0]
    bus.close()
