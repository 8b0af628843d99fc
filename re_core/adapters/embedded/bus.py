"""The bus in process: the semantics of ports.Bus without a broker (docs/decisions/0003). Must not know the core or SQL.

What lies in `notify.*`, `output` and the dead-letter queue exists nowhere else, so it is kept in a Mailbox and is
there again after a restart. Everything else is memory: the journal rebuilds it.

Locks: `_keeping` orders what is written to the mailbox with what is put into memory for it, and may be held during a
commit; `_lock` guards memory, is taken once per call and never held while anything waits. `_keeping` comes first.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.embedded.answers import Answers
from re_core.adapters.embedded.keys import Keys
from re_core.adapters.embedded.queue import EmbeddedQueue
from re_core.adapters.embedded.subscription import EmbeddedSubscription
from re_core.adapters.routes import key_of, outlives, remembers
from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.ports import Clock, Delivery, Mailbox, Published
from re_core.ports.bus import Listener
from re_core.wire.dead_letters import dead_letter_message
from re_core.wire.messages import DEAD, FORWARDED_BY, OVERHEARD, Message, request_life

#: the program that rejected, in the dead letters of this bus
_NAME = "embedded"

_TAKEN, _UNROUTABLE = Published.TAKEN, Published.UNROUTABLE


class EmbeddedBus:
    """See ports.Bus. Thread-safe; starts no thread."""

    def __init__(
        self,
        mailbox: Mailbox | None = None,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a mailbox nothing outlives the process. `monotonic` (seconds) is what messages expire by."""
        self._mailbox = mailbox
        self._clock = clock or SystemClock()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keeping = threading.Lock()
        self._tags = itertools.count(1)
        self._queues: dict[str, EmbeddedQueue] = {}
        #: key of the exchange -> the queue bound to it
        self._bound: dict[str, EmbeddedQueue] = {}
        #: those that outlive the process
        self._durable: set[EmbeddedQueue | None] = set()
        #: tag -> when its message expires, of all queues
        self._deadlines: dict[int, float] = {}
        #: name that is no queue -> the queue that gets what is sent there, and when that may be dropped
        self._forwarded: dict[str, tuple[str, float]] = {}
        self._answers = Answers()
        #: replaced as a whole
        self._listeners: tuple[tuple[Listener, Keys], ...] = ()
        self._subscriptions: list[EmbeddedSubscription] = []
        self._closed = False
        self.declare(DEAD)

    def declare(self, queue: str) -> None:
        """See ports.Bus. What was kept for the queue is in it at once."""
        if queue in self._queues:
            return
        with self._keeping:
            kept = self._kept(queue)
            with self._lock:
                if queue not in self._queues:
                    self._add(queue, kept)

    def forward(self, queue: str, to: str, life: int) -> None:
        """See ports.Bus. A name that is passed on; those whose life is over are dropped when another one is made."""
        now = self._monotonic()
        with self._lock:
            self._forwarded = {name: one for name, one in self._forwarded.items() if now < one[1]}
            self._forwarded[queue] = to, now + life / 1000

    def stop_forwarding(self, queue: str) -> None:
        """See ports.Bus."""
        with self._lock:
            self._forwarded.pop(queue, None)

    def release(self, queue: str) -> None:
        """See ports.Bus."""
        with self._lock:
            found = self._queues.get(queue)
            if found is not None and found.unused:
                del self._queues[queue]
                if (key := key_of(queue)) is not None:
                    del self._bound[key]

    def consumers(self, queue: str) -> int:
        """See ports.Bus."""
        return sum(queue in subscription.queues for subscription in list(self._subscriptions))

    def publish(self, messages: Sequence[Message]) -> list[Published]:
        """See ports.Bus."""
        if self._closed:
            raise BusUnavailable("the bus is closed")
        if self._forwarded:
            messages = [self._passed_on(message) for message in messages]
        queues, bound = self._queues, self._bound
        targets = [(queues if message.direct else bound).get(message.key) for message in messages]
        if not self._durable.isdisjoint(targets):
            with self._keeping:
                settled = self._keep(messages, targets)
                return self._put(messages, targets, settled)
        return self._put(messages, targets, frozenset())

    def subscribe(
        self, queues: Sequence[str], prefetch: int, ranks: Mapping[str, int] | None = None
    ) -> EmbeddedSubscription:
        """See ports.Bus. In one process priorities have no effect."""
        if self._closed:
            raise BusUnavailable("the bus is closed")
        for name in queues:
            self.declare(name)
        places = [self._queues[name] for name in dict.fromkeys(queues)]
        subscription = EmbeddedSubscription(
            self._lock, places, prefetch, self._deadlines, self._bury, self._settle, self._subscriptions.remove
        )
        self._subscriptions.append(subscription)
        if self._closed:
            subscription.close()
        return subscription

    def request(self, message: Message, timeout: float) -> Message | None:
        """See ports.Bus."""
        name = self._answers.expect()
        try:
            if self.publish([message._replace(reply_to=name, expires=request_life(timeout))]) == [_UNROUTABLE]:
                raise BusUnavailable(f"no consumer receives messages with the routing key {message.key!r}")
            return self._answers.wait(name, timeout)
        finally:
            self._answers.forget(name)

    def listen(self, listener: Listener, keys: Sequence[str] = ()) -> Callable[[], None]:
        """See ports.Bus."""
        added = listener, Keys(keys)
        with self._lock:
            self._listeners = (*self._listeners, added)
        listener(None)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not added)

        return stop

    def listened(self, key: str) -> bool:
        """See ports.Bus."""
        return any(keys.have(key) for _, keys in self._listeners)

    def mail(self, messages: Sequence[Message]) -> list[tuple[str, Message]]:
        """See ports.Bus. Those without a queue are not named: publishing them says UNROUTABLE."""
        if self._mailbox is None:
            return []
        targets = ((self._target(message), message) for message in messages)
        return [(queue.name, message) for queue, message in targets if queue is not None and queue.durable]

    def ping(self) -> None:
        """See ports.Bus."""
        if self._closed:
            raise BusUnavailable("the bus is closed")

    def close(self) -> None:
        """See ports.Bus. Twice is the same as once."""
        self._closed = True
        for subscription in list(self._subscriptions):
            subscription.close()
        self._answers.close()

    def _passed_on(self, message: Message) -> Message:
        to, _ = self._forwarded.get(message.key, ("", 0.0)) if message.direct else ("", 0.0)
        if not to:
            return message
        return message._replace(key=to, headers={**message.headers, FORWARDED_BY: message.key})

    def _target(self, message: Message) -> EmbeddedQueue | None:
        return (self._queues if message.direct else self._bound).get(message.key)

    def _add(self, name: str, kept: Sequence[Message]) -> None:
        queue = EmbeddedQueue(name, outlives(name), self._deadlines, self._monotonic)
        for message in kept:
            self._deliver(queue, message, True)
        if queue.durable:  # before a publishing can find the queue
            self._durable.add(queue)
        self._queues[name] = queue
        key = key_of(name)
        if key is not None:
            self._bound[key] = queue

    def _put(
        self, messages: Sequence[Message], targets: Sequence[EmbeddedQueue | None], settled: frozenset[int]
    ) -> list[Published]:
        outcomes: list[Published] = []
        with self._lock:
            for number, (message, queue) in enumerate(zip(messages, targets, strict=True)):
                if queue is None:
                    outcomes.append(_TAKEN if self._passes(message) else _UNROUTABLE)
                    continue
                outcomes.append(_TAKEN)
                if queue.durable and (number in settled or message.id in queue.known):
                    continue
                self._deliver(queue, message, False)
        return outcomes

    def _passes(self, message: Message) -> bool:
        """Whether a message without a queue is delivered all the same: an answer to its caller, an event to a listener."""
        if message.direct:
            return self._answers.resolve(message.key, message)
        if not message.key.startswith(OVERHEARD):
            return False
        passed = False
        for listener, keys in self._listeners:
            if keys.have(message.key):
                listener(message)
                passed = True
        return passed

    def _deliver(self, queue: EmbeddedQueue, message: Message, redelivered: bool) -> None:
        tag = next(self._tags)
        if queue.durable:
            queue.known.add(message.id)
        if message.expires is not None:
            self._deadlines[tag] = self._monotonic() + message.expires / 1000
        queue.put(Delivery(message, queue.name, redelivered, tag))

    def _kept(self, queue: str) -> list[Message]:
        if self._mailbox is None or not outlives(queue):
            return []
        with _as_bus_errors():
            return self._mailbox.kept(queue)

    def _keep(self, messages: Sequence[Message], targets: Sequence[EmbeddedQueue | None]) -> frozenset[int]:
        """Commit what must outlive the process; the places of those messages that were settled long ago."""
        if self._mailbox is None:
            return frozenset()
        places = [number for number, queue in enumerate(targets) if queue is not None and queue.durable]
        pairs = [(queue.name, messages[number]) for number in places if (queue := targets[number]) is not None]
        with _as_bus_errors():
            pending = self._mailbox.keep(pairs)
        return frozenset(number for number, is_pending in zip(places, pending, strict=True) if not is_pending)

    def _settle(self, deliveries: Sequence[Delivery]) -> None:
        if self._mailbox is None:
            return
        ids: dict[str, list[str]] = {}
        for delivery in deliveries:
            ids.setdefault(delivery.queue, []).append(delivery.message.id)
        with self._keeping, _as_bus_errors():
            for queue, done in ids.items():
                self._mailbox.settle(queue, done, remember=remembers(queue))

    def _bury(self, delivery: Delivery, reason: str, detail: str) -> None:
        now = self._clock.now()
        self.publish([dead_letter_message(delivery.message, delivery.queue, reason, detail, _NAME, now)])


@contextmanager
def _as_bus_errors() -> Iterator[None]:
    """Callers of the bus wait for the bus, whatever the bus itself waits for."""
    try:
        yield
    except StoreUnavailable as error:
        raise BusUnavailable(f"messages that must outlive the process cannot be stored: {error}") from error
