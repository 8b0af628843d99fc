"""A notifier's loop: takes one transport's notifications and has them carried out, again and again where that helps.

Must not know any transport. What is out of reach waits here, unacked, while others go first; after its time it is
a dead letter, as is what nobody could deliver: nothing ends silently.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from typing import NamedTuple

from re_core.errors import BadMessage
from re_core.messages import Notification, parse_notification
from re_core.ports import Bus, Clock, Delivery
from re_workers.notify.handler import Handler, Undeliverable, Unreachable
from re_workers.outbox import Outbox
from re_workers.seen import Seen
from re_workers.waker import Waker

_log = logging.getLogger(__name__)

#: notifications that may wait for another try at once
HELD = 256

#: seconds for which one is tried again
PATIENCE = 15 * 60.0

#: seconds between two tries of one: at first, and at most
BACKOFF, MAX_BACKOFF = 1.0, 60.0


class _Held(NamedTuple):
    """A notification that waits for its next try."""

    delivery: Delivery
    notification: Notification
    tries: int
    #: milliseconds since the epoch: when to try again, and when to give up
    due: int
    until: int


class _Refused(NamedTuple):
    """A notification that is to be a dead letter."""

    delivery: Delivery
    reason: str
    detail: str


class Notifier:
    """Consumes `notify.<transport>`. One thread calls it; only `wake` is for others too."""

    def __init__(self, bus: Bus, clock: Clock, identity: str, handler: Handler, patience: float = PATIENCE) -> None:
        """`identity` is the worker process's id; `patience` the seconds for which one notification is tried."""
        self.transport = handler.transport
        self._queue = f"notify.{handler.transport}"
        control = f"re.control.{identity}.{self._queue}"
        self._clock, self._handler, self._patience = clock, handler, int(patience * 1000)
        self._subscription = bus.subscribe([self._queue, control], HELD)
        self._outbox = Outbox(bus, self._subscription)
        self._waker = Waker(bus, control)
        self._inbox: deque[Delivery] = deque()
        self._held: dict[int, _Held] = {}
        self._refused: deque[_Refused] = deque()
        self._seen = Seen()
        self._draining = False

    def turn(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for something to do, and do it; how many tries there were.

        Raises BusUnavailable; the next turn goes on where this one stopped.
        """
        self._settle()
        if not self._inbox:
            self._inbox.extend(self._subscription.take(HELD, self._pause(timeout)))
        self._waker.round()
        tries = 0
        while self._inbox and not self._draining:
            tries += self._first(self._inbox.popleft())
            self._settle()
        for held in self._due():
            tries += 1
            self._try(held)
            self._settle()
        return tries

    def wake(self) -> None:
        """Make a turn that waits return."""
        self._waker.wake()

    def drain(self) -> None:
        """Begin nothing more; what waits goes back at `close`."""
        self._draining = True

    def abandon(self, reason: str) -> None:
        """Nothing runs between turns."""

    @property
    def idle(self) -> bool:
        """All that was delivered is settled."""
        return self._outbox.empty and not self._refused

    def close(self) -> None:
        """Stop consuming; what is not acked is delivered to somebody else."""
        self._subscription.close()

    def _pause(self, timeout: float) -> float:
        if not self._held:
            return timeout
        first = min(held.due for held in self._held.values())
        return max(0.0, min(timeout, (first - self._clock.now()) / 1000))

    def _settle(self) -> None:
        while self._refused:
            one = self._refused[0]
            where = {"action": "notification_refused", "deployment_id": one.delivery.message.correlation_id}
            _log.warning("%s: %s", self._queue, one.detail, extra=where)
            self._subscription.reject(one.delivery, one.reason, one.detail)
            self._refused.popleft()
        self._outbox.send()

    def _first(self, delivery: Delivery) -> int:
        id = delivery.message.id
        if delivery.queue != self._queue or id in self._seen:
            self._outbox.done(delivery)
            return 0
        try:
            notification = parse_notification(delivery.message.body)
        except BadMessage as error:
            self._refuse(delivery, error.reason, str(error))
            return 0
        self._seen.add(id)
        now = self._clock.now()
        self._try(_Held(delivery, notification, 0, now, now + self._patience))
        return 1

    def _try(self, held: _Held) -> None:
        delivery = held.delivery
        self._held.pop(delivery.tag, None)
        try:
            self._handler.deliver(held.notification, delivery.message.id)
            self._outbox.done(delivery)
        except Unreachable as error:
            self._again(held, error)
        except Undeliverable as error:
            self._refuse(delivery, error.reason, str(error))
        except Exception as error:  # a transport's mistake must not stop all others
            _log.exception("%s failed", self._queue, extra={"action": "notifier_error"})
            self._refuse(delivery, "notifier-error", f"{type(error).__name__}: {error}")

    def _again(self, held: _Held, error: Unreachable) -> None:
        now = self._clock.now()
        if now >= held.until:
            self._refused.append(
                _Refused(held.delivery, error.reason, f"given up after {held.tries + 1} tries: {error}")
            )
            return
        _log.info("%s tries again: %s", self._queue, error, extra={"action": "notification_waits"})
        notification = held.notification._replace(target=error.targets or held.notification.target)
        pause = min(MAX_BACKOFF, BACKOFF * 2 ** min(held.tries, 10)) * random.uniform(0.5, 1)
        due = min(now + int(pause * 1000), held.until)
        self._held[held.delivery.tag] = held._replace(notification=notification, tries=held.tries + 1, due=due)

    def _refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        self._seen.forget(delivery.message.id)  # a person may have it tried again, under its own id
        self._refused.append(_Refused(delivery, reason, detail))

    def _due(self) -> list[_Held]:
        if self._draining:
            return []
        now = self._clock.now()
        return sorted((held for held in self._held.values() if held.due <= now), key=lambda held: held.due)
