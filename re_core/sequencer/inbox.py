"""The sequencer's queues: takes, settles and returns deliveries, and leaves the queues to other cores while it cannot work.

Must not know what a delivery says, or what is done about it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from re_core.errors import BusUnavailable
from re_core.ports import Bus, Delivery, Store
from re_core.wire import messages as m

#: deliveries of one turn
BATCH = 256

#: requests that a core holds at once: one that is slow just now must not hoard what another could accept
REQUESTS = 64

#: seconds for which a store may be away before its core leaves the queues to others
ASIDE = 10.0

#: consumer priorities are below it: a 32-bit integer with a sign
_HIGHEST = 2**31

_log = logging.getLogger(__name__)


class Inbox:
    """One sequencer's. One thread at a time."""

    def __init__(self, bus: Bus, store: Store, identity: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Subscribes. `identity` ranks this core among the others; `monotonic` in seconds."""
        self._bus = bus
        self._store = store
        self._identity = identity
        self._monotonic = monotonic
        #: since when the store does not answer, and whether others have the queues meanwhile
        self._away_since: float | None = None
        self._aside = False
        self._epoch = 0
        self._subscribe()

    def take(self, timeout: float) -> list[Delivery]:
        """Up to BATCH deliveries."""
        return self.subscription.take(BATCH, timeout)

    def is_new_connection(self) -> bool:
        """Whether the connection was lost since this was asked last: another core may have continued everything."""
        before = self._epoch
        self._epoch = self.subscription.epoch
        return self._epoch != before

    def is_late(self, delivery: Delivery) -> bool:
        """Whether its caller has stopped waiting: the broker drops what expires on its queue, this one expired after its delivery."""
        expires = delivery.message.expires
        return expires is not None and self._monotonic() - delivery.received > expires / 1000

    def give_back(self, deliveries: Sequence[Delivery], refused: Sequence[Delivery]) -> None:
        """Other cores may have them. What was refused stays refused: judging the request once more could come to another answer."""
        tags = {delivery.tag for delivery in refused}
        with contextlib.suppress(BusUnavailable):
            self.subscription.ack([delivery for delivery in deliveries if delivery.tag in tags])
        self.subscription.requeue([delivery for delivery in deliveries if delivery.tag not in tags])

    def reached_store(self) -> None:
        """The store has answered."""
        self._away_since = None

    def missed_store(self) -> None:
        """The store does not answer; a core that cannot reach it must not keep the queues from one that can."""
        now = self._monotonic()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since >= ASIDE and not self._aside:
            _log.warning("this core releases its queues until the store answers", extra={"action": "step_aside"})
            self.subscription.close()
            self._aside = True

    def come_back(self) -> None:
        """Where the queues were left to others: take part again. Raises StoreUnavailable while the store does not answer."""
        if self._aside:
            self._store.ping()
            self._subscribe()
            self._aside = False

    def close(self) -> None:
        """Stop consuming; what was not settled goes to another core."""
        self.subscription.close()

    def _subscribe(self) -> None:
        queues = m.reply_queues()
        self.subscription = self._bus.subscribe(
            (m.JOB_CREATE, *queues), BATCH * 4, consumer_priorities(self._identity, queues)
        )
        self.subscription.allow(m.JOB_CREATE, REQUESTS)
        self._epoch = self.subscription.epoch


def consumer_priorities(identity: str, queues: Iterable[str]) -> dict[str, int]:
    """Queue -> priority of the core with this identity for it, by rendezvous hashing (docs/decisions/0008).

    Every core hashes both names; where one consumer at a time is active, the broker picks the highest. So the queues are spread
    evenly over the cores that live, and only those of a core that comes or goes change owner.
    """
    return {queue: _hash(f"{queue}\0{identity}") % _HIGHEST for queue in queues}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
