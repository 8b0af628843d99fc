"""The third stage of a turn: all new records of a batch in one insert, and what they cause into the outbox.

Must not decide anything: a work whose append is lost is decided again.
"""

from __future__ import annotations

from re_core.admission.replies import Rejection
from re_core.ports import Append, Appended, Bus, Delivery, Observer, Store
from re_core.sequencer.answers import Answers
from re_core.sequencer.batch import Batch
from re_core.sequencer.inbox import Inbox
from re_core.sequencer.list_rows import Rows
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.rejections import Rejections
from re_core.sequencer.work import Work
from re_core.wire.messages import Message


class Committer:
    """One sequencer's. One thread at a time."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        rows: Rows,
        inbox: Inbox,
        outbox: Outbox,
        rejections: Rejections,
        answers: Answers,
        atomic: bool,
        observer: Observer,
    ) -> None:
        """`atomic`: what an entry causes is committed with it."""
        self._bus = bus
        self._store = store
        self._rows = rows
        self._inbox = inbox
        self._outbox = outbox
        self._rejections = rejections
        self._answers = answers
        self._atomic = atomic
        self._observer = observer

    def commit(self, batch: Batch, works: list[Work]) -> list[Work]:
        """Append what is new; what is in the journal is in `batch.done`. Returns the works whose append was lost.

        Raises StoreUnavailable, BusUnavailable.
        """
        rows: list[Append] = []
        written: list[Work] = []
        causing: list[list[Message]] = []
        for work in works:
            known, kind = work.known, work.known.kind
            # the kind may change the effects here, at last
            work.effects = kind.redirect(known.state, work.records, work.effects, batch.now)
            entry = work.entry(batch.now, batch.writer)
            if self._atomic:
                known.published = known.state.entry
            view = self._rows.row_now(work, batch.now)
            messages = self._messages(work)
            if entry is None:
                work.overdue = view
                self._done(batch, work, messages)
                continue
            mail = () if kind.mailed.isdisjoint(map(type, work.effects)) else tuple(self._bus.mail(messages))
            messages += kind.news(known.state, entry, self._bus.listened)
            rows.append(Append(entry, view, mail, fed=not kind.fed.isdisjoint(map(type, work.records))))
            written.append(work)
            causing.append(messages)
        return self._append(batch, rows, written, causing) if rows else []

    def _messages(self, work: Work) -> list[Message]:
        known, effects = work.known, work.effects
        if answering := known.kind.answering:
            effects = [effect for effect in effects if type(effect) not in answering]
        return known.kind.encode(known.state, effects, work.trace(self._observer.traces))

    def _append(
        self, batch: Batch, rows: list[Append], written: list[Work], causing: list[list[Message]]
    ) -> list[Work]:
        self._rows.write_ahead(written, batch.now)
        lost: list[Work] = []
        outcomes = self._outbox.append(rows, causing, [_request(work) for work in written])
        for row, work, messages, outcome in zip(rows, written, causing, outcomes, strict=True):
            if outcome is Appended.LOST:
                lost.append(work)
            else:
                self._outbox.feed(row)
                if work.known.state.ended is not None:
                    work.overdue = self._rows.closing_row(work)
                self._done(batch, work, messages)
        if not self._store.transactional:
            self._rows.defer(rows, written)
        return lost

    def _done(self, batch: Batch, work: Work, messages: list[Message]) -> None:
        """What the work leads to may be published now."""
        batch.done.append(work)
        self._answers.publish_kept(work)
        for delivery, reason in work.unclear:
            self._rejections.send(batch, delivery, Rejection((), "bad-message", reason))
        over = work.known.state.ended is not None
        if work.creation is not None and not over and self._inbox.is_late(work.creation.delivery):
            # the append took longer than its caller waits: no deployment starts after its caller left (docs/wire-format.md, Deployment);
            # what ended in its first entry started nothing, and its notifications are sent
            work.withheld = True
            self._answers.take_back(work.known.key, messages)
            return
        self._outbox.add([*messages, *work.answers] if work.answers else messages)


def _request(work: Work) -> Delivery | None:
    """What asked for the deployment, where this work creates it."""
    return None if work.creation is None else work.creation.delivery
