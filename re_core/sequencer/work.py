"""One deployment's share of a batch: its events, advanced on one state. Must not know the store or the bus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from re_core.admission.job_create import Creation, refusal
from re_core.deployment import events as e
from re_core.deployment.machine import Verdict, accept, advance
from re_core.deployment.notifications import begin_notices, retold
from re_core.deployment.progress import awaited
from re_core.deployment.records import (
    Adopted,
    CancelRequested,
    Dispatched,
    Entry,
    Record,
    Resolved,
    Retried,
    TakenBack,
)
from re_core.deployment.state import State
from re_core.ports import Delivery
from re_core.rows import View
from re_core.sequencer.cache import CachedDeployment
from re_core.wire.messages import Message
from re_core.wire.trace_context import DeploymentTrace
from re_core.workforce.routing import Route

#: what a person has asked for, or the core itself, and what changes when something is due
_URGENT = frozenset({CancelRequested, Resolved, Retried, TakenBack})

#: seconds in which the core that wrote an entry has published what it causes and said so in the row, or has died
WRITER_GRACE = 10.0


class Item(NamedTuple):
    """One event, and the delivery that brought it (None for one that the core made itself)."""

    event: e.Event
    delivery: Delivery | None


class Work:
    """What a batch does to one deployment. Thrown away, with its state, when the append is lost."""

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
        "settled",
        "strange",
        "timed",
        "told_again",
        "unclear",
        "waited",
        "withheld",
    )

    def __init__(
        self,
        known: CachedDeployment,
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
        #: what a crash may have cut off is told again with this
        self.told_again = False
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
        self.records: list[Record] = []
        self.effects: list[e.Effect] = []
        #: what is said to who asked, once the records are in the journal
        self.answers: list[Message] = []
        #: words that could be about anything, and why
        self.unclear: list[tuple[Delivery, str]] = []
        #: why events did nothing
        self.refusals: list[str] = []
        #: the clock had a say, so that the row's `due` is out of date
        self.timed = False
        #: the row of the list, where it is written after the effects are out
        self.overdue: View | None = None

    @classmethod
    def create(cls, creation: Creation, now: int) -> Work:
        """The work of a new deployment."""
        admission = creation.admission
        state, records, effects = accept(admission.deployment, admission.accepted, now, admission.plan)
        work = cls(CachedDeployment(state), fresh=True, creation=creation)
        work.records.extend(records)
        work.effects.extend(effects)
        work.answers.extend(creation.yes())
        return work

    @classmethod
    def answer_again(cls, creation: Creation, state: State, now: int) -> Work:
        """The id is taken: by the same request (a redelivery, or one with the same key), or by another one.

        While it has one entry only, the core that wrote it may take it back: the journal has to say first that another
        request was answered with it.
        """
        work = cls(CachedDeployment(state), fresh=True)
        work.answered = creation
        if state.accepted.digest == creation.admission.accepted.digest:
            if state.entry == 1 and state.ended is None:
                work.adopts = creation
                adopted = Adopted(creation.message.id)
                state.apply(adopted, now)
                work.records.append(adopted)
            work.effects.extend(awaited(state))
            if creation.delivery.redelivered:  # a crash may have cut them off
                work.told_again = True
                work.effects.extend(begin_notices(state))
                work.effects.extend(retold(state, None))
            work.answers.extend(creation.yes())
        else:
            why = f"the id {state.deployment} belongs to another deployment"
            work.answers.extend(refusal(creation.message, "refused", why))
        return work

    @property
    def tells(self) -> bool:
        """Whether notifications are among the effects."""
        return any(type(effect) is e.Notify for effect in self.effects)

    def advance(self, item: Item, now: int) -> bool:
        """Advance the state by one event. False where it has to be judged again, on a state that is fresh."""
        if self._is_too_early(item):
            self.waited = self.timed = True
            return True
        decision = advance(self.known.state, item.event, now)
        if not self.fresh and (decision.verdict is not Verdict.APPLIED or not decision.records):
            return False  # what changes nothing proves nothing: no append would show that the state is stale
        if decision.verdict is Verdict.REFUSED:
            self.refusals.append(decision.reason)
            if getattr(item.event, "step", 0) == e.UNSAID and item.delivery is not None:
                self.unclear.append((item.delivery, decision.reason))
        self.records.extend(decision.records)
        self.effects.extend(decision.effects)
        if item.delivery is not None:
            if not decision.records:
                self.effects.extend(self._retold(item.event, item.delivery))
            elif self._looks_after_another(item.event) and self.known.state.entry == 1:
                self.effects.extend(begin_notices(self.known.state))  # though with this look it may have ended
        self.timed = self.timed or isinstance(item.event, e.TimerFired)
        return True

    def _is_too_early(self, item: Item) -> bool:
        """Whether another core may be about to say that what it wrote was published. One that held this very event is gone."""
        again = item.delivery is not None and item.delivery.redelivered
        return self.strange and not self.settled and not again and isinstance(item.event, e.TimerFired)

    @property
    def premature(self) -> bool:
        """Whether time came for what another core may be telling of in this very moment: it is left as it is, and looked at again."""
        return self.waited and not self.records

    def _retold(self, event: e.Event, delivery: Delivery) -> Iterator[e.Notify]:
        """Notifications that a crash may have cut off: the event comes again, or time has come where this core knows nothing of."""
        state = self.known.state
        if delivery.redelivered:
            self.told_again = True
            yield from retold(state, getattr(event, "step", None))
        elif self._looks_after_another(event):
            self.told_again = True
            yield from retold(state, None)
        if self._looks_after_another(event) and state.entry == 1:
            yield from begin_notices(state)

    @property
    def owes_the_end(self) -> bool:
        """Whether another core brought the end about and may have died before it told of it, and nothing here has told it again.

        What is sent here, such as a no to a late claim, says nothing of that: the row is left to be looked at.
        """
        known = self.known
        over = known.state.ended is not None and not self.records and not self.told_again
        answers = self.answered is not None and self.creation is None
        return over and (answers or (self.strange and known.published < known.state.entry))

    def _looks_after_another(self, event: e.Event) -> bool:
        """Whether time came for what another core wrote, which has died before it said that what it causes was published."""
        return self.strange and self.known.published < self.known.state.entry and isinstance(event, e.TimerFired)

    def route(self, route: Callable[[str], Route], now: int) -> None:
        """Before anything is written: a step that nobody offers fails, one for a worker of 2014 is handed over."""
        sent = _dispatched(self.records)
        effects, self.effects = self.effects, []
        while effects:
            effect = effects.pop(0)
            if type(effect) is not e.Dispatch or (way := route(self._name(effect))) is Route.SEND:
                self.effects.append(effect)
            elif (event := self._diverted(effect, way, sent)) is not None:
                decision = advance(self.known.state, event, now)
                self.records.extend(decision.records)
                effects.extend(decision.effects)
                sent |= _dispatched(decision.records)

    def _name(self, effect: e.Dispatch) -> str:
        return self.known.state.plan.steps[effect.step].spec.name

    @staticmethod
    def _diverted(effect: e.Dispatch, way: Route, sent: set[tuple[int, int]]) -> e.Event | None:
        """What becomes of a dispatch that is not simply sent; None where nothing does.

        One that is only repeated is never handed over: the worker of 2014 may find the first copy too, and would not ask.
        """
        if way is Route.NO_WORKER:
            return e.NoWorkerAvailable(effect.step, effect.attempt)
        return e.HandOver(effect.step, effect.attempt) if (effect.step, effect.attempt) in sent else None

    def trace(self, recorded: bool) -> DeploymentTrace:
        """To which trace it belongs: as the request or a worker's reply has told this core, else as its id has it."""
        known = self.known
        if known.trace is None or not known.trace.told:
            causes = [one.delivery for one in (self.creation, self.adopts) if one is not None]
            causes += [item.delivery for item in self.items if item.delivery is not None]
            known.trace = DeploymentTrace.of(known.state.deployment, [one.message for one in causes], recorded)
        return known.trace

    def entry(self, now: int, writer: str) -> Entry | None:
        """All records in one entry; None where there are none. The state counts it as written."""
        if not self.records:
            return None
        state = self.known.state
        state.entry, state.entry_at = state.entry + 1, now
        return Entry(state.deployment, state.entry, now, writer, tuple(self.records))

    @property
    def urgent(self) -> bool:
        """Whether a person has changed when something is due, in a message that does not come again once it has expired."""
        return any(type(record) in _URGENT for record in self.records)

    @property
    def only_once(self) -> bool:
        """Whether what caused it may not come again after a crash: a request expires, and an event of the core's own is in no queue."""
        return self.answered is not None or self.urgent or any(map(_comes_once, self.items))

    def sent(self) -> None:
        """Everything that its entries cause was published."""
        if self.withheld or self.premature or self.owes_the_end:
            return
        known = self.known
        known.published = known.state.entry
        if self.overdue is not None:
            self.overdue = self.overdue._replace(published=self.overdue.entry)
            known.view_published = known.published


def _comes_once(item: Item) -> bool:
    return item.delivery is None or item.delivery.message.expires is not None


def _dispatched(records: Iterable[Record]) -> set[tuple[int, int]]:
    return {(record.step, record.attempt) for record in records if isinstance(record, Dispatched)}


def advance_all(
    items: list[Item], load: Callable[[bool], Work | None], now: int, broken: Callable[[Item, Exception], None]
) -> Work | None:
    """Advance one deployment by its events of a batch, in order; None for a deployment that nobody knows.

    `load(fresh)` gives the work to begin with. What the cached state does not simply apply is judged again on one
    freshly loaded from the journal (design, The heart). An event that breaks the machine is handed to `broken`, and
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
