"""Mistakes in the engine, each as small as it would be made. Must not know which promise each one breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from re_core.admission.acceptance import Acceptance
from re_core.deployment import machine, state, summary, transitions
from re_core.deployment import records as r
from re_core.deployment.events import ClaimMade, Stop
from re_core.deployment.progress import Advance, Refusal
from re_core.deployment.records import Entry
from re_core.deployment.state import State, StepState
from re_core.model import StepStatus
from re_core.ports import Append, Appended
from re_core.sequencer import deployments
from re_core.sequencer.cache import Cache
from re_core.sequencer.decide import Decider
from re_core.sequencer.deployments import Deployments
from re_core.sequencer.inbox import Inbox
from re_core.sequencer.loop import Sequencer
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.work import Work
from re_core.services.output_recorder import Recorder
from re_core.services.sweeper import Sweeper
from re_core.workforce.presence import RollCall
from re_workers.attempt import Attempt
from re_workers.consumer import StepConsumer
from re_workers.outbox import Outbox as WorkerOutbox
from re_workers.outcomes import Outcome
from tests.simulation.faults import OF_RUNS, Bias

Patch = pytest.MonkeyPatch


# -- the order of append, publish and ack ------------------------------------------------------------


def acknowledges_before_it_appends(patch: Patch) -> None:
    """Deliveries are settled before what they say is in the journal."""
    real = Sequencer._sort

    def sort(self: Sequencer, batch: Any, deliveries: Any) -> None:
        real(self, batch, deliveries)
        self._subscription.ack([one for one in deliveries if one.tag not in batch.rejected])

    patch.setattr(Sequencer, "_sort", sort)


def publishes_before_it_appends(patch: Patch) -> None:
    """Steps and grants go out before the journal knows of them."""
    real = Outbox.append

    def append(self: Outbox, rows: Sequence[Append], causing: Any, requests: Any) -> list[Appended]:
        self._bus.publish([message for part in causing for message in part])
        return real(self, rows, causing, requests)

    patch.setattr(Outbox, "append", append)


def forgets_what_an_error_cut_off(patch: Patch) -> None:
    """What was appended, and not published, is neither published later nor told when its event comes again."""
    retells_nothing_after_a_crash(patch)

    def catch_up(self: Outbox, is_late: Any) -> None:
        self._ready, self._doubtful = [], ((), (), ())

    patch.setattr(Outbox, "catch_up", catch_up)


def repeats_nothing_after_a_redelivery(patch: Patch) -> None:
    """What the state still awaits is asked for once only, whoever died meanwhile."""
    patch.setattr(transitions, "awaited", lambda state: ())
    patch.setattr(deployments, "awaited", lambda state: ())
    patch.setattr(transitions, "REDISPATCH_AFTER", 1 << 60)


def retells_nothing_after_a_crash(patch: Patch) -> None:
    """Notifications that a crash cut off stay untold."""
    patch.setattr(Deployments, "_repeated_notices", lambda self, state, event, redelivered, looks: ())


def tells_nothing_again_of_a_new_deployment(patch: Patch) -> None:
    """A request that comes again after a crash is only answered."""
    patch.setattr(deployments, "begin_notices", lambda state: ())


# -- the journal -------------------------------------------------------------------------------------


def leaves_the_feed_of_a_dead_core(patch: Patch) -> None:
    """What a core appended before it died gets no place in the feed."""
    patch.setattr(Outbox, "feed_again", lambda self, entries: None)


def reads_on_before_it_adds_its_own(patch: Patch) -> None:
    """What others may have added is added first, in a call of its own: that passes over their copies of what follows."""
    real = Outbox._add_to_feed

    def add(self: Outbox) -> None:
        unfed = self._unfed
        if self._fed_perhaps:
            self._unfed = []
            real(self)
            self._unfed = unfed
        real(self)

    patch.setattr(Outbox, "_add_to_feed", add)


def splits_an_entry_in_two(patch: Patch) -> None:
    """The records of one advance become two documents, of which one may be stored and the other not."""

    def entry(self: Work, now: int, writer: str) -> Entry | None:
        state = self.known.state
        if not self.records:
            return None
        state.entry += 1 if len(self.records) == 1 else 2
        return Entry(self.known.key, state.entry, now, writer, tuple(self.records))

    real = Outbox.append

    def append(self: Outbox, rows: Sequence[Append], causing: Any, requests: Any) -> list[Appended]:
        halves = [_halves(row) for row in rows]
        parts = [[[]] * (len(pair) - 1) + [part] for pair, part in zip(halves, causing, strict=True)]
        asked = [one for pair, request in zip(halves, requests, strict=True) for one in (request, None)[: len(pair)]]
        flat = [one for pair in halves for one in pair], [one for pair in parts for one in pair]
        outcomes = iter(real(self, *flat, asked))
        stored = [[next(outcomes) for _ in pair] for pair in halves]
        return [Appended.LOST if Appended.LOST in pair else Appended.STORED for pair in stored]

    patch.setattr(Work, "entry", entry)
    patch.setattr(Outbox, "append", append)


def _halves(row: Append) -> list[Append]:
    entry = row.entry
    if len(entry.records) == 1:
        return [row]
    first = entry._replace(number=entry.number - 1, records=entry.records[:1])
    return [row._replace(entry=first), Append(entry._replace(records=entry.records[1:]))]


def ignores_who_was_faster(patch: Patch) -> None:
    """An append that was lost passes for stored, and its state for the deployment's."""
    real = Outbox.append

    def append(self: Outbox, rows: Sequence[Append], causing: Any, requests: Any) -> list[Appended]:
        return [Appended.STORED for _ in real(self, rows, causing, requests)]

    patch.setattr(Outbox, "append", append)


