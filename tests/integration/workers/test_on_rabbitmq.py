"""Workers on a real RabbitMQ: lost connections, long steps, who gets what, and a stop while the broker is away."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from re_core.adapters.amqp.address import addresses
from re_core.adapters.amqp.bus import AmqpBus
from re_core.adapters.amqp.topology import Topology
from re_core.adapters.clock_system import SystemClock
from re_core.wire.messages import ASKS, ATTEMPT, EVENT, GRANT, TOKEN, Message, encode, parse_heartbeat, parse_output
from re_workers import Context, Worker, step
from re_workers.host import WorkerHost
from tests.integration.workers.waiting import until
from tests.network_link import NetworkLink
from tests.services.broker import Queue, RabbitMQ

REPLIES = "re.reply.3"
QUEUE = "worker.job"


class Job(Worker):
    """Waits for the test; says who did what."""

    def __init__(self, done: list[tuple[str, str]], name: str = "one") -> None:
        self.go = threading.Event()
        self.begun: list[str] = []
        self._done, self._name = done, name

    @step
    def Run(self, ctx: Context, lines: int = 0) -> None:
        self.begun.append(ctx.attempt_id)
        for number in range(lines):
            ctx.output(f"{ctx.step} {number}")
        while not self.go.wait(0.01):
            ctx.check()
        self._done.append((self._name, ctx.attempt_id))

    @step(quick=True)
    def Quick(self, ctx: Context) -> None:
        self._done.append((self._name, ctx.attempt_id))


class Yard:
    """The core's side on a connection of its own, and workers that are reached through a cable."""

    def __init__(self, rabbitmq: RabbitMQ, url: str) -> None:
        self.rabbitmq, self.url = rabbitmq, url
        self.cable = NetworkLink(url)
        self.done: list[tuple[str, str]] = []
        self.heard: list[Message] = []
        #: ids of the claims that `agree` has answered
        self._agreed: set[str] = set()
        self._buses: list[AmqpBus] = []
        self._hosts: list[WorkerHost] = []
        self._numbers = itertools.count()
        self.bus = self.connect(url)
        self._subscription = self.bus.subscribe([REPLIES, "output", "re.heartbeat"], 1000)

    def connect(self, url: str) -> AmqpBus:
        bus = AmqpBus(addresses(url, None, 7, "test"), Topology("re", "quorum"))
        self._buses.append(bus)
        return bus

    def hire(self, name: str = "one", slots: int = 2) -> Job:
        """One more worker process, as far as the broker can tell."""
        job = Job(self.done, name)
        self.host = WorkerHost(self.connect(self.cable.url), SystemClock(), [job], slots=slots)
        self._hosts.append(self.host)
        self.host.start()
        return job

    def send(self, subcommand: str = "Run", grant: bool = False, **parameters: Any) -> str:
        id = f"D/{next(self._numbers)}/1"
        headers = {ATTEMPT: id, **({GRANT: "1"} if grant else {})}
        body = {"command": "job", "subcommand": subcommand, **parameters}
        document = {"parameters": body, "group": "g", "dynamic": {}, "notify": {}}
        self.bus.publish([Message(QUEUE, encode(document), id, "D", REPLIES, headers)])
        return id

    def answer(self, claim: Message, event: str = "go") -> None:
        headers = {EVENT: event, ATTEMPT: claim.headers[ATTEMPT], TOKEN: claim.headers[TOKEN]}
        self.bus.publish([Message(claim.reply_to, b"{}", f"{event}/{claim.id}", headers=headers, direct=True)])

    def agree(self) -> None:
        """Say `go` to every claim that was not answered yet: a step that comes again is asked about."""
        claims = [one for one in self.all_of("started") if one.headers.get(ASKS) == "1" and one.id not in self._agreed]
        for claim in claims:
            self._agreed.add(claim.id)
            self.answer(claim)

    def agreed_outcomes(self) -> int:
        """How many steps have ended, all of which may begin."""
        self.agree()
        return len({one.headers[ATTEMPT] for one in self.all_of("outcome")})

    def all_of(self, word: str, attempt: str = "") -> list[Message]:
        """What was said so far: `started`, `outcome`, `declined`, `output`, `heartbeat`."""
        taken = self._subscription.take(1000, 0.02)
        self._subscription.ack(taken)
        self.heard += [one.message for one in taken]
        return [one for one in self.heard if f"/{word}" in one.id and one.id.startswith(attempt)]

    def cut(self) -> None:
        """Lose both connections of a worker, and have it connect again."""
        before = self.cable.connections
        self.cable.cut()
        until(lambda: self.cable.connections >= before + 2)

    def queue(self) -> Queue:
        """What waits, and what is held as the broker last told its statistics."""
        return self.rabbitmq.queues(self.url)[QUEUE]

    def close(self) -> None:
        self.cable.plug()
        for host in self._hosts:
            host.stop(2)
        for bus in self._buses:
            bus.close()
        self.cable.close()


@pytest.fixture
def yard(rabbitmq: RabbitMQ) -> Iterator[Yard]:
    with rabbitmq.vhost() as url:
        yard = Yard(rabbitmq, url)
        yield yard
        yard.close()


