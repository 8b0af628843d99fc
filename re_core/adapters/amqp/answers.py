"""One queue for the answers to all requests of this process. Must not know which program answers.

An answer is known by its id, `<id of the request>/answer`, or by the request's id as its correlation id. The queue
belongs to the connection and has another name on the next one: an answer that comes too late for it is unroutable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.private_queue import PrivateQueue
from re_core.ports import Delivery
from re_core.wire.answer_queue import PREFIX
from re_core.wire.messages import Message

#: what the id of an answer ends with
SUFFIX = "/answer"

_Answer = SimpleQueue[Message | None]


class Answers:
    """Which caller waits for which answer. `expect`, `wait`, `forget` and `close` are for any thread, the rest for the I/O thread."""

    def __init__(
        self, identity: str, later: Callable[[float, Callable[[], None]], None], changed: Callable[[], None]
    ) -> None:
        """`identity` of this process on the bus; `changed` is called when there is a queue."""
        self._queue = PrivateQueue(f"{PREFIX}{identity}.", self._put, later, changed)
        self._lock = threading.Lock()
        self._waiting: dict[str, list[_Answer]] = {}
        self._over = False

    @property
    def name(self) -> str:
        """Of the queue; empty while there is none."""
        return self._queue.name

    def open(self, connection: Connection | None) -> None:
        """A caller asks: from now on there shall be a queue."""
        self._queue.open(connection)

    def opened(self, connection: Connection) -> None:
        """There is a connection."""
        self._queue.opened(connection)

    def lost(self) -> None:
        """The connection is lost, and with it the queue."""
        self._queue.lost()

    def expect(self, id: str) -> _Answer:
        """Before the request is published."""
        answer: _Answer = SimpleQueue()
        with self._lock:
            self._waiting.setdefault(id, []).append(answer)
            if self._over:
                answer.put(None)
        return answer

    def wait(self, answer: _Answer, timeout: float) -> Message | None:
        """The first answer; None where none comes within `timeout` seconds, or before the bus closes."""
        try:
            return answer.get(timeout=max(timeout, 0))
        except Empty:
            return None

    def forget(self, id: str, answer: _Answer) -> None:
        with self._lock:
            waiting = self._waiting[id]
            waiting.remove(answer)
            if not waiting:
                del self._waiting[id]

    def close(self) -> None:
        """No caller waits any longer."""
        with self._lock:
            self._over = True
            for waiting in self._waiting.values():
                for answer in waiting:
                    answer.put(None)

    def _put(self, deliveries: list[Delivery]) -> None:
        for message in (delivery.message for delivery in deliveries):
            names = (message.id.removesuffix(SUFFIX), message.correlation_id)
            with self._lock:
                for answer in next((self._waiting[name] for name in names if name in self._waiting), []):
                    answer.put(message)
