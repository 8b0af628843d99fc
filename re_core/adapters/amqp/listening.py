"""The bindings of this process to keys of events and hints, and whether any process has one. Must not know what the events contain.

What is published is returned by the broker while no queue is bound to its key, and a message that comes back costs more than one that
does not. So one message asks for its key, and the next ones wait for the answer: where it comes back, for a second. That one
message a second and key is what a feed costs that no process follows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.private_queue import PrivateQueue
from re_core.ports import Delivery, Published
from re_core.ports.bus import Listener
from re_core.wire.messages import OVERHEARD, Message

#: what a queue's name begins with
PREFIX = "re.listen."

#: the keys of who names none
ALL = tuple(f"{prefix}#" for prefix in OVERHEARD)

#: calls a function on the I/O thread after so many seconds
Later = Callable[[float, Callable[[], None]], None]

#: messages that wait for a process which does not read; the oldest go, and the reader's look at the store finds them
WAITING = 10_000

#: seconds for which nothing is published under a key after the broker had no queue for it
UNBOUND_LIFE = 1.0

#: keys of which that is remembered; there are fewer than ten
KEYS = 1000


class _Ear:
    """The listeners of the same keys, and their queue."""

    def __init__(self, name: str, keys: Sequence[str], exchange: str, later: Later) -> None:
        """`name`: what that of its queue begins with."""
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self.queue = PrivateQueue(
            name,
            self._put,
            later,
            lambda: self._call_listeners(None),
            {"x-max-length": WAITING, "x-overflow": "drop-head"},
            [(exchange, key) for key in keys or ALL],
        )

    def add(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.append(listener)

    def remove(self, listener: Listener) -> bool:
        """Whether others are left."""
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
            return bool(self._listeners)

    def _put(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            self._call_listeners(delivery.message)

    def _call_listeners(self, message: Message | None) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for one in listeners:
            one(message)


class Listening:
    """`listened` and `note` are for any thread, the rest for the I/O thread."""

    def __init__(self, identity: str, exchange: str, later: Later) -> None:
        """`identity` of this process on the bus."""
        self._prefix, self._exchange, self._later = f"{PREFIX}{identity}.", exchange, later
        #: keys -> who listens to these
        self._ears: dict[tuple[str, ...], _Ear] = {}
        #: how many queues there have been: none bears the name of one that may still be there
        self._count = 0
        #: keys under which the last message was taken
        self._taken: set[str] = set()
        #: other key -> until when nothing more is published under it
        self._unbound: dict[str, float] = {}

    def listened(self, key: str) -> bool:
        """See ports.Bus."""
        if key in self._taken:
            return True
        now = time.monotonic()
        if now < self._unbound.get(key, 0.0):
            return False
        if len(self._unbound) >= KEYS:
            self._unbound.clear()
        # this message finds out for all others of its key
        self._unbound[key] = now + UNBOUND_LIFE
        return True

    def note(self, messages: Sequence[Message], outcomes: Sequence[Published]) -> None:
        """These were published."""
        # such messages are published by calls of their own
        if not messages or not messages[0].key.startswith(OVERHEARD):
            return
        until = time.monotonic() + UNBOUND_LIFE
        for message, outcome in zip(messages, outcomes, strict=True):
            if outcome is Published.TAKEN:
                if len(self._taken) < KEYS:
                    self._taken.add(message.key)
            else:
                self._taken.discard(message.key)
                self._unbound[message.key] = until

    def add(self, listener: Listener, keys: Sequence[str], connection: Connection | None) -> None:
        """Bind a queue to these keys now, or when there is a connection; to all where there are none."""
        ear = self._ears.get(tuple(keys))
        if ear is None:
            self._count += 1
            ear = _Ear(f"{self._prefix}{self._count}.", keys, self._exchange, self._later)
            self._ears[tuple(keys)] = ear
        ear.add(listener)
        if ear.queue.name:
            listener(None)
        else:
            ear.queue.open(connection)

    def remove(self, listener: Listener, keys: Sequence[str]) -> None:
        """It has stopped listening; with the last one of its keys the queue goes, so that cores need not publish."""
        ear = self._ears.get(tuple(keys))
        if ear is not None and not ear.remove(listener):
            del self._ears[tuple(keys)]
            ear.queue.close()

    def opened(self, connection: Connection) -> None:
        for ear in self._ears.values():
            ear.queue.opened(connection)

    def lost(self) -> None:
        for ear in self._ears.values():
            ear.queue.lost()
