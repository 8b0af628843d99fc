"""The state of a deployment: the fold of its journal. Pure; must not know what may happen next (that is the machine).

The fold stores what the records say, and decides nothing: no rule of it could change what has happened.

`State.apply` is the only thing that ever changes a state, so that what a core holds in memory is what any other
core reads from the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from re_core.deployment import records as r
from re_core.deployment.numbering import ranges_of
from re_core.deployment.plan import ROOT, Plan
from re_core.deployment.plan_codec import plan_from_document
from re_core.deployment.results import Result, message_of, result_of, weight
from re_core.deployment.upcasts import upcast
from re_core.errors import StoreRefused
from re_core.model import DeploymentStatus, Ending, StepStatus


class StepState:
    """What is known of one step. A step that is not in `State.steps` is pending."""

    __slots__ = (
        "attempt",
        "begun",
        "control",
        "deaths",
        "dispatched_at",
        "ended_at",
        "handed",
        "message",
        "moved_at",
        "moves",
        "offered",
        "orphaned_at",
        "recorded",
        "result",
        "started_at",
        "status",
        "stop_requested_at",
        "token",
        "waiting_since",
        "worker",
    )

    def __init__(self) -> None:
        self.status = StepStatus.PENDING
        #: number of the current attempt, from 1
        self.attempt = 0
        #: attempts that have begun, as far as is known
        self.begun = 0
        #: the claimant of the current attempt, its token, and its control queue
        self.worker = ""
        self.token = ""
        self.control = ""
        #: how far the claim has moved from the process that made it, and when it last did
        self.moves = 0
        self.moved_at: int | None = None
        #: what the current attempt runs is recorded on its host, so that another worker can go on with it
        self.recorded = False
        #: number of the move by which another worker may have it; 0 where its claimant goes on with it, as far as is known
        self.offered = 0
        #: when it last was offered, and workers that were lost with it
        self.orphaned_at: int | None = None
        self.deaths = 0
        #: the current attempt was given to a worker that cannot be asked
        self.handed = False
        self.dispatched_at: int | None = None
        #: since when it waits for a worker to begin it: longer than the current attempt where workers have declined it
        self.waiting_since: int | None = None
        self.started_at: int | None = None
        #: when its worker was asked to end it, because its time was over
        self.stop_requested_at: int | None = None
        self.ended_at: int | None = None
        self.result: Result | None = None
        self.message: str | None = None


class State:
    """One deployment."""

    __slots__ = (
        "accepted",
        "adopted",
        "asked",
        "begun_to",
        "cancel",
        "cancelled_at",
        "closed",
        "created",
        "deployment",
        "draining",
        "ended",
        "entry",
        "entry_at",
        "held",
        "kept",
        "late",
        "open",
        "plan",
        "reason",
        "requests",
        "retries",
        "started",
        "status",
        "steps",
    )

    def __init__(self, deployment: str, accepted: r.Accepted, at: int, plan: Plan | None = None) -> None:
        self.deployment = deployment
        self.accepted = accepted
        #: may be handed in where it was just compiled; else read from the record
        self.plan = plan or plan_from_document(accepted.plan)
        #: number of the last journal entry in this fold
        self.entry = 0
        #: when it was written
        self.entry_at = at
        self.status = DeploymentStatus.ACCEPTED
        self.reason = ""
        self.created = at
        self.started: int | None = None
        self.ended: int | None = None
        self.steps: dict[int, StepState] = {}
        #: numbers of the steps that wait for a worker's reply
        self.open: set[int] = set()
        #: numbers of the lost steps that an operator has to resolve
        self.asked: set[int] = set()
        #: how often it was retried after it had failed
        self.retries = 0
        #: number of a block of whose children nothing more is dispatched -> why
        self.draining: dict[int, str] = {}
        #: number of a block -> how it ended, where a record says so
        self.closed: dict[int, Ending] = {}
        self.cancel: r.CancelRequested | None = None
        self.cancelled_at: int | None = None
        #: another request was answered with it
        self.adopted = False
        #: replies of attempts that failed or no longer count, so that a repetition is recognised
        self.late: set[tuple[int, int, str]] = set()
        #: ids of the decisions and retries that people asked for and got
        self.requests: set[str] = set()
        #: bytes of messages and results that the steps keep
        self.kept = 0
        #: number of a parallel block -> steps below it that are open or wait for an operator
        self.held: dict[int, int] = {}
        #: number of a parallel block -> place after the last child that has begun
        self.begun_to: dict[int, int] = {}

    def apply(self, record: r.Record, at: int) -> None:
        """Fold one record in. Raises StoreRefused for a record that no machine would have written."""
        try:
            _APPLY[type(record)](self, record, at)
        except (KeyError, IndexError, ValueError):
            raise self._out_of_place(record) from None

    def apply_old(self, record: r.Record, at: int, format: int) -> None:
        """Fold in a record of an older format. Raises as `apply`."""
        try:
            current = upcast(self, record, format)
        except (KeyError, IndexError):
            raise self._out_of_place(record) from None
        self.apply(current, at)

    def _out_of_place(self, record: r.Record) -> StoreRefused:
        return StoreRefused(f"the journal of {self.deployment} has a record out of place: {record!r:.200}")

    def step(self, number: int) -> StepState:
        """The step; pending if the journal has nothing of it."""
        return self.steps.get(number) or StepState()

    def is_pending(self, number: int) -> bool:
        """Whether the step's turn has not come, or has to come again."""
        step = self.steps.get(number)
        return step is None or step.status is StepStatus.PENDING

    def pending(self, numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
        """Ranges of those of these steps, in ascending order, whose turn has not come: first and last."""
        return ranges_of(number for number in numbers if self.is_pending(number))

    def count_done(self) -> int:
        """Steps that completed."""
        return sum(step.status is StepStatus.COMPLETED for step in self.steps.values())

    # -- one method per record ---------------------------------------------------------------------

    def _dispatched(self, record: r.Dispatched, at: int) -> None:
        step = self.steps.get(record.step) or self._add_step(record.step)
        step.status = StepStatus.DISPATCHED
        step.attempt = record.attempt
        step.worker = step.token = step.control = ""
        step.handed = False
        if step.moves:
            step.moves, step.moved_at = 0, None
        if step.recorded:
            step.recorded, step.offered, step.orphaned_at, step.deaths = False, 0, None, 0
        step.waiting_since = record.since or at
        step.dispatched_at, step.started_at, step.stop_requested_at, step.ended_at = at, None, None, None
        if step.attempt > 1:
            self._note(step, None)
        if record.step not in self.open:
            self.open.add(record.step)
            for block, place in self.plan.within[record.step]:
                self.held[block] = self.held.get(block, 0) + 1
                if place >= self.begun_to.get(block, 0):
                    self.begun_to[block] = place + 1

    def _started(self, record: r.Started, at: int) -> None:
        step = self.steps[record.step]
        step.status = StepStatus.STARTED
        step.begun = record.begun
        step.worker, step.token, step.control = record.worker, record.token, record.control
        step.recorded = record.recorded
        step.started_at = at
        if record.deployment:
            self._run(record.deployment, at)

    def _moved(self, record: r.Moved, at: int) -> None:
        step = self.steps[record.step]
        step.worker, step.control = record.worker, record.control
        step.moves, step.moved_at, step.offered = record.moves, at, 0
        if record.message is not None:
            self._note(step, record.message)

    def _orphaned(self, record: r.Orphaned, at: int) -> None:
        step = self.steps[record.step]
        step.offered, step.orphaned_at, step.deaths = record.moves, at, record.deaths
        self._note(step, record.message)

    def _completed(self, record: r.Completed, at: int) -> None:
        self._outcome(record, at, StepStatus.COMPLETED)

    def _failed(self, record: r.Failed, at: int) -> None:
        self.late.add((record.step, record.attempt, "failed"))
        self._outcome(record, at, StepStatus(record.status))

    def _outcome(self, record: r.Completed | r.Failed, at: int, status: StepStatus) -> None:
        step = self.steps[record.step]
        step.begun = record.begun
        self._close(record.step, status, at)
        self._note(step, record.message, record.data, record.cut)
        if record.deployment:
            self._run(record.deployment, at)

    def _stop_requested(self, record: r.StopRequested, at: int) -> None:
        self.steps[record.step].stop_requested_at = at

    def _timed_out(self, record: r.TimedOut, at: int) -> None:
        if record.said:
            self.late.add((record.step, record.attempt, record.said))
        self._close(record.step, StepStatus.TIMED_OUT, at)
        self._note(self.steps[record.step], record.message, record.data, record.cut)

    def _lost(self, record: r.Lost, at: int) -> None:
        step = self.steps[record.step]
        step.begun = record.begun
        self._close(record.step, StepStatus.LOST, at)
        self._note(step, record.message)

    def _handed(self, record: r.Handed, at: int) -> None:
        self.steps[record.step].handed = True

    def _asked(self, record: r.ResolutionRequested, at: int) -> None:
        self.asked.add(record.step)
        self._hold(record.step, 1)
        self._become(record.deployment)

    def _settled(self, record: r.Settled, at: int) -> None:
        self._release({record.step})
        self._become(record.deployment)

    def _decided(self, record: r.Resolved, at: int) -> None:
        step = self.steps[record.step]
        self.requests.add(record.request)
        self._release({record.step})
        step.begun = 0
        if record.status:
            step.status, step.ended_at = StepStatus(record.status), at
        if record.message is not None:
            self._note(step, record.message)
        self._become(record.deployment)

    def _retried(self, record: r.Retried, at: int) -> None:
        self.retries += 1
        self.requests.add(record.request)
        self._release(self.asked)
        self.reason, self.ended = "", None
        self._become(record.deployment)
        again = [number for first, last in record.again for number in range(first, last + 1)]
        for number in again:
            step = self.steps[number]
            step.status, step.begun = StepStatus.PENDING, 0
        self._reopen(again)

    def _withdrawn(self, record: r.Withdrawn, at: int) -> None:
        self._close(record.step, StepStatus(record.status), at)

    def _fenced(self, record: r.Fenced, at: int) -> None:
        """A fence is for people and for other cores: the attempt number that follows it does the work."""
        self.steps[record.step].begun = record.begun

    def _late(self, record: r.Late, at: int) -> None:
        self.late.add((record.step, record.attempt, record.said))

    def _block_draining(self, record: r.BlockDraining, at: int) -> None:
        self.draining[self.plan.blocks[record.node].number] = record.reason
        self._release({number for number in self.asked if record.node in self.plan.block_of(number).guards})
        self._become(record.deployment)

    def _block_closed(self, record: r.BlockClosed, at: int) -> None:
        self.closed[self.plan.blocks[record.node].number] = Ending(record.status)

    def _cancel_requested(self, record: r.CancelRequested, at: int) -> None:
        self.cancel, self.cancelled_at = record, at
        self._release(self.asked)
        self._become(record.deployment)

    def _adopted(self, record: r.Adopted, at: int) -> None:
        self.adopted = True

    def _taken_back(self, record: r.TakenBack, at: int) -> None:
        self._cancel_requested(r.CancelRequested("", record.reason, record.deployment), at)

    def _skipped(self, record: r.Skipped, at: int) -> None:
        for first, last in record.ranges:
            for number in range(first, last + 1):
                step = self.steps.get(number) or self._add_step(number)
                step.status = StepStatus.SKIPPED

    def _ended(self, record: r.Ended, at: int) -> None:
        self.status, self.reason, self.ended = DeploymentStatus(record.status), record.reason, at

    def _void(self, record: r.Void, at: int) -> None:
        """It only takes a number, so that a core that was away cannot use it."""

    def _first_only(self, record: r.Accepted, at: int) -> None:
        raise StoreRefused(f"the journal of {self.deployment} has an `accepted` record that is not its first")

    # -- shared ------------------------------------------------------------------------------------

    def _note(self, step: StepState, message: str | None, data: Any = None, cut: bool = False) -> None:
        """What the step says of itself from now on: bounded, also where an older engine let a journal have more."""
        if message is None and data is None and step.message is None and step.result is None:
            return  # as of most steps
        self.kept -= weight(step.message, step.result)
        step.message, step.result = message_of(message, self.kept), result_of(data, cut, self.kept)
        self.kept += weight(step.message, step.result)

    def _run(self, status: str, at: int) -> None:
        self.status, self.started = DeploymentStatus(status), at

    def _become(self, status: str) -> None:
        if status:
            self.status = DeploymentStatus(status)

    def _add_step(self, number: int) -> StepState:
        if number >= len(self.plan.steps):
            raise IndexError(number)
        step = self.steps[number] = StepState()
        return step

    def _close(self, number: int, status: StepStatus, at: int) -> None:
        step = self.steps[number]
        step.waiting_since, step.offered = None, 0
        step.status, step.ended_at = status, at
        if number in self.open:
            self.open.remove(number)
            for block, _ in self.plan.within[number]:
                self.held[block] -= 1

    def _hold(self, number: int, by: int) -> None:
        """Count the step among what the parallel blocks around it wait for, or (-1) no longer."""
        for block, _ in self.plan.within[number]:
            self.held[block] = self.held.get(block, 0) + by

    def _release(self, asked: set[int]) -> None:
        """These steps wait for no operator any more."""
        for number in asked & self.asked:
            self.asked.discard(number)
            self._hold(number, -1)

    def _reopen(self, again: Iterable[int]) -> None:
        """The blocks around these steps have not ended after all."""
        around = {ROOT}
        for number in again:
            block = self.plan.tasks[number].parent
            while block not in around:
                around.add(block)
                block = self.plan.blocks[block].parent
        self.begun_to.clear()
        self.draining = {block: why for block, why in self.draining.items() if block not in around}
        self.closed = {block: status for block, status in self.closed.items() if block not in around}


_APPLY: Mapping[type[Any], Callable[[State, Any, int], None]] = {
    r.Accepted: State._first_only,
    r.Dispatched: State._dispatched,
    r.Started: State._started,
    r.Moved: State._moved,
    r.Orphaned: State._orphaned,
    r.Completed: State._completed,
    r.Failed: State._failed,
    r.StopRequested: State._stop_requested,
    r.TimedOut: State._timed_out,
    r.Lost: State._lost,
    r.Fenced: State._fenced,
    r.Handed: State._handed,
    r.ResolutionRequested: State._asked,
    r.Settled: State._settled,
    r.Resolved: State._decided,
    r.Retried: State._retried,
    r.Withdrawn: State._withdrawn,
    r.Late: State._late,
    r.BlockDraining: State._block_draining,
    r.BlockClosed: State._block_closed,
    r.CancelRequested: State._cancel_requested,
    r.Adopted: State._adopted,
    r.TakenBack: State._taken_back,
    r.Skipped: State._skipped,
    r.Ended: State._ended,
    r.Void: State._void,
}


def fold(entries: Iterable[r.Entry]) -> State:
    """The state after these entries, all of one deployment, from the first on. Raises StoreRefused for a hole."""
    state: State | None = None
    for entry in entries:
        records = entry.records
        if state is None:
            accepted = records[0] if records else None
            if not isinstance(accepted, r.Accepted):
                raise StoreRefused(f"the journal of {entry.deployment} does not begin with `accepted`")
            state, records = _begin(entry.deployment, accepted, entry.at), records[1:]
        if entry.number != state.entry + 1:
            raise StoreRefused(f"the journal of {entry.deployment} has no entry {state.entry + 1}")
        _fold_in(state, entry, records)
    if state is None:
        raise StoreRefused("a journal without entries")
    return state


def extend(state: State, entries: Iterable[r.Entry]) -> None:
    """Fold in the entries that follow those which the state has. Raises StoreRefused for a record out of place."""
    for entry in entries:
        _fold_in(state, entry, entry.records)


def _fold_in(state: State, entry: r.Entry, records: Iterable[r.Record]) -> None:
    if entry.format < r.FORMAT:
        for record in records:
            state.apply_old(record, entry.at, entry.format)
    else:
        for record in records:
            state.apply(record, entry.at)
    state.entry, state.entry_at = entry.number, entry.at


def _begin(deployment: str, accepted: r.Accepted, at: int) -> State:
    try:
        return State(deployment, accepted, at)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise StoreRefused(f"the journal of {deployment} has a plan that this version cannot read") from None
