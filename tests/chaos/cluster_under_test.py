"""What chaos is played on: processes, broker and store, and what can be done to each. Must not know when it is done."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pika
from pika.exceptions import ChannelClosedByBroker

from re_core.adapters.amqp.topology import CONTROL
from tests.chaos.ledger import Fall, Ledger
from tests.cluster.cluster import Cluster
from tests.cluster.member import READY, Member
from tests.e2e.engine_process import wait_until
from tests.services.broker import Queue, RabbitMQ
from tests.services.rabbitmq import RabbitServer
from tests.services.server import Group

#: where the chaos tests' own worker is
WORKERS = Path(__file__).parent / "workers"

#: seconds that what is frozen stays frozen: at least, at most
FROZEN = (0.1, 2.0)

#: what the engine does without while a queue is gone: replies, steps, requests, words to workers, output, beats
QUEUES = ("re.", "worker.", "notify.", "output")


class ClusterUnderTest:
    """A cluster whose only worker is the ledger's, and its broker and store. `faults` counts what was done to them."""

    def __init__(
        self,
        directory: Path,
        broker: RabbitMQ,
        bus_url: str,
        store_url: str,
        store: Group | None = None,
        *,
        rests: int = 1,
        cores: int = 1,
        workers: int = 1,
        slots: int = 8,
        settings: dict[str, str] | None = None,
    ) -> None:
        """`store`: a server of one's own, which may be killed; the broker may be where it is a RabbitServer."""
        self.broker, self.bus_url, self.store = broker, bus_url, store
        directory.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(directory / "ledger")
        environ = {
            "CHAOS_LEDGER": str(self.ledger.file),
            "RE_WORKERS_DIR": str(WORKERS),
            "RE_HTTP_WORKERS": "1",
            "RE_REQUEST_TIMEOUT": "5",
            **(settings or {}),
        }
        self.cluster = Cluster(
            directory / "cluster", bus_url, store_url, rests=rests, cores=cores, workers=(), environ=environ
        )
        for _ in range(workers):
            self.cluster.add_worker("ledger", "console", options=["--slots", str(slots)])
        self.faults: Counter[str] = Counter()
        self.falls: list[Fall] = []

    def start(self) -> None:
        """Start all processes, and wait until a core knows the workers: a step that none of them offers fails at once."""
        self.cluster.start()
        with self.cluster.client() as client:
            count = len(self.cluster.workers) + len(self.cluster.gateways)  # a gateway is a worker too
            wait_until("the workers are registered", lambda: len(client.workers()) == count, READY)

    # -- processes ---------------------------------------------------------------------------------

    def kill(self, members: Sequence[Member]) -> Callable[[random.Random], None]:
        """kill -9 of one of them, and its next start, which nobody waits for."""

        def strike(dice: random.Random) -> None:
            member = dice.choice(members)
            member.await_ready()
            self.falls.append(Fall(_kind(member), time.monotonic()))
            member.kill()
            self.faults[f"kill {_kind(member)}"] += 1
            member.spawn()

        return strike

    def freeze(
        self, members: Sequence[Member], seconds: tuple[float, float] = FROZEN
    ) -> Callable[[random.Random], None]:
        """SIGSTOP of one of them, and SIGCONT a while later."""

        def strike(dice: random.Random) -> None:
            member = dice.choice(members)
            member.await_ready()
            member.freeze()
            self.faults[f"freeze {_kind(member)}"] += 1
            time.sleep(dice.uniform(*seconds))  # how long it lasts is a random input, not a wait for something
            member.thaw()

        return strike

    # -- queues ------------------------------------------------------------------------------------

    def purge_queues(self, dice: random.Random) -> None:
        """Throw away all that lies in the queues."""
        self._each_queue("queue_purge")
        self.faults["purge queues"] += 1

    def delete_queues(self, dice: random.Random) -> None:
        """Delete all queues with all in them."""
        self._each_queue("queue_delete")
        self.faults["delete queues"] += 1

    def queues(self) -> dict[str, Queue]:
        """Those in which something lies that is to be consumed."""
        return outstanding(self.broker.queues(self.bus_url), self.broker.unconsumed(self.bus_url))

    def lying(self) -> list[str]:
        """Each message that lies in a queue and that no consumer has; it is gone then."""
        found = []
        with closing(pika.BlockingConnection(pika.URLParameters(self.bus_url))) as connection:
            channel = connection.channel()
            for name in self.queues():
                while (got := channel.basic_get(name, auto_ack=True))[0] is not None:
                    method, properties, body = got
                    found.append(
                        f"{name}: {properties.message_id} {method.routing_key} {properties.headers} {body[:200]!r}"
                    )
        return found

    def _each_queue(self, method: str) -> None:
        """Over one connection, so that all of them suffer at about the same time."""
        names = [name for name in self.broker.queues(self.bus_url) if name.startswith(QUEUES)]
        connection = pika.BlockingConnection(pika.URLParameters(self.bus_url))
        with closing(connection):
            channel = connection.channel()
            for name in names:
                try:
                    getattr(channel, method)(name)
                except ChannelClosedByBroker:  # this one has just gone with its owner
                    channel = connection.channel()

    # -- servers -----------------------------------------------------------------------------------

    def kill_broker(self, dice: random.Random) -> None:
        """kill -9 of RabbitMQ, and its next start."""
        broker = self._own_broker()
        broker.settle()  # without it RabbitMQ forgets quorum queues that it has declared a moment ago
        self._kill(broker, "broker")

    def restart_broker(self, dice: random.Random) -> None:
        """Stop RabbitMQ in order, and start it."""
        self._restart(self._own_broker(), "broker")

    def freeze_broker(self, dice: random.Random) -> None:
        """RabbitMQ answers nothing for a while."""
        self._freeze(self._own_broker(), "broker", dice)

    def alarm_broker(self, dice: random.Random) -> None:
        """RabbitMQ has no memory left for a while, and takes nothing from who publishes."""
        broker = self._own_broker()
        broker.raise_alarm()
        self.faults["alarm broker"] += 1
        time.sleep(dice.uniform(*FROZEN))  # as in freeze
        broker.clear_alarm()

    def cut_connections(self, dice: random.Random) -> None:
        """RabbitMQ closes all connections."""
        self._own_broker().close_connections(self.bus_url)
        self.faults["close connections"] += 1

    def kill_store(self, dice: random.Random) -> None:
        """kill -9 of the store, and its next start."""
        self._kill(self._own_store(), "store")

    def restart_store(self, dice: random.Random) -> None:
        """Stop the store in order, and start it."""
        self._restart(self._own_store(), "store")

    def freeze_store(self, dice: random.Random) -> None:
        """The store answers nothing for a while."""
        self._freeze(self._own_store(), "store", dice)

    def _kill(self, server: Group, name: str) -> None:
        server.kill()
        self.faults[f"kill {name}"] += 1
        server.start()

    def _restart(self, server: Group, name: str) -> None:
        server.stop()
        self.faults[f"stop {name}"] += 1
        server.start()

    def _freeze(self, server: Group, name: str, dice: random.Random) -> None:
        server.freeze()
        self.faults[f"freeze {name}"] += 1
        time.sleep(dice.uniform(*FROZEN))  # as in freeze
        server.thaw()

    def _own_broker(self) -> RabbitServer:
        assert isinstance(self.broker, RabbitServer), "this broker is everybody's"
        return self.broker

    def _own_store(self) -> Group:
        assert self.store is not None, "this store is everybody's"
        return self.store

    def check_store(self) -> str:
        """What `rectl store check` finds wrong; empty where nothing is."""
        ran = subprocess.run(
            ["rectl", "store", "check"],
            env=self.cluster.environ("check"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return "" if ran.returncode == 0 else f"{ran.stdout}{ran.stderr}"


def outstanding(queues: Mapping[str, Queue], unconsumed: Collection[str]) -> dict[str, Queue]:
    """Those of `queues` that are to become empty: where something lies that a process consumes, or will.

    What the core sent to a worker that had died, and of which it did not know that yet, lies in a control queue without a
    consumer, until the broker deletes that.
    """
    return {
        name: queue
        for name, queue in queues.items()
        if queue.unacked or (queue.ready and not (name in unconsumed and name.startswith(CONTROL)))
    }


def _kind(member: Member) -> str:
    return member.name.partition("-")[0]
