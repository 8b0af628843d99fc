"""One connection to the broker, made again whenever it is lost, until it is closed. Must not know what it carries.

pika's README: "pika does not do connection recovery"; so here it is: the addresses in turn, then a pause that grows,
with jitter, so that many processes do not come back at the same moment. Everything is for the I/O thread, but for the
attributes that any thread may read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from re_core.adapters.amqp import outage_log
from re_core.adapters.amqp.address import Address
from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.thread import IoThread
from re_core.backoff import Backoff
from re_core.errors import BusRefused

#: seconds between two rounds of the addresses: the first pause, and the longest
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0


class ReconnectingConnection:
    """`on_open` is called with a connection, `on_lost` after its loss; each once, in turn."""

    def __init__(
        self,
        name: str,
        thread: IoThread,
        addresses: Sequence[Address],
        outages: outage_log.OutageLog,
        on_open: Callable[[Connection], None],
        on_lost: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called after everything else that a caller may wait for: a failure, a refusal, an alarm."""
        self._name = name
        self._thread = thread
        self._addresses = addresses
        self._outages = outages
        self._on_open, self._on_lost, self._on_change = on_open, on_lost, on_change
        self._turn = 0
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._was_open = False
        self._closed: Callable[[], None] | None = None
        self._attempt: Connection | None = None
        #: the connection while it is open
        self.connection: Connection | None = None
        #: why there is none; empty while there is one, and before every address was tried
        self.trouble = ""
        #: why there will never be one
        self.refused: BusRefused | None = None
        #: the broker's alarm, for which it takes no messages; empty where there is none
        self.alarm = ""

    def start(self) -> None:
        """Make the first connection."""
        if self._closed is not None:
            return
        address = self._addresses[self._turn % len(self._addresses)]
        self._turn += 1
        self._attempt = Connection(
            address.parameters,
            on_open_callback=self._opened,
            on_open_error_callback=lambda _, error: self._failed(address, error),
            on_close_callback=lambda _, error: self._lost(error),
            custom_ioloop=self._thread.loop,
        )

    def close(self, closed: Callable[[], None]) -> None:
        """In order: what was written before is sent. `closed` is called at the end."""
        self._closed = closed
        if self.connection is not None and self.connection.is_open:
            self.connection.close()
        elif self._attempt is not None and not self._attempt.is_closed:
            self._attempt.close()
        else:
            closed()

    def abort(self) -> None:
        """Drop the connection; another one is made."""
        if self.connection is not None:
            self.connection.abort("closed by this process")

    def _opened(self, connection: Any) -> None:
        self._attempt = None
        self.connection, self.trouble, self.alarm = connection, "", ""
        self._was_open = True
        self._backoff.reset()
        self._outages.up(self._name)
        connection.add_on_connection_blocked_callback(self._blocked)
        connection.add_on_connection_unblocked_callback(self._unblocked)
        if self._closed is not None:
            connection.close()
        else:
            self._on_open(connection)

    def _failed(self, address: Address, error: BaseException) -> None:
        self._attempt = None
        if self._closed is not None:
            self._closed()
            return
        advice = outage_log.refusal(error)
        why = outage_log.reason(error)
        if advice and not self._was_open:
            self.refused = BusRefused(f"RabbitMQ at {address.name} refuses the connection: {advice} ({why})")
            self.trouble = str(self.refused)
            self._on_change()
            return
        if self._turn % len(self._addresses) == 0:
            self.trouble = f"RabbitMQ at {address.name}: {advice or why}"
            self._outages.down(self._name, f"{address.name}: {advice or why}")
            self._on_change()
        self._again()

    def _lost(self, error: BaseException) -> None:
        self.connection, self.alarm = None, ""
        why = outage_log.reason(error)
        self.trouble = f"the connection to RabbitMQ was lost: {why}"
        if self._closed is None:
            self._outages.down(self._name, why)
        self._on_lost()
        if self._closed is not None:
            self._closed()
        else:
            self._again()

    def _again(self) -> None:
        if self._turn % len(self._addresses):
            self._thread.later(0, self.start)
            return
        self._thread.later(self._backoff.next(), self.start)

    def _blocked(self, _: Any, frame: Any) -> None:
        self.alarm = str(frame.method.reason or "an alarm")
        self._on_change()

    def _unblocked(self, _: Any, __: Any) -> None:
        self.alarm = ""
        self._on_change()
