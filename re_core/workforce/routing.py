"""Which worker gets a step: a registered one, one of 2014, or none. Must not know how a step is sent.

A step is offered if a live worker offers it, or if a consumer of its command's queue never registered: that is
a worker of 2014 (docs/wire-format.md, Peers of 2014). It may stand beside workers of ours, and it is unknown which of them a message
reaches; so where more consume the queue than have registered, every step goes the careful way. A worker of ours that has
just come, or whose connection has just been cut, looks the same for a while: only a surplus that lasts counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from re_core.playbook.compiler import offer_of
from re_core.ports import Bus, Clock
from re_core.wire.places import step_queue
from re_core.workforce.capabilities import LiveOffers

#: milliseconds for which a queue's number of consumers is believed
FRESH = 1_000


#: milliseconds for which more must consume a queue than have registered, in which every worker that sends heartbeats would have
#: registered (presence.RollCall), before that means a worker of 2014: longer than
#: a first heartbeat takes, and than the broker counts a consumer whose connection was cut
LASTING = 20_000

#: queues of commands that are remembered
MOST_QUEUES = 10_000


class Route(Enum):
    """What is done with a step whose turn has come."""

    #: put it on its command's queue; it may be put there again
    SEND = "send"
    #: give it once to a worker that cannot be asked
    ONCE = "once"
    #: no worker will take it
    NO_WORKER = "no worker"


class StepRouter:
    """One thread at a time."""

    def __init__(self, bus: Bus, offers: LiveOffers, clock: Clock, waits: bool, legacy: Iterable[str] = ()) -> None:
        """`waits`: a step that no worker offers waits on its queue for one. `legacy`: queues of workers of 2014."""
        self._legacy = frozenset(legacy)
        self._bus = bus
        self._offers = offers
        self._clock = clock
        self._waits = waits
        #: queue -> (when it was looked at, how many consume it)
        self._looked: dict[str, tuple[int, int]] = {}
        #: queue -> since when more consume it than have registered, in seconds of liveness.Presence
        self._surplus: dict[str, float] = {}
        #: queues that were declared; the publisher to a queue that was deleted since notices it
        self._declared: set[str] = set()

    def route(self, name: str, pool: str = "", environment: str = "") -> Route:
        """Where the step `command:Subcommand` goes now. Its queue was declared by then. Raises StoreUnavailable, BusUnavailable.

        A worker of 2014 knows no pools, so it is none that has more consumers than workers; and it cannot show who it is.
        """
        queue = step_queue(name.partition(":")[0], pool)
        offers = self._offers.of_place(pool, environment)
        protected = bool(self._offers.protection.of(pool, environment))
        serving = self._offers.serving[queue]
        surplus = not pool and not protected and self._consumers(queue) > serving
        if self._is_legacy(queue, surplus):
            return Route.ONCE
        offered = surplus or offer_of(name, offers) is not None
        away = not (offered or protected or serving) and queue in self._legacy
        if not (offered or away or self._waits):
            return Route.NO_WORKER
        if queue not in self._declared:
            if len(self._declared) >= MOST_QUEUES:
                self._declared.clear()
            self._bus.declare(queue)
            self._declared.add(queue)
        # a worker of 2014 that is away just now finds the step on its queue
        return Route.ONCE if away else Route.SEND

    def _is_legacy(self, queue: str, surplus: bool) -> bool:
        if not surplus:
            self._surplus.pop(queue, None)
            return False
        since = self._surplus.setdefault(queue, self._offers.roll.now())
        return queue in self._legacy or self._offers.roll.proven(since) >= LASTING

    def _consumers(self, queue: str) -> int:
        now = self._clock.now()
        at, consumers = self._looked.get(queue, (None, 0))
        if at is None or not 0 <= now - at < FRESH:
            if len(self._looked) >= MOST_QUEUES:
                self._looked.clear()
            consumers = self._bus.consumers(queue)
            self._looked[queue] = now, consumers
        return consumers
