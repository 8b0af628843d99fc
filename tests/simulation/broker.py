"""The simulated broker: an exchange, queues, connections. What it has taken it keeps. Must not know the engine's parts or the faults."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from re_core.adapters.amqp.topology import CONTROL_LIFE
from re_core.adapters.routes import key_of
from re_core.wire.messages import DEAD, FORWARDED_BY, OUTPUT, Message
from tests.simulation.clock import Time
from tests.simulation.queues import Kept, Queue

#: queues that go with the connection that declared them, and those that stay for a while when nobody consumes them
PRIVATE, FORGOTTEN = "re.answer.", "re.control."


class Broker:
    """See ports.Bus for what a broker promises."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.queues: dict[str, Queue] = {}
        self._bound: dict[str, Queue] = {}
        #: queue that only passes on -> the queue that it passes on to
        self._forwards: dict[str, str] = {}
        self._numbers = itertools.count(1)
        #: who hears what goes by: keys, and what is called
        self.listeners: list[tuple[Sequence[str], Callable[[Message], None]]] = []
        self.declare(DEAD, None)

    def declare(self, name: str, owner: object) -> Queue:
        """The queue, made where it is not there."""
        queue = self.find(name)
        if queue is None:
            single = name.startswith("re.reply.") or name == OUTPUT
            queue = Queue(name, self.time, single, owner if name.startswith((PRIVATE, FORGOTTEN)) else None)
            self.queues[name] = queue
            key = key_of(name)
            if key is not None:
                self._bound[key] = queue
        return queue

    def find(self, name: str) -> Queue | None:
        """The queue, unless it is not there (any more)."""
        queue = self.queues.get(name)
        if queue is not None and queue.gone_at <= self.time.now:
            del self.queues[name]
            return None
        return queue

    def forward(self, name: str, to: str) -> None:
        self._forwards[name] = to

    def stop_forwarding(self, name: str) -> None:
        self._forwards.pop(name, None)

    def put(self, message: Message) -> bool:
        """Take it; False where no queue is bound to its key."""
        to = self._forwards.get(message.key) if message.direct else None
        if to is not None:
            message = message._replace(key=to, headers={**message.headers, FORWARDED_BY: message.key})
        queue = self.find(message.key) if message.direct else self._bound.get(message.key)
        if queue is None:
            return False
        deadline = math.inf if message.expires is None else self.time.now + message.expires
        queue.put(Kept(next(self._numbers), message, False, deadline))
        return True

    def listened(self, key: str) -> bool:
        """Whether a message with this key is heard."""
        return any(_is_heard(key, keys) for keys, _ in self.listeners)

    def tell(self, message: Message) -> None:
        """Those who listen hear it, now or never."""
        for keys, hear in list(self.listeners):
            if _is_heard(message.key, keys):
                hear(message)

    def delete(self, names: Iterable[str]) -> int:
        """The queues are gone, with all that lies in them; how many messages lay there."""
        lost = 0
        for name in names:
            queue = self.queues.pop(name, None)
            if queue is not None:
                lost += len(queue.ready)
                self._bound.pop(key_of(name) or "", None)
        return lost

    def purge(self, names: Iterable[str]) -> int:
        """What is ready in these queues is gone."""
        lost = 0
        for name in names:
            lost += len(self.queues[name].ready)
            self.queues[name].ready.clear()
        return lost

    def drop_private(self, owner: object) -> None:
        """The connection is gone, and its own queues with it."""
        for name, queue in list(self.queues.items()):
            if queue.owner is owner and name.startswith(PRIVATE):
                del self.queues[name]
            elif queue.owner is owner:
                queue.gone_at = self.time.now + CONTROL_LIFE

    def work_queues(self) -> list[str]:
        """Those of steps and replies, which the journal can fill again."""
        return [name for name in self.queues if name.startswith(("worker.", "re.reply."))]

    def nudge(self) -> None:
        """Queues that were slow go on."""
        for queue in self.queues.values():
            if queue.ready:
                queue.fill()


def _is_heard(key: str, keys: Sequence[str]) -> bool:
    """`*` stands for one word, and is the last one wherever it is used."""
    return not keys or any(fnmatchcase(key, one) for one in keys)