def remembers_what_was_not_appended(patch: Patch) -> None:
    """After an error the cache keeps a state that is ahead of the journal."""
    patch.setattr(Cache, "clear", lambda self: None)


def leaves_a_record_out(patch: Patch) -> None:
    """What comes next is known to have been dispatched in memory only."""
    real = Work.entry

    def entry(self: Work, now: int, writer: str) -> Entry | None:
        made = real(self, now, writer)
        if made is None or made.number == 1 or len(made.records) < 2:
            return made
        return made._replace(records=tuple(one for one in made.records if not isinstance(one, r.Dispatched)))

    patch.setattr(Work, "entry", entry)


def begins_two_deployments_for_one_key(patch: Patch) -> None:
    """Who asks again with the same key gets a deployment of its own."""
    patch.setattr(Acceptance, "_settle_id", lambda self, message, digest: message.id)


def begins_what_nobody_waits_for(patch: Patch) -> None:
    """A request that lay in a frozen core's hands begins all the same."""
    patch.setattr(Inbox, "is_late", lambda self, delivery: False)


def closes_the_row_of_an_end_that_comes_once(patch: Patch) -> None:
    """A deployment that a request or the core itself has ended is not looked at again, though neither comes again."""
    patch.setattr(Work, "only_once", property(lambda self: self.creation is not None or self.urgent))


def keeps_rows_of_what_never_began(patch: Patch) -> None:
    """The row that was written before an entry that never came stays."""
    patch.setattr(Decider, "_drop_row", lambda self, batch, kind, key: None)


# -- grants, fences, silence -------------------------------------------------------------------------


def grants_a_second_claimant(patch: Patch) -> None:
    """Two workers hear `go` for one attempt."""

    def second(go: Any, step: Any, event: ClaimMade) -> None:
        go.repeated = True
        transitions._grant(go, event)

    patch.setitem(machine.STEP[StepStatus.STARTED], ClaimMade, second)


def heeds_a_fenced_attempt(patch: Patch) -> None:
    """What is said of an attempt that no longer counts is taken for a word about the one that does."""

    def step(go: Any, event: Any) -> None:
        found = go.state.steps.get(event.step)
        rule = None if found is None else machine.STEP[found.status].get(type(event))
        if rule is None:
            raise Refusal("no rule")
        rule(go, found, event)

    for table in machine.DEPLOYMENT.values():
        for kind, rule in table.items():
            if rule is machine._step:
                patch.setitem(table, kind, step)


