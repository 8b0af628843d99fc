"""Apps, a kind of aggregate: the machine of re_core.apps, and what surrounds it. Must not know the order of a turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from re_core.apps import events as e
from re_core.apps import feed, machine
from re_core.apps import records as r
from re_core.apps.asking import ask_of
from re_core.apps.checkpoint import from_document
from re_core.apps.names import KIND
from re_core.apps.state import State, begin, fold
from re_core.apps.values import OVER
from re_core.apps.words import answer_body, event_of
from re_core.deployment.records import Entry, Record
from re_core.jobs.table import is_certain
from re_core.model import DeploymentStatus
from re_core.ports import Journal, checkpoints, foreign
from re_core.ports.standing import standing
from re_core.rows import View
from re_core.sequencer.aggregate import Aggregate, Decision
from re_core.usecases.feed import cloud_event
from re_core.wire import messages as m
from re_core.wire.messages import APP, Message
from re_core.wire.trace_context import DeploymentTrace

_EVENT_KEYS = {what: f"{m.EVENTS}{KIND}.{what}" for what in feed.WHATS}

_log = logging.getLogger(__name__)


class Apps(Aggregate):
    """See the module."""

    kind = KIND
    records: ClassVar[Mapping[str, type[Any]]] = r.RECORDS
    answering = frozenset({e.Look})
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
        return [_answer(key, e.Answer(reply_to, request, accepted=False, reason="unknown-app", detail=reason))]

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
        """See Aggregate. A hint comes with every entry, for those that follow the journal."""
        hint = Message(m.JOURNAL_GREW, b"{}", entry.id, entry.deployment, app_id=APP)
        hints = [hint] if listened(m.JOURNAL_GREW) else []
        wanted = [what for what in feed.whats_of(entry) if listened(_EVENT_KEYS[what])]
        if not wanted:
            return hints
        registered = r.Registered(state.group, state.name, state.zones)
        return hints + [
            Message(_EVENT_KEYS[one.what], m.encode(cloud_event(one)), one.id, entry.deployment, app_id=APP)
            for one in feed.events_of(entry, registered)
            if one.what in wanted
        ]

    def perform(self, key: str, state: State, effect: Any) -> Iterator[e.Fact]:
        """See Aggregate: reads how a deployment stands."""
        job, found = state.jobs.get(effect.deployment), standing(self._store, effect.deployment)
        if job is None or is_certain(found.status, job.status):
            yield e.Fact(effect.deployment, found.status, found.reason)

    # -- settle ------------------------------------------------------------------------------------

    def row(self, key: str, state: State, due: int | None, published: int) -> View:
        """See Aggregate. It counts versions: those that are over, and all."""
        status = DeploymentStatus.RUNNING if state.ended is None else DeploymentStatus.CANCELLED
        done = sum(one.status in OVER for one in state.versions.values())
        created, count = state.registered or state.entry_at, len(state.versions)
        counts = done, count, "", "", due, state.entry, published
        return View(key, "", "", "", "", status, created, state.ended, *counts)

    def due(self, state: State, now: int) -> int | None:
        """See Aggregate."""
        return machine.due(state, now)

    def recorded(
        self, key: str, state: State, records: Sequence[Record], at: int, trace: DeploymentTrace | None
    ) -> None:
        """See Aggregate."""
        for record in records:
            if feed.what_of(record):
                _log.info("%s: %s", key, type(record).__name__, extra={"action": "app_record"})

    def weight(self, state: State) -> int:
        """See Aggregate."""
        return 10_000 + 2_000 * len(state.versions) + 1_000 * (len(state.jobs) + len(state.runs)) + 50 * len(state.old)


def _job_create(state: State, effect: e.AskDeployment) -> Message:
    """It does not expire: so it is neither late nor taken back, and its id stays good for every repetition."""
    job = state.jobs[effect.job]
    ask = ask_of(state, job)
    return Message(
        key="job.create",
        body=m.encode({"group": state.group, "playbook_id": ask.playbook_id, "dynamic": ask.dynamic}),
        id=job.id,
        correlation_id=job.id,
        reply_to=m.reply_queue(state.key),
        headers={m.ASKER: state.key, m.USER: ask.user, m.SOURCE: ask.source},
        app_id=APP,
    )


def _answer(key: str, effect: e.Answer) -> Message:
    return Message(
        key=effect.reply_to,
        body=m.encode(answer_body(effect)),
        id=f"{effect.request}/answer",
        correlation_id=key,
        app_id=APP,
        direct=True,
    )
