"""A consumer of the simulated broker (ports.Subscription). Must not know what is done with a delivery."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from re_core.ports import Delivery
from re_core.wire.dead_letters import dead_letter_message
from tests.simulation.faults import Death
from tests.simulation.queues import Kept

if TYPE_CHECKING:
    from tests.simulation.bus import SimBus

_TAGS = itertools.count(1)


class SimSubscription:
    """What one process consumes. `signal` says that there may be something to take."""

    def __init__(self, bus: SimBus, queues: Sequence[str], prefetch: int, ranks: Mapping[str, int]) -> None:
        self.queues = tuple(dict.fromkeys(queues))
        self.ranks = ranks
        self.signal = False
        self._bus = bus
        self._prefetch = prefetch
        self._closed = False
        self._inbox: dict[str, deque[Kept]] = {name: deque() for name in self.queues}
        #: number of what is or was in the inbox -> when it arrived
        self._arrived: dict[int, float] = {}
        #: queue -> tag -> what is in somebody's hands
        self._unsettled: dict[str, dict[int, Kept]] = {name: {} for name in self.queues}
        #: queue -> how many beyond those with these tags
        self._allowed: dict[str, tuple[int, frozenset[int]]] = {}

    @property
    def epoch(self) -> int:
        """See ports.Subscription."""
        return self._bus.epoch

    # -- for queues --------------------------------------------------------------------------------

    def room(self, queue: str) -> int:
        """See queues.Consumer."""
        held = self._unsettled[queue]
        most, apart = self._allowed.get(queue, (self._prefetch, frozenset()))
        return most - len(self._inbox[queue]) - sum(tag not in apart for tag in held)

    def hand(self, queue: str, kept: Kept) -> None:
        """See queues.Consumer."""
        self._inbox[queue].append(kept)
        self._arrived[kept.number] = self._bus.broker.time.monotonic()
        self.signal = True

    def holds(self, queue: str) -> bool:
        """See queues.Consumer."""
        return bool(self._inbox[queue] or self._unsettled[queue])

    # -- for who consumes --------------------------------------------------------------------------

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """See ports.Subscription; never waits."""
        self._bus.point("take")
        if self._closed or not self._bus.connected:
            return []
        taken: list[Delivery] = []
        limit = self._bus.portion(limit)
        for name in self._bus.shuffled(self.queues):
            while self._inbox[name] and len(taken) < limit:
                kept = self._inbox[name].popleft()
                tag = next(_TAGS)
                self._unsettled[name][tag] = kept
                received = max(self._arrived[kept.number], self._bus.process.thawed)
                taken.append(Delivery(kept.message, name, kept.redelivered, tag, self.epoch, received))
        self.signal = any(self._inbox.values())
        return taken

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See ports.Subscription."""
        self._bus.point("ack")
        if self._bus.process.mortal and self._bus.faults.strike("death while acknowledging"):
            self._settle(self._bus.faults.some(deliveries))
            raise Death
        self._settle(deliveries)
        self._bus.point("acked")

    def reject(self, delivery: Delivery, reason: str, detail: str = "") -> None:
        """See ports.Subscription."""
        if delivery.tag in self._unsettled[delivery.queue]:
            at = self._bus.process.clock.now()
            self._bus.publish(
                [dead_letter_message(delivery.message, delivery.queue, reason, detail, self._bus.process.name, at)]
            )
            self.ack([delivery])

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See ports.Subscription."""
        back: dict[str, list[Kept]] = {}
        for one in deliveries:
            kept = self._unsettled[one.queue].pop(one.tag, None)
            if kept is not None:
                back.setdefault(one.queue, []).append(kept)
        for name, many in back.items():
            if found := self._bus.broker.find(name):
                found.put_back(many)

    def allow(self, queue: str, count: int) -> None:
        """See ports.Subscription."""
        recalled = list(self._inbox[queue])
        self._inbox[queue].clear()
        self._allowed[queue] = (count, frozenset(self._unsettled[queue]))
        self._bus.faults.happened["recalled"] += len(recalled)
        if found := self._bus.broker.find(queue):
            found.put_back(recalled)

    def wake(self) -> None:
        """See ports.Subscription."""
        self.signal = True

    def close(self) -> None:
        """See ports.Subscription."""
        if not self._closed:
            self._closed = True
            self.let_go()
            if self in self._bus.subscriptions:  # those of a process that is dead are gone already
                self._bus.subscriptions.remove(self)

    # -- for the connection ------------------------------------------------------------------------

    def attach(self) -> None:
        """Declare and consume."""
        for name in self.queues:
            self._bus.broker.declare(name, self._bus).join(self)

    def let_go(self) -> None:
        """All that it has goes back."""
        self._allowed.clear()
        for name in self.queues:
            back = [*self._unsettled[name].values(), *self._inbox[name]]
            self._unsettled[name].clear()
            self._inbox[name].clear()
            queue = self._bus.broker.find(name)
            if queue is not None:
                queue.leave(self, back)
        self.signal = False

    def bereave(self, names: Sequence[str]) -> None:
        """These queues are gone: what is in hand can no longer be settled, and does not come again."""
        for name in names:
            if name in self._inbox:
                self._inbox[name].clear()
                self._unsettled[name].clear()

    def _settle(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            if one.epoch == self.epoch and self._unsettled[one.queue].pop(one.tag, None) is not None:
                queue = self._bus.broker.find(one.queue)
                if queue is not None and queue.ready:
                    queue.fill()
