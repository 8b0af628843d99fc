"""What became of notifications, reported to the core for `rectl notifications`. Must not know how it keeps that.

A report that cannot be sent waits for the next turn, MOST at a time: it is for people, and holds nothing up.
"""

from __future__ import annotations

import hashlib
from collections import deque
from contextlib import suppress
from itertools import islice

from re_core.errors import ReleaseEngineError
from re_core.ports import Bus, Clock
from re_core.wire.messages import Message
from re_core.wire.notified import FAILED, SENT, Notified, report
from re_workers.notify.handler import Told
from re_workers.outgoing import APP

#: reports that wait while the bus is away
MOST = 1000

#: reports that are sent at once
AT_ONCE = 100


class Reports:
    """Of one notifier. One thread."""

    def __init__(self, bus: Bus, clock: Clock, worker: str, transport: str) -> None:
        self._bus, self._clock, self._worker, self._transport = bus, clock, worker, transport
        self._waiting: deque[Message] = deque(maxlen=MOST)
        #: reports so far
        self._count = 0

    def add(self, message: Message, told: Told, tries: int, batch: int, why: str = "") -> None:
        """This notification is done with: sent, with `batch` - 1 others, or not, because of `why`."""
        at = self._clock.now()
        found = Notified(
            id=self._id(at, message.id),
            notification=message.id,
            transport=self._transport,
            target=told.target,
            phase=told.phase,
            slug=told.slug,
            outcome=FAILED if why else SENT,
            why=why,
            tries=tries,
            at=at,
            together=batch if batch > 1 else 0,
            deployment=message.correlation_id or told.facts.deployment,
            group=told.facts.group,
            playbook=told.facts.playbook,
            worker=self._worker,
        )
        self._waiting.append(report(found, APP))

    def _id(self, at: int, notification: str) -> str:
        """Sorts by time; no chance is in it, so that a simulated world stays the same."""
        self._count += 1
        about = f"{self._worker} {self._transport} {self._count} {notification}"
        return f"{at:013d}-{hashlib.sha256(about.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"

    def send(self) -> None:
        """Send what waits; where the bus is away it goes on waiting."""
        with suppress(ReleaseEngineError):
            while self._waiting:
                some = list(islice(self._waiting, AT_ONCE))
                self._bus.publish(some)
                for _ in some:
                    self._waiting.popleft()
