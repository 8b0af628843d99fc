"""One aggregate's share of a batch: its events, advanced on one state. Must not know the store or the bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from re_core.admission.job_create import Creation
from re_core.deployment.events import TimerFired
from re_core.deployment.machine import Verdict
from re_core.deployment.records import Entry
from re_core.ports import Delivery
from re_core.rows import View
from re_core.sequencer.cache import CachedAggregate
from re_core.wire.messages import Message
from re_core.wire.trace_context import DeploymentTrace

#: seconds in which the core that wrote an entry has published what it causes and said so in the row, or has died
WRITER_GRACE = 10.0


class Item(NamedTuple):
    """One event, and the delivery that brought it (None for one that the core made itself)."""

    event: Any
    delivery: Delivery | None


class Work:
    """What a batch does to one aggregate. Thrown away, with its state, when the append is lost."""

    __slots__ = (
        "adopts",
        "answered",
        "answers",
        "creation",
        "effects",
        "fresh",
        "items",
        "known",
        "overdue",
        "records",
        "refusals",
        "republished",
        "settled",
        "strange",
        "timed",
        "unclear",
        "waited",
        "withheld",
    )

    def __init__(
        self,
        known: CachedAggregate,
        fresh: bool,
        creation: Creation | None = None,
        strange: bool = False,
        settled: bool = True,
    ) -> None:
        self.known = known
        #: this core remembered nothing of it
        self.strange = strange
        #: what its last entry causes was published, or the core that wrote it has died
        self.settled = settled
        #: time came for it while it was not settled
        self.waited = False
        #: what a crash may have cut off is sent again with this
        self.republished = False
        #: nothing of it is published: it was written too late
        self.withheld = False
        #: the request that is answered with it, where the journal has to say so first
        self.adopts: Creation | None = None
        #: read from the journal in this batch, not from the cache
        self.fresh = fresh
        #: the request that this batch answers by creating the deployment
        self.creation = creation
        #: the request that this batch answers, with a new deployment or with one that is there
        self.answered = creation
        self.items: list[Item] = []
        self.records: list[Any] = []
        self.effects: list[Any] = []
        #: what is sent to the callers, once the records are in the journal
        self.answers: list[Message] = []
        #: replies that could be about any step, and why
        self.unclear: list[tuple[Delivery, str]] = []
        #: why events did nothing
        self.refusals: list[str] = []
        #: the clock had a say, so that the row's `due` is out of date
        self.timed = False
        #: the row of the list, where it is written after the effects are out
        self.overdue: View | None = None

    @property
    def begins(self) -> bool:
        """Whether its first entry is about to be written."""
        return bool(self.records) and self.known.state.entry <= 1

    @property
    def idle(self) -> bool:
        """Whether nothing of the aggregate is in the journal, and nothing will be."""
        return not self.records and self.known.state.entry == 0

    def advance(self, item: Item, now: int) -> bool:
        """Advance the state by one event. False where it has to be judged again, on a state that is fresh."""
        kind, state, event = self.known.kind, self.known.state, item.event
        timed = isinstance(event, TimerFired)
        if timed and self._is_too_early(item):
            self.waited = self.timed = True
            return True
        decision = kind.advance(state, event, now)
        if not self.fresh and (decision.verdict is not Verdict.APPLIED or not decision.records):
            return False  # what changes nothing proves nothing: no append would show that the state is stale
        if decision.verdict is Verdict.REFUSED:
            self.refusals.append(decision.reason)
            if item.delivery is not None and kind.is_unclear(event):
                self.unclear.append((item.delivery, decision.reason))
        self.records.extend(decision.records)
        self.effects.extend(decision.effects)
        if item.delivery is not None:
            looks = timed and self._looks_after_another()
            self.republished = self.republished or (not decision.records and (looks or item.delivery.redelivered))
            if looks or not decision.records:
                again = kind.again(state, event, bool(decision.records), item.delivery.redelivered, looks)
                self.effects.extend(again)
        self.timed = self.timed or timed
        return True

    def _is_too_early(self, item: Item) -> bool:
        """Whether another core may be about to record that it published what it wrote. One that held this very event is dead."""
        again = item.delivery is not None and item.delivery.redelivered
        return self.strange and not self.settled and not again

    @property
    def premature(self) -> bool:
        """Whether a timer is due for what another core may be publishing in this very moment: it is left as it is, and looked at again."""
        return self.waited and not self.records

    @property
    def owes_the_end(self) -> bool:
        """Whether another core wrote the end and may have died before it published that, and nothing here has published it again.

        What is sent here, such as a refusal of a late claim, says nothing of that: the row is left to be looked at.
        """
        known = self.known
        over = known.state.ended is not None and not self.records and not self.republished
        answers = self.answered is not None and self.creation is None
        return over and (answers or (self.strange and known.published < known.state.entry))

    @property
    def left(self) -> bool:
        """Whether it is left as it is, for the next look."""
        return not self.records and (self.premature or self.owes_the_end)

    def _looks_after_another(self) -> bool:
        """Whether another core wrote last, which has died before it said that what that causes was published."""
        return self.strange and self.known.published < self.known.state.entry

    def trace(self, recorded: bool) -> DeploymentTrace:
        """The trace that it belongs to: as the request or a worker's reply has given it, else as derived from its id."""
        known = self.known
        if known.trace is None or not known.trace.given:
            causes = [one.delivery for one in (self.creation, self.adopts) if one is not None]
            causes += [item.delivery for item in self.items if item.delivery is not None]
            known.trace = DeploymentTrace.of(known.key, [one.message for one in causes], recorded)
        return known.trace

    def entry(self, now: int, writer: str) -> Entry | None:
        """All records in one entry; None where there are none. The state counts it as written."""
        if not self.records:
            return None
        state = self.known.state
        state.entry, state.entry_at = state.entry + 1, now
        return Entry(self.known.key, state.entry, now, writer, tuple(self.records), self.known.kind.kind)

    @property
    def urgent(self) -> bool:
        """Whether an operator has changed when something is due, in a message that does not come again once it has expired."""
        return not self.known.kind.urgent.isdisjoint(map(type, self.records))

    @property
    def only_once(self) -> bool:
        """Whether what caused it may not come again after a crash: a request expires, and an event of the core's own is in no queue."""
        return self.answered is not None or self.urgent or any(map(_comes_once, self.items))

    def sent(self) -> None:
        """Everything that its entries cause was published."""
        if self.withheld or self.left:
            return
        known = self.known
        known.published = known.state.entry
        if self.overdue is not None:
            self.overdue = self.overdue._replace(published=self.overdue.entry)
            known.view_published = known.published


def _comes_once(item: Item) -> bool:
    return item.delivery is None or item.delivery.message.expires is not None


def advance_all(
    items: list[Item], load: Callable[[bool], Work | None], now: int, broken: Callable[[Item, Exception], None]
) -> Work | None:
    """Advance one aggregate by its events of a batch, in order; None for one that has no journal.

    `load(fresh)` gives the work to begin with. What the cached state does not simply apply is judged again on one
    freshly loaded from the journal (docs/decisions/0002). An event that breaks the machine is handed to `broken`, and
    the others are judged without it.
    """
    fresh = False
    items = list(items)
    while True:
        work = load(fresh)
        if work is None:
            return None
        work.items = items
        for item in items:
            try:
                judged = work.advance(item, now)
            except Exception as error:  # one event must not take its batch with it: it dead-letters itself
                broken(item, error)
                items = [other for other in items if other is not item]
                judged = False
            if not judged:
                fresh = True
                break
        else:
            return work