def begins_without_a_grant(patch: Patch) -> None:
    """A worker does not wait for `go`."""
    real = Attempt.__init__

    def init(self: Attempt, *arguments: Any) -> None:
        real(self, *arguments)
        self.granted = False

    patch.setattr(Attempt, "__init__", init)


def forgets_what_it_could_not_say(patch: Patch) -> None:
    """A worker settles a step though its outcome did not get through."""
    real = WorkerOutbox._publish

    def publish(self: WorkerOutbox) -> Any:
        try:
            return real(self)
        except Exception:
            self._messages = []
            raise

    patch.setattr(WorkerOutbox, "_publish", publish)


def answers_no_inquiry(patch: Patch) -> None:
    """A worker does not repeat what it has said of a step, though the core asks: it may have gone with a queue."""
    patch.setattr(StepConsumer, "_repeat_reply", lambda self, delivery, key: None)


def calls_a_loss_a_failure(patch: Patch) -> None:
    """A worker that does not know how its step ended says that it failed."""

    def end(self: StepConsumer, attempt: Attempt, outcome: Outcome) -> None:
        self._settle(attempt, outcome._replace(status="failed"))

    patch.setattr(StepConsumer, "_end_without_outcome", end)


def goes_on_before_it_may(patch: Patch) -> None:
    """A process goes on with a run without waiting for the core's answer."""

    def ask_for(self: StepConsumer, attempt: Attempt) -> None:
        attempt.prepare(self._worker, self._redaction)
        self._window.hold(attempt)
        self._outbox.add(attempt.started(self.control))
        self._runs.begin(attempt)

    patch.setattr(StepConsumer, "_ask_for", ask_for)


def forgets_who_goes_on_with_a_run(patch: Patch) -> None:
    """The claim that has moved still counts as that of the process which made it."""

    def moved(self: State, record: r.Moved, at: int) -> None:
        self.steps[record.step].moves = record.moves

    patch.setitem(state._APPLY, r.Moved, moved)


def lets_every_run_go_on(patch: Patch) -> None:
    """A run of an attempt that does not count any more goes on all the same."""
    real = machine._refuse

    def refuse(now: State, event: Any, reason: str) -> machine.Decision:
        decision = real(now, event, reason)
        if not isinstance(event, ClaimMade) or not event.moves:
            return decision
        return decision._replace(effects=tuple(one._replace(go=True) for one in decision.effects))  # type: ignore[call-arg]

    patch.setattr(machine, "_refuse", refuse)


def looks_for_nothing_that_is_due(patch: Patch) -> None:
    """There is no sweeper."""
    patch.setattr(Sweeper, "turn", lambda self: 0)


def takes_its_own_absence_for_silence(patch: Patch) -> None:
    """Silence is measured by the time that passed, whether anybody could be heard in it or not."""

    real = RollCall.poll

    def call(self: RollCall) -> Any:
        return [one._replace(lasts=int((self.now() - self._noticed[one.worker.id][1]) * 1000)) for one in real(self)]

    patch.setattr(RollCall, "poll", call)


def believes_what_it_has_sent(patch: Patch) -> None:
    """A core's own heartbeat counts as soon as it is sent, and not when it has arrived."""
    real = RollCall.poll

    def call(self: RollCall) -> Any:
        self._proofs = sorted(self._presence._sent.values())
        return real(self)

    patch.setattr(RollCall, "poll", call)


def lists_nobody_who_has_claimed(patch: Patch) -> None:
    """The rows of the list do not say whose steps a deployment waits for."""
    patch.setattr(summary, "claimants_of", lambda state: ())


# -- output ------------------------------------------------------------------------------------------


def numbers_copies_of_output(patch: Patch) -> None:
    """A message that comes twice gets two numbers."""
    patch.setattr(Recorder, "_stored", lambda self, deliveries: set())


