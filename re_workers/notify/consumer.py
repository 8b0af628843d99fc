"""A notifier's loop: takes one transport's notifications and has them carried out, again and again where that helps.

Must not know any transport. What is out of reach waits here, unacked, while others go first; after its time it is
a dead letter, as is what could not be delivered: nothing ends silently.

How far one has come is remembered by its id: when its connection is lost, or it was held for so long that the broker
would lose patience and it was requeued, it comes again and continues from there.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import OrderedDict, deque
from typing import NamedTuple

from re_core.backoff import Backoff
from re_core.errors import BadMessage
from re_core.ports import UNOBSERVED, Bus, Clock, Delivery, Observer
from re_core.wire.messages import Notification, parse_notification
from re_workers.notify.handler import Handler, Undeliverable, Unreachable
from re_workers.outbox import Outbox
from re_workers.seen import REMEMBERED, Seen

_log = logging.getLogger(__name__)

#: notifications that may wait for another try at once
HELD = 256

#: seconds for which one is tried again
PATIENCE = 15 * 60.0

#: milliseconds after which one is requeued though its time is not over, because others took theirs: RabbitMQ closes
#: the channel of a consumer that holds a delivery for 30 minutes, and one try may take some
LONG = 20 * 60_000

#: seconds between two tries of one: at first, and at most
BACKOFF, MAX_BACKOFF = 1.0, 60.0


class _Held(NamedTuple):
    """A notification that waits for its next try."""

    delivery: Delivery
    #: milliseconds since the epoch: when the delivery came
    came: int
    notification: Notification
    tries: int
    #: milliseconds since the epoch: when to try again, and when to give up
    due: int
    until: int


class Notifier:
    """Consumes `notify.<transport>`. One thread calls it; only `wake` and `unsent` are for others too."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        identity: str,
        handler: Handler,
        patience: float = PATIENCE,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """`identity` is the worker process's id; `patience` the seconds for which one notification is tried."""
        self.transport = handler.transport
        self._queue = f"notify.{handler.transport}"
        self._clock, self._handler, self._patience = clock, handler, int(patience * 1000)
        self._subscription = bus.subscribe([self._queue], HELD)
        self._backoff = Backoff(BACKOFF, MAX_BACKOFF)
        self._outbox = Outbox(bus, self._subscription, clock, f"re-worker {identity}")
        #: came, and when (milliseconds since the epoch); not tried yet
        self._inbox: deque[tuple[Delivery, int]] = deque()
        #: by id, or by a number where it has none: what waits for its next try
        self._held: dict[str, _Held] = {}
        #: by id: what was held when its delivery was lost or given back
        self._left: OrderedDict[str, _Held] = OrderedDict()
        self._seen = Seen()
        self._observer = observer
        self._numbers = itertools.count()
        self._epoch = self._subscription.epoch
        self._draining = False

    def turn(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for something to do, and do it; how many tries there were.

        Raises BusUnavailable; the next turn goes on where this one stopped.
        """
        self._settle()
        if not self._inbox:
            came = self._subscription.take(HELD, self._pause(timeout))
            now = self._clock.now()
            self._inbox.extend((delivery, now) for delivery in came)
        self._move()
        tries = 0
        while self._inbox and not self._draining:
            tries += self._first(*self._inbox.popleft())
            self._settle()
        for key in self._due():
            held = self._held.pop(key, None)
            if held is not None:
                tries += 1
                self._try(key, held)
                self._settle()
        return tries

    def wake(self) -> None:
        """Make a turn that waits return."""
        self._subscription.wake()

    def unsent(self) -> list[str]:
        """Ids of what could not be said yet."""
        return self._outbox.unsent()

    def drain(self) -> None:
        """Begin nothing more; what waits goes back at `close`."""
        self._draining = True

    def abandon(self, reason: str) -> None:
        """Nothing runs between turns."""

    @property
    def idle(self) -> bool:
        """All that was carried out or refused is settled."""
        return self._outbox.empty

    def close(self) -> None:
        """Stop consuming; what is not acked is delivered to another notifier."""
        self._subscription.close()

    def _pause(self, timeout: float) -> float:
        if not self._held:
            return timeout
        first = min(held.due for held in self._held.values())
        return max(0.0, min(timeout, (first - self._clock.now()) / 1000))

    def _settle(self) -> None:
        self._outbox.send()
        self._give_back()

    def _move(self) -> None:
        """What another connection brought comes again."""
        if self._epoch == self._subscription.epoch:
            return
        self._epoch = self._subscription.epoch
        self._inbox = deque(one for one in self._inbox if one[0].epoch == self._epoch)
        for key in [key for key, held in self._held.items() if held.delivery.epoch != self._epoch]:
            self._leave(key)

    def _give_back(self) -> None:
        long = self._clock.now() - LONG
        late = [one for one in self._inbox if one[1] <= long]
        keys = [key for key, held in self._held.items() if held.came <= long]
        if late or keys:
            self._subscription.requeue([*(one[0] for one in late), *(self._held[key].delivery for key in keys)])
            self._inbox = deque(one for one in self._inbox if one[1] > long)
            for key in keys:
                self._leave(key)

    def _leave(self, key: str) -> None:
        """Its delivery is no longer ours. Remember how far it has come."""
        held = self._held.pop(key)
        if held.delivery.message.id:
            self._left[key] = held
            if len(self._left) > REMEMBERED:
                self._left.popitem(last=False)

    def _first(self, delivery: Delivery, came: int) -> int:
        id = delivery.message.id
        if id in self._seen or id in self._held:
            self._outbox.done(delivery)
            return 0
        if id in self._left:
            self._held[id] = self._left.pop(id)._replace(delivery=delivery, came=came)
            return 0
        try:
            notification = parse_notification(delivery.message.body)
        except BadMessage as error:
            self._refuse(delivery, error.reason, str(error))
            return 0
        except Exception as error:  # one message must not stop all others
            _log.exception("%s could not read a message", self._queue, extra={"action": "notifier_error"})
            self._refuse(delivery, "notifier-error", f"{type(error).__name__}: {error}")
            return 0
        now = self._clock.now()
        held = _Held(delivery, came, notification, 0, now, now + self._patience)
        self._try(id or f"#{next(self._numbers)}", held)
        return 1

    def _try(self, key: str, held: _Held) -> None:
        delivery, began = held.delivery, time.time_ns()
        try:
            self._handler.deliver(held.notification, delivery.message.id)
        except Unreachable as error:
            self._again(key, held, error)
        except Undeliverable as error:
            self._refuse(delivery, error.reason, str(error))
        except Exception as error:  # a transport's mistake must not stop all others
            _log.exception("%s failed", self._queue, extra={"action": "notifier_error"})
            self._refuse(delivery, "notifier-error", f"{type(error).__name__}: {error}")
        else:
            self._seen.add(delivery.message.id)
            self._outbox.done(delivery)
            self._observer.notified(self.transport, delivery.message, True, began)

    def _again(self, key: str, held: _Held, error: Unreachable) -> None:
        now = self._clock.now()
        over = now >= held.until or now + error.pause * 1000 > held.until
        if over and not error.pending:
            self._refuse(held.delivery, error.reason, f"not delivered after {held.tries + 1} tries: {error}")
            return
        _log.info("%s tries again: %s", self._queue, error, extra={"action": "notification_waits"})
        notification = held.notification._replace(target=error.targets or held.notification.target)
        pause = max(error.pause, self._backoff.after(held.tries + 1))
        due = now + int(pause * 1000)
        if now < held.until:
            due = min(due, held.until)
        self._held[key] = held._replace(notification=notification, tries=held.tries + 1, due=due)

    def _refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Make it a dead letter. Its id is not remembered: an operator may replay it, under that id."""
        where = {"action": "notification_refused", "deployment_id": delivery.message.correlation_id}
        _log.warning("%s: %s", self._queue, detail, extra=where)
        self._outbox.refuse(delivery, reason, detail)
        self._observer.notified(self.transport, delivery.message, False, time.time_ns())

    def _due(self) -> list[str]:
        if self._draining:
            return []
        now = self._clock.now()
        due = [(held.due, key) for key, held in self._held.items() if held.due <= now]
        return [key for _, key in sorted(due)]
