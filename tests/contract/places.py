"""Where the adapters under test live. A new adapter is one more class here and one more name in conftest.py."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pika

from re_core.adapters.amqp import AmqpBus
from re_core.adapters.amqp.address import addresses
from re_core.adapters.amqp.topology import Topology
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.mongo import MongoStore
from re_core.adapters.sqlite import SqliteStore
from re_core.ports import Bus, Mailbox, Store
from tests.services.broker import RabbitMQ

#: seconds to wait for what must come
SOON = 10.0
#: seconds to wait for what must not come
NEVER = 0.05


class FakeClock:
    """A clock that the test moves."""

    def __init__(self, milliseconds: int = 1_000_000) -> None:
        self.milliseconds = milliseconds

    def now(self) -> int:
        return self.milliseconds

    def monotonic(self) -> float:
        return self.milliseconds / 1000


class StorePlace(Protocol):
    """Opening it again finds what was stored; several may be open at once."""

    def open(self) -> Store: ...

    def close(self) -> None:
        """Close all that were opened."""
        ...


class BusPlace(Protocol):
    """Opening it again, after a close, finds what outlives a process. One bus at a time, by any number of threads."""

    def open(self) -> Bus: ...

    def pass_time(self, milliseconds: int) -> None:
        """Let messages grow old."""
        ...

    def close(self) -> None:
        """Close all that were opened."""
        ...


class SqlitePlace:
    """A file."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "contract.db"
        self.clock = FakeClock()
        self._opened: list[SqliteStore] = []

    def open(self) -> SqliteStore:
        self._opened.append(SqliteStore(self.path, self.clock))
        return self._opened[-1]

    def close(self) -> None:
        for store in self._opened:
            store.close()


class MongoPlace:
    """A database of its own, that somebody else made and drops."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: list[MongoStore] = []

    def open(self) -> MongoStore:
        self._opened.append(MongoStore(self._url))
        return self._opened[-1]

    def close(self) -> None:
        for store in self._opened:
            store.close()


class EmbeddedPlace:
    """A bus in this process, with or without a file behind it."""

    def __init__(self, stores: SqlitePlace | None) -> None:
        self._clock = stores.clock if stores else FakeClock()
        self._stores = stores
        self._opened: list[EmbeddedBus] = []

    def open(self) -> EmbeddedBus:
        mailbox: Mailbox | None = self._stores.open() if self._stores else None
        self._opened.append(EmbeddedBus(mailbox, self._clock, self._clock.monotonic))
        return self._opened[-1]

    def pass_time(self, milliseconds: int) -> None:
        self._clock.milliseconds += milliseconds

    def close(self) -> None:
        for bus in self._opened:
            bus.close()
        if self._stores:
            self._stores.close()


class AmqpPlace:
    """A virtual host of RabbitMQ that nobody else uses."""

    def __init__(self, broker: RabbitMQ, queue_type: str = "quorum") -> None:
        self._broker = broker
        self._queue_type = queue_type
        self.url = broker.new_vhost()
        self._opened: list[AmqpBus] = []

    def open(self) -> AmqpBus:
        bus = AmqpBus(addresses(self.url, None, 7, "contract"), Topology("re", self._queue_type))
        self._opened.append(bus)
        return bus

    def pass_time(self, milliseconds: int) -> None:
        """As the broker counts it: until a message that lives so long has gone where expired ones go."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        channel = connection.channel()
        arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "expired"}
        channel.queue_declare("ages", exclusive=True, arguments=arguments)
        channel.queue_declare("expired", exclusive=True)
        channel.basic_publish("", "ages", b"", pika.BasicProperties(expiration=str(milliseconds)))
        wait = SOON + milliseconds / 1000
        method, _, _ = next(channel.consume("expired", inactivity_timeout=wait))
        assert method is not None, f"nothing expired in {wait} s"
        connection.close()

    def close(self) -> None:
        for bus in self._opened:
            bus.close()
        self._broker.delete_vhost(self.url)