def numbers_output_from_memory(patch: Patch) -> None:
    """A recorder does not look how far another one has come."""
    patch.setattr(Recorder, "_last_line", lambda self, deployment: self._last.get(deployment, 0))


def calls_a_step_over_at_its_timeout(patch: Patch) -> None:
    """Its worker is told to end it, and not awaited."""
    real = transitions._overdue_step

    def over(go: Advance, number: int, step: StepState) -> None:
        control, step.control = step.control, ""
        real(go, number, step)
        go.do(Stop(control, number, step.attempt))

    patch.setattr(transitions, "_overdue_step", over)


_CORES_DIE = ("death", "process killed")
_IN_DOUBT = ("bus error", "taken, but an error", "some of many taken")
_ANY = ("store error", "bus error", "connection lost", "death", "queue slow", "clock jumps")

#: each mistake, and the bad luck that brings it to light
MISTAKES: tuple[tuple[Callable[[Patch], None], Bias], ...] = (
    (acknowledges_before_it_appends, Bias(("death",), "append")),
    (publishes_before_it_appends, Bias(_CORES_DIE, "append")),
    (forgets_what_an_error_cut_off, Bias(("bus error", "taken, but an error", "store error"), "publish")),
    (repeats_nothing_after_a_redelivery, Bias(_CORES_DIE, "publish")),
    (retells_nothing_after_a_crash, Bias(_CORES_DIE, "publish")),
    (tells_nothing_again_of_a_new_deployment, Bias(_CORES_DIE, "appended")),
    (leaves_the_feed_of_a_dead_core, Bias(_CORES_DIE, "add_to_feed")),
    (reads_on_before_it_adds_its_own, Bias(("connection lost", "store slow"), "add_to_feed")),
    (splits_an_entry_in_two, Bias(("some of many stored",))),
    (ignores_who_was_faster, Bias(("connection lost", "queue slow"))),
    (remembers_what_was_not_appended, Bias(("store error",), "append")),
    (leaves_a_record_out, Bias(_ANY, spares_workers=False)),
    (begins_two_deployments_for_one_key, Bias(())),
    (begins_what_nobody_waits_for, Bias(("freeze", "process frozen"), "store")),
    (keeps_rows_of_what_never_began, Bias(_CORES_DIE, "announced")),
    (grants_a_second_claimant, Bias(("connection lost", "connection lost while publishing"))),
    (heeds_a_fenced_attempt, Bias(("freeze", "death", "process frozen", "connection lost"), "published", False)),
    (begins_without_a_grant, Bias(())),
    (calls_a_step_over_at_its_timeout, Bias(())),
    (forgets_what_it_could_not_say, Bias(("bus error", "process stopped"), "publish", False)),
    (calls_a_loss_a_failure, Bias(())),
    (goes_on_before_it_may, Bias(OF_RUNS, "", False)),
    (forgets_who_goes_on_with_a_run, Bias(OF_RUNS, "", False)),
    (lets_every_run_go_on, Bias(OF_RUNS, "", False)),
    (answers_no_inquiry, Bias(("queues deleted",))),
    (looks_for_nothing_that_is_due, Bias(("queues deleted", "queues purged", *_CORES_DIE), "", False)),
    (takes_its_own_absence_for_silence, Bias(("store full", "part hangs"))),
    (believes_what_it_has_sent, Bias(("store full",))),
    (lists_nobody_who_has_claimed, Bias(("death", "process killed"), "", False)),
    (numbers_copies_of_output, Bias(("taken, but an error", "some of many taken"))),
    (numbers_output_from_memory, Bias((*_CORES_DIE, "process frozen"))),
)

#: those that so few seeds show that CI does not look for them
RARE_MISTAKES: tuple[tuple[Callable[[Patch], None], Bias], ...] = (
    (takes_its_own_absence_for_silence, Bias(("freeze", "process frozen"))),
    (closes_the_row_of_an_end_that_comes_once, Bias((*_IN_DOUBT, *_CORES_DIE, "store error"), "publish", False)),
)
