"""A virtual host of a real RabbitMQ, buses on it, and raw clients beside them. Must not know what is tested."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika

from re_core.adapters.amqp import AmqpBus
from re_core.adapters.amqp.address import addresses
from re_core.adapters.amqp.topology import Topology
from tests.contract.places import SOON
from tests.integration.adapters.relay import Relay
from tests.services.broker import RabbitMQ

#: seconds without a confirm after which the buses of these tests give up, where a test wants to see it
SHORT = 0.3


class AmqpHarness:
    """All that was opened is closed with it."""

    def __init__(self, broker: RabbitMQ) -> None:
        self.broker = broker
        self.url = broker.new_vhost()
        self._buses: list[AmqpBus] = []
        self._relays: list[Relay] = []
        self._connections: list[Any] = []

    def bus(
        self, *ports: int, patience: float = SOON, url: str = "", kind: str = "quorum", ca: Path | None = None
    ) -> AmqpBus:
        """Through relays on those ports, in turn, or straight to the broker."""
        parts = urlsplit(url or self.url)
        user = parts.netloc.rpartition("@")[0]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports) or f"{parts.hostname}:{parts.port}"
        place = f"{parts.scheme}://{user}@{hosts}{parts.path}"
        bus = AmqpBus(addresses(place, ca, 7, "test"), Topology("re", kind), patience)
        self._buses.append(bus)
        return bus

    def relay(self, tls: Any = None) -> Relay:
        """To the broker, closed as yet."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        relay = Relay(parts.hostname, parts.port, tls)
        self._relays.append(relay)
        return relay

    def raw(self) -> Any:
        """A channel of pika's own, as somebody else would use it."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        self._connections.append(connection)
        return connection.channel()

    def drain(self, queue: str) -> list[str]:
        """The ids of all that lies there, in order; it is gone then."""
        channel = self.raw()
        found: list[str] = []
        while True:
            method, properties, _ = channel.basic_get(queue, auto_ack=True)
            if method is None:
                return found
            found.append(properties.message_id)

    def close(self) -> None:
        for bus in self._buses:
            bus.close()
        for relay in self._relays:
            relay.close()
        for connection in self._connections:
            if connection.is_open:
                connection.close()
        self.broker.delete_vhost(self.url)


def until(holds: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end, f"not within {SOON:g} s: {what}"
        time.sleep(0.005)


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[threading.Thread]:
    """Do it on a thread, which ends before the block is left; its error is raised there."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(SOON)
        assert not thread.is_alive()
        if errors:
            raise errors[0]
