"""Passes the steps of a worker with lanes on to their lanes. Must not know which lanes there are.

The core dispatches to the worker's queue as to any other. Every process of the worker takes from it, and publishes each step to the
queue of its lane, from which the processes that serve the lane take it. The queue of a lane is declared by those that consume it, and
by no other: a step whose lane has no consumer is kept here, unsettled, until one comes.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable

from re_core.errors import ReleaseEngineError
from re_core.ports import UNOBSERVED, Bus, Clock, Delivery, Observer, Published
from re_core.wire.messages import lane_queue
from re_core.wire.redaction import Redaction
from re_workers.attempt import Attempt
from re_workers.consumer import StepConsumer
from re_workers.outcomes import Outcome
from re_workers.runs import Spawn, on_thread
from re_workers.sdk import Worker
from re_workers.secrets.resolver import Secrets

#: steps of lanes without a consumer that are kept; of more the oldest is dropped: the core dispatches again what it awaits
MOST_KEPT = 500

#: deliveries that it holds at once: those that are kept, and some that pass through
PREFETCH = 2 * MOST_KEPT

#: milliseconds between two looks for a consumer, where no lane of this process has changed
AGAIN = 5_000

#: milliseconds for which is believed whether a lane of other processes has a consumer, and lanes of which that is remembered
FRESH, MOST_LANES = 1_000, 1_000

#: characters of a lane, and bytes of the longest name of a queue that has it in its name
MAX_LANE, MAX_NAME = 200, 255
_LANE = re.compile(rf"[A-Za-z0-9_.@/-]{{1,{MAX_LANE}}}")

_log = logging.getLogger(__name__)


def lane_problem(lane: object, control: str) -> str:
    """Why this is no name of a lane, or an empty text. `control`: the process's control queue of the worker."""
    if not isinstance(lane, str) or not _LANE.fullmatch(lane):
        return f"the lane {str(lane)[:80]!r} is not 1 to {MAX_LANE} characters of A-Z a-z 0-9 _ . @ / -"
    too_long = len(control) + 1 + len(lane) - MAX_NAME
    return f"the lane {lane[:80]!r} is {too_long} characters too long for the name of its queue" if too_long > 0 else ""


class _Kept:
    """A delivery on its way to its lane."""

    __slots__ = ("delivery", "fresh", "lane")

    def __init__(self, delivery: Delivery, lane: str) -> None:
        self.delivery = delivery
        self.lane = lane
        #: it was not tried yet
        self.fresh = True


class Forwarder(StepConsumer):
    """See StepConsumer: runs nothing that it takes, only what this process resumes. Any thread may call `reconsider` too."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        worker: Worker,
        identity: str,
        serves: Callable[[str], bool],
        spawn: Spawn = on_thread,
        redaction: Redaction | None = None,
        observer: Observer = UNOBSERVED,
        secrets: Secrets | None = None,
    ) -> None:
        """`serves`: whether this process takes steps of the lane just now."""
        super().__init__(bus, clock, worker, identity, PREFETCH, spawn, redaction, observer, secrets=secrets)
        self._bus, self._serves = bus, serves
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._again = False
        self._tried = 0
        #: lane -> (when it was looked at, whether it has a consumer)
        self._looked: dict[str, tuple[int, bool]] = {}

    def reconsider(self) -> None:
        """Lanes have changed: try what is kept once more."""
        self._again = True
        if self._kept:
            self.wake()

    def kept(self) -> list[str]:
        """The attempts that wait for a consumer of their lane."""
        return list(self._kept)

    def turn(self, timeout: float) -> int:
        """See StepConsumer."""
        handled = super().turn(timeout)
        self._forward()
        return handled

    def drain(self) -> None:
        """See StepConsumer. What is kept goes back, for the forwarders of other processes."""
        super().drain()
        kept, self._kept = self._kept, OrderedDict()
        try:
            self._subscription.requeue([one.delivery for one in kept.values()])
        except ReleaseEngineError as error:  # it goes back with the connection
            _log.info("cannot requeue %d steps: %s", len(kept), error, extra={"action": "bus_away"})

    def _on_step(self, delivery: Delivery) -> None:
        if self._is_copy(delivery):
            return
        if self._draining:
            self._subscription.requeue([delivery])
            return
        attempt = Attempt(delivery, self._token(), self._identity, self._clock.now(), self._observer.traces)
        problem = attempt.prepare(self._worker, self._redaction)
        lane = "" if problem else self._worker.lane_of(attempt.call.subcommand, attempt.arguments)
        problem = problem or lane_problem(lane, self.control)
        if problem:
            self._settle(attempt, Outcome("failed", None, problem))
            return
        older = self._kept.get(attempt.key)
        if older is not None and older.delivery.epoch == delivery.epoch:
            self._outbox.done(delivery)  # a copy
            return
        self._kept[attempt.key] = _Kept(delivery, lane)

    def _forward(self) -> None:
        """Publish what a lane has a consumer for, then settle it. Raises BusUnavailable; what is kept is tried again then."""
        if not self._kept:
            return
        self._forget_lost()
        now = self._clock.now()
        every = self._again or not 0 <= now - self._tried < AGAIN
        tried = [(key, one) for key, one in self._kept.items() if every or one.fresh]
        self._again = True  # until it is done
        ready = [(key, one) for key, one in tried if self._is_served(one.lane, now)]
        command = self._worker.command
        messages = [one.delivery.message._replace(key=lane_queue(command, one.lane), direct=True) for _, one in ready]
        outcomes = self._bus.publish(messages) if messages else []
        taken = [one for one, outcome in zip(ready, outcomes, strict=True) if outcome is Published.TAKEN]
        self._subscription.ack([one.delivery for _, one in taken])
        for key, _ in taken:
            del self._kept[key]
        for _, one in tried:
            one.fresh = False
        self._again = False
        self._tried = now if every else self._tried
        self._drop_oldest()

    def _forget_lost(self) -> None:
        """What an earlier connection brought comes again."""
        epoch = self._subscription.epoch
        for key in [key for key, one in self._kept.items() if one.delivery.epoch != epoch]:
            del self._kept[key]

    def _drop_oldest(self) -> None:
        dropped = []
        while len(self._kept) > MOST_KEPT:
            dropped.append(self._kept.popitem(last=False)[1].delivery)
        if dropped:
            self._subscription.ack(dropped)

    def _is_served(self, lane: str, now: int) -> bool:
        if self._serves(lane):
            return True
        at, served = self._looked.get(lane, (None, False))
        if at is None or not 0 <= now - at < FRESH:
            if len(self._looked) >= MOST_LANES:
                self._looked.clear()
            served = self._bus.consumers(lane_queue(self._worker.command, lane)) > 0
            self._looked[lane] = now, served
        return served
