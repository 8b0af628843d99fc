"""Questions to the broker that want an answer, one after another, written as generators. Must not know what is asked.

A procedure yields what to ask: a function of the channel and of the callback for the answer. It is sent the answer's
method, or thrown ChannelClosedByBroker: the broker refuses by closing the channel, so each RpcChannel has a
channel to itself and opens another one then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from re_core.adapters.amqp.connection import Connection
from re_core.errors import OperatorError

#: what to ask: a method of the channel, with the callback for its answer
Ask = Callable[[Channel, Callable[[Any], None]], object]
Procedure = Generator[Ask, Any, Any]

#: is called with what a procedure returned, or why it ended
Done = Callable[[Any, "Exception | None"], None]


class RpcChannel:
    """On one connection, for the I/O thread; ends with the connection, and with it what was not answered."""

    def __init__(self, connection: Connection, number: int | None = None) -> None:
        """`number` of the channel; None takes a free one."""
        self._connection = connection
        self._number = number
        self._scripts: deque[tuple[Procedure, Done]] = deque()
        self._current: tuple[Procedure, Done] | None = None
        self._channel: Channel | None = None
        self._refused: ChannelClosedByBroker | None = None
        self._open()

    def run(self, script: Procedure, done: Done) -> None:
        """After those that were given before."""
        self._scripts.append((script, done))
        self._next()

    def _open(self) -> None:
        channel = self._connection.channel(self._number, on_open_callback=self._opened)
        channel.add_on_close_callback(self._closed)

    def _opened(self, channel: Channel) -> None:
        self._channel = channel
        refused, self._refused = self._refused, None
        if refused is not None and self._current is not None:
            script, done = self._current
            self._step(lambda: script.throw(refused), done)
        else:
            self._next()

    def _closed(self, _: Channel, error: Exception) -> None:
        self._channel = None
        if isinstance(error, ChannelClosedByBroker) and self._connection.is_open:
            self._refused = error
            # the channel's number is free only after all callbacks for its end have run
            self._connection.ioloop.call_later(0, self._reopen)

    def _reopen(self) -> None:
        if self._connection.is_open:
            self._open()

    def _next(self) -> None:
        if self._current is None and self._channel is not None and self._channel.is_open and self._scripts:
            self._current = script, done = self._scripts.popleft()
            self._step(lambda: next(script), done)

    def _answered(self, frame: Any) -> None:
        if self._current is not None:
            script, done = self._current
            self._step(lambda: script.send(frame.method), done)

    def _step(self, advance: Callable[[], Ask], done: Done) -> None:
        try:
            ask = advance()
        except StopIteration as end:
            self._end(done, end.value, None)
        except (ChannelClosedByBroker, OperatorError) as error:
            self._end(done, None, error)
        else:
            if self._channel is not None and self._channel.is_open:
                ask(self._channel, self._answered)

    def _end(self, done: Done, value: Any, error: Exception | None) -> None:
        self._current = None
        done(value, error)
        self._next()
