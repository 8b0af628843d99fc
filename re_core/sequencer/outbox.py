"""Effects on their way out: into the journal first, then onto the bus. Must not know what an event leads to.

What an error cuts off is finished before anything new begins. The events that caused it come again, but they repeat
only what the state still awaits (docs/decisions/0002), and notifications and answers are not among that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from operator import attrgetter

from re_core.errors import BusUnavailable, StoreRefused
from re_core.ports import UNOBSERVED, Append, Appended, Bus, Clock, Delivery, EntryRef, Observer, Published, Store
from re_core.wire import messages as m
from re_core.wire.dead_letters import dead_letter_message
from re_core.wire.messages import Message

#: seconds within which a step that cannot be taken back is sent, or not at all (a core may have been frozen in between)
_PROMPT = 5.0

#: milliseconds that an attempt's own reply queue outlives the attempt, where no outcome came that ended it
_AFTERWARDS = 3_600_000

_is_once = attrgetter("once")

_log = logging.getLogger(__name__)


class Outbox:
    """One sequencer's. One thread at a time."""

    def __init__(
        self, bus: Bus, store: Store, clock: Clock, declares: bool = False, observer: Observer = UNOBSERVED
    ) -> None:
        """`declares`: a step's queue that was deleted is declared again, since a worker is known to offer the step."""
        self._declares = declares
        self._observer = observer
        self._bus = bus
        self._store = store
        self._clock = clock
        #: may go out: what caused it is in the journal
        self._ready: list[Message] = []
        #: events for listeners: after all else
        self._events: list[Message] = []
        #: entries without a place in the feed, and those that another core may have given one
        self._unfed: list[EntryRef] = []
        self._fed_perhaps: list[EntryRef] = []
        #: when the oldest of what may travel once only was added; seconds of the monotonic clock
        self._once_since: float | None = None
        #: entries, and what each causes, while it is unknown whether they are in the journal
        self._doubtful: tuple[Sequence[Append], Sequence[Sequence[Message]], Sequence[Delivery | None]] = ((), (), ())
        #: new deployments that were found in the journal after their callers had stopped waiting; nothing of them was published
        self.late: list[tuple[str, Sequence[Message]]] = []
        #: attempts whose dispatch found no queue, until they are collected
        self.unoffered: list[m.AttemptId] = []
        #: attempts that were handed over and may not have arrived, until they are collected
        self.doubtful: list[m.AttemptId] = []

    def append(
        self, rows: Sequence[Append], causing: Sequence[Sequence[Message]], requests: Sequence[Delivery | None]
    ) -> list[Appended]:
        """Append the entries. Raises StoreUnavailable.

        `causing` has the messages that each of them causes, `requests` what asked for the deployment that it begins.
        """
        self._doubtful = (rows, causing, requests)
        began = time.perf_counter()
        outcomes = self._store.append(rows)
        self._doubtful = ((), (), ())
        self._observer.appended(len(rows), outcomes.count(Appended.LOST), time.perf_counter() - began)
        return outcomes

    def add(self, messages: Sequence[Message]) -> None:
        """These may go out."""
        self._take(messages)
        if self._once_since is None and any(map(_is_once, messages)):
            self._once_since = time.monotonic()

    def feed(self, row: Append) -> None:
        """The entry is in the journal: where that did not give it a place in the feed, `send` does."""
        if row.fed and not self._store.transactional:
            self._unfed.append(EntryRef(row.entry.deployment, row.entry.number, row.entry.at))

    def feed_again(self, entry: EntryRef) -> None:
        """As `feed`, of an entry that another core has written."""
        if not self._store.transactional:
            self._fed_perhaps.append(entry)

    def send(self) -> None:
        """Publish what may go out, and give entries their place in the feed. Raises BusUnavailable, StoreUnavailable.

        What was not done is done by the next call.
        """
        self._publish()
        self._add_to_feed()
        if self._events:
            # a listener then reads the feed, so the entry has to be there by now
            self._bus.publish(self._events)
            self._events = []

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            (self._events if message.key.startswith(m.OVERHEARD) else self._ready).append(message)

    def _add_to_feed(self) -> None:
        """What others have begun stands before its successors: the events of a deployment stay in order."""
        perhaps, unfed = self._fed_perhaps, self._unfed
        if not perhaps and not unfed:
            return
        # until it is known to be done, some of them may have a place
        self._fed_perhaps, self._unfed = [*perhaps, *unfed], []
        self._store.add_to_feed(unfed, perhaps)
        self._fed_perhaps = []

    def _publish(self) -> None:
        if self._once_since is not None:
            self._prepare_handed()
        declared: set[str] = set()
        while self._ready:
            began = time.perf_counter()
            try:
                outcomes = self._bus.publish(self._ready)
            except BusUnavailable:
                self._forget_handed()
                raise
            self._observer.published(self._ready, time.perf_counter() - began)
            if Published.UNKNOWN in outcomes:
                self._doubt(outcomes)
            self._ready = self._returned(outcomes, declared) if Published.UNROUTABLE in outcomes else []

    def catch_up(self, is_late: Callable[[Delivery], bool]) -> None:
        """Find out what of an append that an error cut off is in the journal, and so may go out by the next `send`.

        `is_late`: whether a request's caller waits no more. Raises StoreUnavailable.
        """
        rows = self._doubtful[0]
        if not rows:
            return
        found = [self._is_stored(row) for row in rows]
        doubtful, self._doubtful = self._doubtful, ((), (), ())
        for stored, row, part, request in zip(found, *doubtful, strict=True):
            if stored and request is not None and is_late(request):
                self.late.append((row.entry.deployment, part))
            elif stored:
                self._take(part)
            if stored:
                self.feed(row)

    def _is_stored(self, row: Append) -> bool:
        """Looked for and not appended again: what was not stored is up to the events, which may have expired meanwhile."""
        try:
            entries = self._store.entries(row.entry.deployment, row.entry.number - 1)
        except StoreRefused:  # a newer core goes on with it
            return False
        return bool(entries) and entries[0].writer == row.entry.writer

    def _prepare_handed(self) -> None:
        """Each gets its own reply queue; what lay here for long is not sent any more: the step may have been given up meanwhile."""
        if time.monotonic() - (self._once_since or 0) > _PROMPT:
            self._forget_handed()
        self._once_since = None
        for message in self._ready:
            if message.once:
                self._bus.forward(message.reply_to, m.reply_queue(message.correlation_id), _life(message))

    def _forget_handed(self) -> None:
        """What may travel once only is not published again, though it is unknown whether it arrived."""
        self.doubtful.extend(m.parse_attempt(message.id) for message in self._ready if message.once)
        self._ready = [message for message in self._ready if not message.once]

    def _doubt(self, outcomes: Sequence[Published]) -> None:
        for message, outcome in zip(self._ready, outcomes, strict=True):
            if outcome is Published.UNKNOWN:
                self.doubtful.append(m.parse_attempt(message.id))

    def _returned(self, outcomes: Sequence[Published], declared: set[str]) -> list[Message]:
        """What found no queue: a step that no worker offers becomes an event, a notification without a notifier a dead letter."""
        again: list[Message] = []
        for message, outcome in zip(self._ready, outcomes, strict=True):
            if outcome is not Published.UNROUTABLE:
                continue
            if message.key.startswith("worker."):
                again += self._without_queue(message, declared)
            elif message.key.startswith(m.NOTIFY):
                why = f"no notifier consumes {message.key}"
                again.append(dead_letter_message(message, message.key, "unroutable", why, "re-core", self._clock.now()))
        declared.update(message.key for message in again)
        return again

    def _without_queue(self, message: Message, declared: set[str]) -> list[Message]:
        """A step that found no queue: what to publish again."""
        if not self._declares:
            self.unoffered.append(m.parse_attempt(message.headers[m.ATTEMPT]))
        elif message.key not in declared:
            self._bus.declare(message.key)
            return [message]
        elif message.once:
            self.doubtful.append(m.parse_attempt(message.id))
        else:  # the queue is deleted again and again; the step is offered, and is sent again when the sweeper looks
            _log.warning("the queue %s was deleted again", message.key, extra={"action": "queue_gone"})
        return []


def _life(message: Message) -> int:
    """Milliseconds for which the worker may still reply: until the step is given up, its time, and some for late replies."""
    return (message.expires or 0) + int(float(message.headers[m.TIMEOUT]) * 1000) + _AFTERWARDS
