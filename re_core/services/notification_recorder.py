"""Reports of notifiers from the bus into the store. Must not know how they are listed (re_core/usecases/notifications.py)."""

from __future__ import annotations

from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.ports import Bus, Clock
from re_core.ports.notifications import Notifications
from re_core.sequencer.guard import reject
from re_core.wire.messages import NOTIFIED
from re_core.wire.notified import Notified, parse_report

#: deliveries of one turn
BATCH = 256

#: notifications that are listed, milliseconds for which one is, and how many are stored from one look at their number to the next
MOST_NOTIFIED, KEPT, COUNTED = 10_000, 30 * 24 * 3600 * 1000, 500


class NotificationRecorder:
    """Moves reports from the bus into the store, where people list them. One thread."""

    def __init__(self, bus: Bus, store: Notifications, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._subscription = bus.subscribe((NOTIFIED,), BATCH)
        #: stored since the last look; the first batch looks
        self._recorded = COUNTED

    def turn(self, timeout: float) -> int:
        """One batch. Raises StoreUnavailable or BusUnavailable after it gave the deliveries back."""
        deliveries = self._subscription.take(BATCH, timeout)
        rows: list[Notified] = []
        for delivery in list(deliveries):
            try:
                rows.append(parse_report(delivery.message.body))
            except Exception as error:
                reject(self._subscription, delivery, error)
                deliveries = [one for one in deliveries if one is not delivery]
        try:
            if rows:
                self._store.add_notified(rows)
                self._trim(len(rows))
            self._subscription.ack(deliveries)
        except (StoreUnavailable, BusUnavailable):
            self._subscription.requeue(deliveries)
            raise
        return len(deliveries)

    def wake(self) -> None:
        """See Subscription.wake: for any thread."""
        self._subscription.wake()

    def close(self) -> None:
        """Stop consuming."""
        self._subscription.close()

    def _trim(self, count: int) -> None:
        self._recorded += count
        if self._recorded >= COUNTED:
            self._store.trim_notified(self._clock.now() - KEPT, MOST_NOTIFIED)
            self._recorded = 0