@pytest.mark.parametrize("grant", [True, False])
def test_a_running_step_goes_on_over_lost_connections_and_ends_once(yard: Yard, grant: bool) -> None:
    job = yard.hire()
    attempt = yard.send(grant=grant, lines=3)
    until(lambda: yard.all_of("started"))
    if grant:
        yard.answer(yard.all_of("started")[0])
    until(lambda: job.begun)
    for _ in range(3):
        yard.cut()
    job.go.set()
    until(lambda: yard.all_of("outcome"))
    until(lambda: yard.queue() == (0, 0))
    assert (job.begun, yard.done) == ([attempt], [("one", attempt)])
    assert len({one.id for one in yard.all_of("outcome")}) == 1
    assert len({one.id for one in yard.all_of("started")}) == 1


def test_a_claim_whose_connection_is_lost_is_declined_and_made_anew(yard: Yard) -> None:
    job = yard.hire()
    attempt = yard.send(grant=True)
    until(lambda: yard.all_of("started"))
    yard.cable.cut()
    until(lambda: yard.all_of("declined") and len(yard.all_of("started")) == 2)
    first, second = yard.all_of("started")
    assert yard.all_of("declined")[0].headers[TOKEN] == first.headers[TOKEN]
    yard.answer(first)
    yard.answer(second)
    until(lambda: job.begun)
    job.go.set()
    until(lambda: yard.all_of("outcome"))
    assert job.begun == [attempt]
    assert yard.all_of("outcome")[0].headers[TOKEN] == second.headers[TOKEN]


def test_what_a_step_prints_keeps_its_order_over_lost_connections(yard: Yard) -> None:
    job = yard.hire()
    job.go.set()
    yard.send(lines=3000)
    for _ in range(3):
        yard.cable.cut()
        yard.send("Quick")
    until(lambda: yard.agreed_outcomes() == 4)
    seen: set[str] = set()
    lines: list[str] = []
    for message in yard.all_of("output"):
        if message.id not in seen:
            lines += parse_output(message.body).split("\n")
        seen.add(message.id)
    assert lines == [f"0 {number}" for number in range(3000)]


def _done_while_away(yard: Yard) -> tuple[Job, str]:
    """A step that has ended since its broker went away, and its attempt."""
    job = yard.hire()
    attempt = yard.send()
    until(lambda: job.begun)
    yard.cable.pull()
    job.go.set()
    until(lambda: yard.done)
    return job, attempt


def test_an_outcome_waits_for_a_broker_that_is_away(yard: Yard) -> None:
    job, attempt = _done_while_away(yard)
    assert yard.host.running() == [attempt]
    yard.cable.plug()
    until(lambda: yard.all_of("outcome"))
    until(lambda: yard.host.running() == [])
    until(lambda: yard.queue() == (0, 0))
    assert job.begun == [attempt]


def test_an_outcome_outlives_the_deletion_of_its_reply_queue(yard: Yard) -> None:
    job = yard.hire()
    yard.send()
    until(lambda: job.begun)
    yard.rabbitmq.delete_queue(yard.url, REPLIES)
    job.go.set()
    until(lambda: yard.all_of("outcome"))


def test_a_long_step_is_acked_and_meanwhile_only_free_hands_are_filled(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("re_workers.in_flight.LONG", 300)
    monkeypatch.setattr("re_workers.in_flight.EXTEND", 50)
    job = yard.hire(slots=2)
    attempts = [yard.send()]
    until(lambda: job.begun)
    until(lambda: yard.queue().unacked == 0)
    yard.host.heartbeat()
    until(lambda: any(parse_heartbeat(one.body).running == (attempts[0],) for one in yard.all_of("heartbeat")))
    attempts += [yard.send() for _ in range(3)]
    until(lambda: len(job.begun) == 2)
    until(lambda: yard.queue() == (2, 0))
    assert job.begun == attempts[:2]
    job.go.set()
    until(lambda: len(yard.all_of("outcome")) == 4)
    assert sorted(job.begun) == attempts


def test_a_busy_worker_holds_nothing_that_an_idle_one_could_do(yard: Yard) -> None:
    slow, idle = yard.hire("slow"), yard.hire("idle")
    idle.go.set()
    attempts = [yard.send() for _ in range(20)]
    until(lambda: len(yard.all_of("outcome")) == 18)
    assert len(slow.begun) == 2
    assert sorted(slow.begun + idle.begun) == sorted(attempts)


def test_three_workers_share_a_queue_fairly(yard: Yard) -> None:
    for name in ("a", "b", "c"):
        yard.hire(name, slots=8).go.set()
    for _ in range(300):
        yard.send("Quick")
    until(lambda: len(yard.all_of("outcome")) == 300)
    shares = [sum(who == name for who, _ in yard.done) for name in ("a", "b", "c")]
    assert min(shares) > 50


def test_a_stop_while_the_broker_is_away_keeps_its_deadline_and_says_what_was_not_said(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    _, attempt = _done_while_away(yard)
    stopping = threading.Thread(target=yard.host.stop, args=(2,))
    stopping.start()
    until(lambda: not stopping.is_alive())
    left = [one.message for one in caplog.records if getattr(one, "action", "") == "left_behind"]
    assert left
    assert attempt in left[0]


def test_a_stopping_worker_leaves_what_waits_to_others_at_once(yard: Yard) -> None:
    first = yard.hire("first")
    attempt = yard.send()
    until(lambda: first.begun)
    stopping = threading.Thread(target=yard.host.stop, args=(30,))
    stopping.start()
    second = yard.hire("second")
    second.go.set()
    others = [yard.send() for _ in range(4)]
    until(lambda: len(yard.all_of("outcome")) == 4)
    assert sorted(second.begun) == others
    first.go.set()
    stopping.join()
    assert first.begun == [attempt]
    until(lambda: yard.all_of("bye"))
