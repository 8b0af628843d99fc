"""A notifier's loop: takes one transport's notifications and has them carried out, again and again where that helps.

Must not know any transport. What is out of reach waits here, unacked, while others go first; after its time it is
a dead letter, as is what could not be delivered: nothing ends silently.

Where very many go to the same targets, some wait and are sent as one (digest.py). What became of each is reported to the core
(reports.py).

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
from re_core.wire import notice_facts
from re_core.wire.messages import parse_notification
from re_workers.notify.digest import Digest, NoticePolicy, summary, summary_id
from re_workers.notify.handler import Handler, Told, Undeliverable, Unreachable
from re_workers.notify.reports import Reports
from re_workers.outbox import Outbox
from re_workers.seen import REMEMBERED, Seen

_log = logging.getLogger(__name__)

#: notifications that may wait for another try at once
HELD = 256

#: the transport that nothing is held back from
CONSOLE = "console"

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
    notification: Told
    tries: int
    #: milliseconds since the epoch: when to try again, and when to give up
    due: int
    until: int
    #: goes with all others of these targets that wait; empty: alone
    together: tuple[str, ...] = ()


#: what is tried at once: one, or several to the same targets; each with its key
_Batch = list[tuple[str, _Held]]


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
        policy: NoticePolicy = NoticePolicy(),  # noqa: B008  # it is immutable
    ) -> None:
        """`identity` is the worker process's id; `patience` the seconds for which one notification is tried."""
        self.transport = handler.transport
        self._queue = f"notify.{handler.transport}"
        self._clock, self._handler, self._patience = clock, handler, int(patience * 1000)
        self._subscription = bus.subscribe([self._queue], HELD)
        self._backoff = Backoff(BACKOFF, MAX_BACKOFF)
        self._outbox = Outbox(bus, self._subscription, clock, f"re-worker {identity}")
        self._reports = Reports(bus, clock, identity, handler.transport)
        self._templates = policy.templates
        # a terminal shows each where it happens
        self._digest = Digest(0 if handler.transport == CONSOLE else policy.digest)
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
        for due in self._due():
            # what was settled meanwhile may have given some of them back
            batch = [(key, held) for key, held in due if self._held.get(key) is held]
            for key, _ in batch:
                del self._held[key]
            if batch:
                tries += 1
                self._try(batch)
                self._settle()
        self._reports.send()
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
        """The tries that this one took: none where it waits, or is a copy."""
        id = delivery.message.id
        if id in self._seen or id in self._held:
            self._outbox.done(delivery)
            return 0
        if id in self._left:
            self._held[id] = self._left.pop(id)._replace(delivery=delivery, came=came)
            return 0
        told = self._read(delivery)
        if told is None:
            return 0
        now = self._clock.now()
        due = self._digest.wait(told.target, told.phase, now)
        held = _Held(delivery, came, told, 0, due, now + self._patience, told.target if due > now else ())
        key = id or f"#{next(self._numbers)}"
        if due > now:
            self._held[key] = held
            return 0
        self._try([(key, held)])
        return 1

    def _read(self, delivery: Delivery) -> Told | None:
        """The notice in the words of its template; None where it is none, which is a dead letter then."""
        message = delivery.message
        try:
            facts = notice_facts.read(message.headers.get(notice_facts.ABOUT, ""))
            told = Told(*parse_notification(message.body), facts)
            return self._templates.render(self.transport, told)
        except BadMessage as error:
            self._refuse(delivery, error.reason, str(error))
        except Exception as error:  # one message must not stop all others
            _log.exception("%s could not read a message", self._queue, extra={"action": "notifier_error"})
            self._refuse(delivery, "notifier-error", f"{type(error).__name__}: {error}")
        return None

    def _try(self, batch: _Batch) -> None:
        """Send it; what happens to one of a batch happens to all of it."""
        began = time.time_ns()
        try:
            self._deliver(batch)
        except Unreachable as error:
            # what was sent as one is sent as one again, without what came meanwhile
            together = (_id_of(batch),) if len(batch) > 1 else ()
            for key, held in batch:
                self._again(key, held._replace(together=together), error, len(batch))
        except Undeliverable as error:
            for _, held in batch:
                self._give_up(_left(held, error.targets), error.reason, str(error), len(batch))
        except Exception as error:  # a transport's mistake must not stop all others
            _log.exception("%s failed", self._queue, extra={"action": "notifier_error"})
            for _, held in batch:
                self._give_up(held, "notifier-error", f"{type(error).__name__}: {error}", len(batch))
        else:
            for _, held in batch:
                message = held.delivery.message
                self._seen.add(message.id)
                self._outbox.done(held.delivery)
                self._observer.notified(self.transport, message, True, began)
                self._reports.add(message, held.notification, held.tries + 1, len(batch))

    def _deliver(self, batch: _Batch) -> None:
        notices = [held.notification for _, held in batch]
        self._observer.tried(self.transport, len(batch))
        if len(batch) == 1:
            self._handler.deliver(notices[0], batch[0][1].delivery.message.id)
        else:
            self._handler.deliver(summary(notices, self._templates.url), _id_of(batch))

    def _again(self, key: str, held: _Held, error: Unreachable, together: int) -> None:
        now = self._clock.now()
        over = now >= held.until or now + error.pause * 1000 > held.until
        if over and not error.pending:
            detail = f"not delivered after {held.tries + 1} tries: {error}"
            self._give_up(_left(held, error.targets), error.reason, detail, together)
            return
        _log.info("%s tries again: %s", self._queue, error, extra={"action": "notification_waits"})
        pause = max(error.pause, self._backoff.after(held.tries + 1))
        due = now + int(pause * 1000)
        if now < held.until:
            due = min(due, held.until)
        self._held[key] = _left(held, error.targets)._replace(tries=held.tries + 1, due=due)

    def _give_up(self, held: _Held, reason: str, detail: str, together: int) -> None:
        self._reports.add(held.delivery.message, held.notification, held.tries + 1, together, detail)
        self._refuse(held.delivery, reason, detail)

    def _refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Make it a dead letter. Its id is not remembered: an operator may replay it, under that id."""
        where = {"action": "notification_refused", "deployment_id": delivery.message.correlation_id}
        _log.warning("%s: %s", self._queue, detail, extra=where)
        self._outbox.refuse(delivery, reason, detail)
        self._observer.notified(self.transport, delivery.message, False, time.time_ns())

    def _due(self) -> list[_Batch]:
        """What is to be tried now: each alone, or with all others that wait for the same targets."""
        if self._draining:
            return []
        now = self._clock.now()
        crowded = len(self._held) >= HELD // 2  # nothing new could be taken soon
        batches: dict[object, _Batch] = {}
        due: dict[object, int] = {}
        for key, held in self._held.items():
            group: object = held.together or key
            batches.setdefault(group, []).append((key, held))
            due[group] = min(due.get(group, held.due), 0 if held.together and not held.tries and crowded else held.due)
        for group in [group for group in batches if due[group] > now]:
            del batches[group]
        for group in batches:
            if isinstance(group, tuple):
                self._digest.flushed(group)
        return [batches[group] for group in sorted(batches, key=lambda one: due[one])]


def _left(held: _Held, targets: tuple[str, ...]) -> _Held:
    """With those targets that did not get it; with all where none is named."""
    return held._replace(notification=held.notification._replace(target=targets or held.notification.target))


def _id_of(batch: _Batch) -> str:
    return summary_id([held.delivery.message.id for _, held in batch])
