"""Workers with lanes, whole processes' parts with their threads: each step reaches one that serves its lane. On both buses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.ports import Bus
from re_core.wire.messages import (
    ASKS,
    ATTEMPT,
    EVENT,
    TOKEN,
    WORKER,
    Message,
    encode,
    parse_heartbeat,
    parse_reply,
)
from re_workers import lanes
from re_workers.forwarder import Forwarder
from re_workers.host import WorkerHost
from tests.integration.workers.waiting import until
from tests.unit.workers.rail import Rail

REPLIES = "re.reply.3"


class Network:
    """The core's side, and worker processes as far as the bus can tell."""

    def __init__(self, connect: Callable[[], Bus]) -> None:
        self._connect = connect
        self.bus = connect()
        self.heard: list[Message] = []
        self._replies = self.bus.subscribe([REPLIES, "re.heartbeat"], 1000)
        self._answered: set[str] = set()
        self._numbers = itertools.count()
        self.hosts: list[WorkerHost] = []

    def hire(self, **open: int) -> tuple[Rail, WorkerHost]:
        worker = Rail(**open)
        host = WorkerHost(self._connect(), SystemClock(), [worker])
        self.hosts.append(host)
        host.start()
        return worker, host

    def send(self, to: str, subcommand: str = "Go") -> str:
        id = f"D/{next(self._numbers)}/1"
        parameters = {"command": "rail", "subcommand": subcommand, "to": to}
        body = encode({"parameters": parameters, "group": "g", "dynamic": {}, "notify": {}})
        self.bus.publish([Message("worker.rail", body, id, "D", REPLIES, {ATTEMPT: id})])
        return id

    def reserved(self, worker: Rail) -> int:
        """How often the worker has set something aside by now."""
        self.listen()
        return len(worker.reserved)

    def listen(self) -> None:
        """Hear what was said, and say `go` to every claim."""
        taken = self._replies.take(1000, 0.02)
        self._replies.ack(taken)
        self.heard += [one.message for one in taken]
        for claim in self.heard:
            if claim.headers.get(ASKS) == "1" and claim.id not in self._answered:
                self._answered.add(claim.id)
                headers = {EVENT: "go", ATTEMPT: claim.headers[ATTEMPT], TOKEN: claim.headers[TOKEN]}
                self.bus.publish([Message(claim.reply_to, b"{}", f"go/{claim.id}", headers=headers, direct=True)])

    def outcomes(self) -> dict[str, str]:
        """Attempt -> the worker that completed it."""
        self.listen()
        found = {}
        for message in self.heard:
            if "/outcome/" in message.id:
                assert parse_reply(message.body).status == "completed"
                found[message.headers[ATTEMPT]] = message.headers[WORKER]
        return found

    def accepted(self, host: WorkerHost) -> list[str]:
        """The lanes that the process offered with its last heartbeat."""
        self.listen()
        beats = [parse_heartbeat(one.body) for one in self.heard if one.key.endswith("heartbeat")]
        mine = [one for one in beats if one.worker == host.identity]
        return list(mine[-1].offers["rail:Go"]["accepts"]["to"]) if mine else []

    def kept(self) -> list[str]:
        """Steps that wait in a forwarder."""
        forwarders = [one for host in self.hosts for one in host._consumers if isinstance(one, Forwarder)]
        return [attempt for one in forwarders for attempt in one.kept()]


@pytest.fixture
def network(connect: Callable[[], Bus]) -> Iterator[Network]:
    network = Network(connect)
    yield network
    for host in network.hosts:
        host.stop(2)


def test_each_step_reaches_a_process_that_serves_its_lane(network: Network) -> None:
    _, north = network.hire(oslo=2)
    _, south = network.hire(rome=2, bari=1)
    sent = {network.send(to): to for _ in range(4) for to in ("oslo", "rome", "bari")}
    until(lambda: len(network.outcomes()) == len(sent))
    served = {"oslo": north.identity, "rome": south.identity, "bari": south.identity}
    assert network.outcomes() == {attempt: served[to] for attempt, to in sent.items()}


def test_a_step_waits_for_its_lane_and_goes_when_a_process_opens_it(network: Network) -> None:
    worker, host = network.hire()
    attempt = network.send("oslo/b@1")
    until(lambda: network.kept() == [attempt])
    worker.open = {"oslo/b@1": 1}
    worker.changed()
    until(lambda: network.outcomes() == {attempt: host.identity})
    until(lambda: network.accepted(host) == ["oslo/b@1"])
    assert network.kept() == []


def test_no_more_steps_of_a_lane_run_at_once_than_it_has_capacity(network: Network) -> None:
    worker, _ = network.hire(oslo=1)
    sent = [network.send("oslo", "Wait") for _ in range(3)]
    until(lambda: network.reserved(worker) == 1)
    worker.open = {"oslo": 2}
    worker.changed()
    until(lambda: network.reserved(worker) == 2)
    worker.go.set()
    until(lambda: len(network.outcomes()) == len(sent))


def test_what_waits_in_a_lane_goes_to_another_process_when_this_one_stops(network: Network) -> None:
    first, host = network.hire(oslo=1)
    first.room = 0
    attempt = network.send("oslo")
    until(lambda: any(one._parked for one in host._lanes[0].consumers()))
    _, other = network.hire(oslo=1)
    host.stop(2)
    until(lambda: network.outcomes() == {attempt: other.identity})
    network.hosts.remove(host)


def test_a_lane_that_is_not_used_any_more_is_closed(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "CLOSE_AFTER", 0.0)
    worker, host = network.hire(oslo=1)
    attempt = network.send("oslo")
    until(lambda: network.outcomes())
    worker.open = {}
    worker.changed()
    until(lambda: not host._lanes[0].consumers())
    assert network.bus.consumers("worker.rail.oslo") == 0
    again = network.send("oslo")
    until(lambda: network.kept() == [again])
    worker.open = {"oslo": 1}
    worker.changed()
    until(lambda: set(network.outcomes()) == {attempt, again})


def test_a_worker_that_cannot_say_its_lanes_keeps_beating(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    worker, host = network.hire(oslo=1)
    worker.open = {"x y": 1, "rome": 1}
    worker.changed()
    until(lambda: network.accepted(host) == ["rome", "x y"])
    assert "the lane 'x y' is not 1 to 200 characters" in caplog.text
    worker.open = {f"lane{number}": 0 for number in range(1001)}
    host.heartbeat()
    until(lambda: network.accepted(host) == ["rome", "x y"])
    assert "expected a list of at most 1000 strings" in caplog.text
    worker.open = None  # type: ignore[assignment]
    host.heartbeat()
    assert "cannot say what it offers" in caplog.text
    assert host.running() == []
