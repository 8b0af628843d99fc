"""One deployment's share of a batch: its events, advanced on one state. Must not know the store or the bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from re_core import events as e
from re_core.deadlines import due_at, due_of
from re_core.machine import Verdict, accept, advance
from re_core.messages import Message
from re_core.model import ENDED, View
from re_core.ports import Delivery
from re_core.records import Dispatched, Entry, Record, Started
from re_core.rules import awaited
from re_core.sequencer.cache import Known
from re_core.sequencer.creation import Creation, refusal
from re_core.state import State, view_of

#: milliseconds between two writings of one row of the list, while nothing in it is news
VIEW_EVERY = 1_000


class Item(NamedTuple):
    """One event, and the delivery that brought it (None for one that the core made itself)."""

    event: e.Event
    delivery: Delivery | None


class Work:
    """What a batch does to one deployment. Thrown away, with its state, when the append is lost."""

    __slots__ = ("answers", "creation", "effects", "fresh", "items", "known", "overdue", "records", "refusals", "timed")

    def __init__(self, known: Known, fresh: bool, creation: Creation | None = None) -> None:
        self.known = known
        #: read from the journal in this batch, not from the cache
        self.fresh = fresh
        #: the request that this batch answers by creating the deployment
        self.creation = creation
        self.items: list[Item] = []
        self.records: list[Record] = []
        self.effects: list[e.Effect] = []
        #: what is said to who asked, once the records are in the journal
        self.answers: list[Message] = []
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
        work = cls(Known(state), fresh=True, creation=creation)
        work.records.extend(records)
        work.effects.extend(effects)
        work.answers.extend(creation.yes())
        return work

    @classmethod
    def answer_again(cls, creation: Creation, state: State) -> Work:
        """The id is taken: by the same request (a redelivery, or one with the same key), or by another one."""
        work = cls(Known(state), fresh=True)
        if state.accepted.digest == creation.admission.accepted.digest:
            work.effects.extend(awaited(state))
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
        decision = advance(self.known.state, item.event, now)
        if decision.verdict is not Verdict.APPLIED and not self.fresh:
            return False
        if decision.verdict is Verdict.REFUSED:
            self.refusals.append(decision.reason)
        self.records.extend(decision.records)
        self.effects.extend(decision.effects)
        self.timed = self.timed or isinstance(item.event, e.TimeCame)
        return True

    def entry(self, now: int, writer: str) -> Entry | None:
        """All records in one entry; None where there are none. The state counts it as written."""
        if not self.records:
            return None
        state = self.known.state
        state.entry += 1
        return Entry(state.deployment, state.entry, now, writer, tuple(self.records))

    def view(self, now: int) -> View | None:
        """The row of the list, where it has to be written now; None where it can wait."""
        known, state = self.known, self.known.state
        ended = state.status in ENDED
        news = (ended and bool(self.records)) or self.creation is not None or self.timed or self._sooner(now)
        if not news and (not self.records or 0 <= now - known.view_at < VIEW_EVERY):
            return None
        due = None if ended else due_at(state, now)
        known.view_at, known.view_due, known.view_entry = now, due, state.entry
        return view_of(state, due)

    def _sooner(self, now: int) -> bool:
        """Whether something is due before the row says so: the sweeper must not come too late."""
        known, state = self.known, self.known.state
        for record in self.records:
            if not isinstance(record, Dispatched | Started) or record.step not in state.open:
                continue
            if known.view_due is None or due_of(state, record.step, now) < known.view_due:
                return True
        return False


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
