"""Both connections, their parts, and how callers wait for them. Must not know messages.

Two connections on one thread: what publishes is blocked by the broker when it runs short of memory or disk, and acks
on that connection would be blocked with it, so that no process could empty the queues.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from re_core.adapters.amqp import declaring
from re_core.adapters.amqp.address import Address
from re_core.adapters.amqp.answers import Answers
from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.consumer import AmqpConsumer
from re_core.adapters.amqp.declarations import Declarations
from re_core.adapters.amqp.listening import Listening
from re_core.adapters.amqp.outage_log import OutageLog
from re_core.adapters.amqp.publisher import Publisher
from re_core.adapters.amqp.reconnecting_connection import ReconnectingConnection
from re_core.adapters.amqp.rpc_channel import Procedure, RpcChannel
from re_core.adapters.amqp.thread import IoThread
from re_core.adapters.amqp.topology import Topology
from re_core.errors import BusRefused, BusUnavailable
from re_core.wire.messages import DEAD, DISCARD, Message

#: seconds that declaring, subscribing and asking may take while there is a connection
SETTING_UP = 10.0

#: seconds that a close waits for the broker's goodbye, and then for the end without it
CLOSING, DROPPING = 5.0, 1.0

#: channel number for declarations on the publishing connection; frames.PUBLISHING is the other one
_DECLARING = 2


class Connections:
    """Starts one thread, and connects by itself."""

    def __init__(self, addresses: Sequence[Address], topology: Topology) -> None:
        """The broker need not be there yet."""
        # OutageLog reports each failure once, in plain words; pika reports each one for each of its layers
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self.topology = topology
        #: of this process on the bus
        self.identity = secrets.token_hex(6)
        self.closed = False
        self._changed = threading.Condition()
        self._consumers: list[AmqpConsumer] = []
        self.thread = IoThread("amqp", self._start_again)
        later = self.thread.later
        self.declarations = Declarations(topology, [DEAD, DISCARD], later, self.notify)
        self.answers = Answers(self.identity, later, self.notify)
        self.listening = Listening(self.identity, topology.exchange, later)
        self.publisher = Publisher(later, self._prepare, self._restore)
        outages = OutageLog(", ".join(address.name for address in addresses))
        make = partial(
            ReconnectingConnection, thread=self.thread, addresses=addresses, outages=outages, on_change=self._news
        )
        self.publishing = make("publishing", on_open=self._prepare, on_lost=self._lost_publishing)
        self.consuming = make("consuming", on_open=self._opened, on_lost=self._lost)
        self.thread.start()
        for link in (self.publishing, self.consuming):
            self.thread.post(link.start)

    # -- any thread ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises BusUnavailable when it is closed, BusRefused where waiting is useless."""
        if self.closed:
            raise BusUnavailable("the bus is closed")
        refused = self.refusal()
        if refused is not None:
            raise refused

    def refusal(self, queues: Sequence[str] = ()) -> BusRefused | None:
        """Why nothing works, or nothing with these queues, until an operator acts."""
        return self.publishing.refused or self.consuming.refused or self.declarations.refusal(queues)

    def away(self) -> str:
        """Why nothing can be consumed or declared just now; not empty."""
        return self.consuming.trouble or "there is no connection to RabbitMQ yet"

    def why_not(self) -> str:
        """Why nothing can be published just now; not empty."""
        link = self.publishing
        if link.alarm:
            return f"RabbitMQ has an alarm ({link.alarm}) and accepts no messages: give it memory or disk, or empty its queues"
        if link.connection is None:
            return link.trouble or "there is no connection to RabbitMQ yet"
        return self.publisher.trouble or "RabbitMQ has not confirmed in time"

    def wait(self, done: Callable[[], bool], queues: Sequence[str] = ()) -> bool:
        """Until it is done, or cannot be done now; whether it is. Raises BusRefused."""

        def over() -> bool:
            away = self.consuming.connection is None and self.consuming.trouble != ""
            return done() or away or self.closed or self.refusal(queues) is not None

        with self._changed:
            self._changed.wait_for(over, SETTING_UP)
        refused = self.refusal(queues)
        if refused is not None:
            raise refused
        return done()

    def ask(self, script: Procedure) -> Any:
        """What a script returns. Raises BusUnavailable, BusRefused."""
        self.check()
        self.wait(lambda: self.consuming.connection is not None)
        answers: list[tuple[Any, Exception | None]] = []

        def answered(value: Any, error: Exception | None) -> None:
            answers.append((value, error))
            self.notify()

        def run() -> None:
            if not self.declarations.ask(script, answered):
                answered(None, BusUnavailable(self.away()))

        self.thread.post(run)
        if not self.wait(lambda: bool(answers)):
            raise BusUnavailable(self.consuming.trouble or "RabbitMQ has not answered in time")
        value, error = answers[0]
        if isinstance(error, BusRefused | BusUnavailable):
            raise error
        if error is not None:
            raise BusUnavailable(f"RabbitMQ refuses the request at the moment: {error}")
        return value

    def notify(self) -> None:
        """Wake the callers that wait for a change."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> bool:
        """Within CLOSING seconds, or a little more; False where it was closed before."""
        with self._changed:
            closed, self.closed = self.closed, True
            self._changed.notify_all()
        if closed:
            return False
        self.answers.close()
        links = {self.publishing: threading.Event(), self.consuming: threading.Event()}
        self.thread.post(lambda: self.publisher.fail(BusUnavailable("the bus is closed")))
        for link, ended in links.items():
            self.thread.post(partial(link.close, ended.set))
        if not _all(links.values(), CLOSING):
            for link in links:
                self.thread.post(link.abort)
            _all(links.values(), DROPPING)
        self.thread.stop()
        return True

    # -- the I/O thread ------------------------------------------------------------------------------

    def add(self, consumer: AmqpConsumer) -> None:
        """From now on it consumes whenever there is a connection."""
        self._consumers.append(consumer)
        self.declarations.want(consumer.queues)
        if self.consuming.connection is not None:
            consumer.opened(self.consuming.connection)

    def remove(self, consumer: AmqpConsumer) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def _opened(self, connection: Connection) -> None:
        def declared() -> None:
            self.answers.opened(connection)
            self.listening.opened(connection)
            for consumer in list(self._consumers):
                consumer.opened(connection)

        self.declarations.opened(connection, declared)
        self.notify()

    def _lost(self) -> None:
        self.declarations.lost()
        self.answers.lost()
        self.listening.lost()
        for consumer in list(self._consumers):
            consumer.lost()
        self.notify()

    def _prepare(self, connection: Connection) -> None:
        def declared(_: Any, error: Exception | None) -> None:
            if isinstance(error, BusRefused):
                self.publishing.refused = error
                self._news()
            elif error is not None:
                # another node of the cluster may know better
                connection.abort(str(error))
            else:
                self.publisher.opened(connection)

        RpcChannel(connection, _DECLARING).run(declaring.exchanges(self.topology), declared)

    def _lost_publishing(self) -> None:
        self.publisher.lost()
        self.notify()

    def _restore(self, message: Message, done: Callable[[], None]) -> bool:
        return self.declarations.restore(self.topology.expected(message.key, message.direct), done)

    def _news(self) -> None:
        self.publisher.block(self.publishing.alarm != "")
        refused = self.refusal()
        if refused is not None:
            self.publisher.fail(refused)
        self.notify()

    def _start_again(self) -> None:
        for link in (self.publishing, self.consuming):
            link.abort()


def _all(ended: Iterable[threading.Event], seconds: float) -> bool:
    end = time.monotonic() + seconds
    return all(one.wait(max(0.0, end - time.monotonic())) for one in ended)
