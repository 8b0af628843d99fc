"""Pipelines, a kind of aggregate: the machine of re_core.cdpm, and what surrounds it. Must not know the order of a turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from re_core.cdpm import events as e
from re_core.cdpm import feed, machine
from re_core.cdpm import records as r
from re_core.cdpm.checkpoint import from_document
from re_core.cdpm.ids import KIND
from re_core.cdpm.publishing import kept_values
from re_core.cdpm.state import State, begin, fold
from re_core.cdpm.values import ReleaseStatus
from re_core.cdpm.words import event_of
from re_core.deployment.records import Entry, Record
from re_core.jobs.table import is_certain
from re_core.model import DeploymentStatus
from re_core.ports import Journal, Store, ViewFilter, checkpoints, foreign
from re_core.ports.standing import standing
from re_core.rows import View
from re_core.sequencer.aggregate import Aggregate, Decision
from re_core.usecases.feed import cloud_event
from re_core.wire import messages as m
from re_core.wire.messages import APP, Message
from re_core.wire.trace_context import DeploymentTrace

#: deployments that one look for candidates reads
_CANDIDATES = 50

_EVENT_KEYS = {what: f"{m.EVENTS}{KIND}.{what}" for what in feed.WHATS}

_log = logging.getLogger(__name__)


class Pipelines(Aggregate):
    """See the module."""

    kind = KIND
    records: ClassVar[Mapping[str, type[Any]]] = r.RECORDS
    answering = frozenset({e.Look, e.LookForCandidates})
    urgent = r.URGENT
    fed = feed.FED

    # -- triage ------------------------------------------------------------------------------------

    def decode(self, message: Message) -> Any:
        """See Aggregate."""
        return event_of(message)

    def rejected(self, key: str, event: Any, reason: str) -> Sequence[Message]:
        """See Aggregate."""
        reply_to, request = getattr(event, "reply_to", ""), getattr(event, "request", "")
        if not reply_to:
            return ()
        return [_answer(key, e.Answer(reply_to, request, accepted=False, reason="unknown-pipeline", detail=reason))]

    # -- decide ------------------------------------------------------------------------------------

    def load(self, journal: Journal, key: str, now: int, note: list[Entry]) -> State:
        """See Aggregate; from the newest checkpoint."""
        return checkpoints.load(
            journal,
            key,
            lambda: begin(key),
            self.fold,
            lambda document: from_document(key, document),
            lambda entry: note.append(entry) if feed.has_events(entry) else None,
        )

    def begin(self, key: str, now: int) -> State:
        """See Aggregate."""
        return begin(key)

    def fold(self, state: State, entry: Entry) -> State:
        """See Aggregate."""
        if entry.kind != self.kind:
            raise foreign(entry)
        return fold(state, entry.records, entry.number, entry.at)

    def advance(self, state: State, event: Any, now: int) -> Decision:
        """See Aggregate."""
        return Decision(*machine.advance(state, event, now))

    # -- commit, publish ---------------------------------------------------------------------------

    def encode(self, state: State, effects: Iterable[Any], trace: DeploymentTrace) -> list[Message]:
        """See Aggregate."""
        return [
            _answer(state.key, effect) if isinstance(effect, e.Answer) else _job_create(state, effect)
            for effect in dict.fromkeys(effects)
            if isinstance(effect, e.Answer) or effect.job in state.jobs
        ]

    def news(self, state: State, entry: Entry, listened: Callable[[str], bool]) -> list[Message]:
        """See Aggregate."""
        wanted = [what for what in feed.whats_of(entry) if listened(_EVENT_KEYS[what])]
        if not wanted:
            hint = Message(m.JOURNAL_GREW, b"{}", entry.id, entry.deployment, app_id=APP)
            return [hint] if listened(m.JOURNAL_GREW) else []
        registered = r.Registered(state.group, state.name, state.source)
        return [
            Message(_EVENT_KEYS[one.what], m.encode(cloud_event(one)), one.id, entry.deployment, app_id=APP)
            for one in feed.events_of(entry, registered)
            if one.what in wanted
        ]

    def perform(self, key: str, state: State, effect: Any) -> Iterator[e.Fact]:
        """See Aggregate: reads how deployments stand."""
        if isinstance(effect, e.Look):
            job, fact = state.jobs.get(effect.deployment), read_fact(self._store, effect.deployment)
            if job is None or is_certain(fact.status, job.status):
                yield fact
            return
        wanted = ViewFilter(playbook_id=effect.playbook_id, since=effect.since)
        for row in self._store.views(wanted, _CANDIDATES).rows:
            if row.id not in state.candidates and row.entry > state.handled.get(row.id, 0):
                yield read_fact(self._store, row.id)

    # -- settle ------------------------------------------------------------------------------------

    def row(self, key: str, state: State, due: int | None, published: int) -> View:
        """See Aggregate. It counts releases: those that are decided, and all."""
        status = DeploymentStatus.RUNNING if state.ended is None else DeploymentStatus.CANCELLED
        decided = sum(one.status is not ReleaseStatus.DEPLOYED for one in state.releases.values())
        created, count = state.registered or state.entry_at, len(state.releases)
        counts = decided, count, "", "", due, state.entry, published
        return View(key, "", "", "", "", status, created, state.ended, *counts)

    def due(self, state: State, now: int) -> int | None:
        """See Aggregate."""
        return machine.due(state, now)

    def recorded(
        self, key: str, state: State, records: Sequence[Record], at: int, trace: DeploymentTrace | None
    ) -> None:
        """See Aggregate."""
        for record in records:
            if what := feed.what_of(record):
                self._observer.cdpm(what)
                node = f"{state.group}/{state.name} ({key})" if state.registered else key
                _log.info("%s: %s", node, type(record).__name__, extra={"action": "cdpm_record"})

    def weight(self, state: State) -> int:
        """See Aggregate."""
        parts = len(state.subscriptions) + len(state.dependencies) + len(state.jobs) + len(state.releases)
        return 10_000 + 1_000 * parts + 100 * (len(state.handled) + len(state.messages))


def read_fact(store: Store, deployment: str) -> e.Fact:
    """How a deployment stands by its journal.

    Whether it is built or tested is not said: that takes the fold of the whole journal. Raises StoreUnavailable, StoreRefused.
    """
    found = standing(store, deployment)
    if (accepted := found.accepted) is None:
        return e.Fact(deployment, found.entry, found.status)
    values = kept_values(accepted.dynamic)
    return e.Fact(deployment, found.entry, found.status, accepted.playbook_id, found.accepted_at, values=values)


def _job_create(state: State, effect: e.AskDeployment) -> Message:
    """It does not expire: so it is neither late nor taken back, and its id stays good for every repetition."""
    job = state.jobs[effect.job]
    body = {"group": state.group, "playbook_id": job.playbook_id, "dynamic": job.dynamic}
    return Message(
        key="job.create",
        body=m.encode(body),
        id=job.id,
        correlation_id=job.id,
        reply_to=m.reply_queue(state.key),
        headers={m.ASKER: state.key, m.USER: job.user, m.SOURCE: job.source},
        app_id=APP,
    )


def _answer(key: str, effect: e.Answer) -> Message:
    body: dict[str, Any] = {"accepted": effect.accepted}
    if effect.reason:
        body["reason"] = effect.reason
    if effect.detail:
        body["detail"] = effect.detail
    if effect.subscriptions:
        body["subscriptions"] = list(effect.subscriptions)
    return Message(
        key=effect.reply_to,
        body=m.encode(body),
        id=f"{effect.request}/answer",
        correlation_id=key,
        app_id=APP,
        direct=True,
    )
