"""A cluster whose steps are recorded on a host, what happens to that, and what must hold of it. Must not know how the engine does it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from re_core.deployment.records import Ended, Entry, Lost
from re_core.deployment.state import State, StepState
from re_core.model import StepStatus
from re_core.rows import StoredPlaybook
from re_core.wire.messages import parse_attempt
from tests.simulation.clock import START
from tests.simulation.faults import HARMFUL, LASTING, Bias
from tests.simulation.hosts import DONE, ENDED, KILLED, Record
from tests.simulation.oracle import MISSED, Broken
from tests.simulation.process import Process
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.simulation.worker import WorkerProcess
from tests.simulation.world import FREEZE

#: kind of fault -> how many of it one seed may have, and how likely it is at each occasion
HOST_FAULTS: Mapping[str, tuple[int, float]] = {
    "host booted": (1, 1),
    "host booted, records gone": (1, 1),
    "host away": (2, 1),
    "worker cut off": (2, 1),
    "worker of a record killed": (3, 1),
    "worker of a record stopped": (2, 1),
    "worker of a record frozen": (1, 1),
}
#: those after which a step may be lost though workers do all they can
_OF_HOSTS = ("host booted", "host booted, records gone", "host away", "worker cut off")
#: kind of fault -> milliseconds that it lasts
_LASTING = {"host away": (2_000, 70_000), "worker cut off": (20_000, 70_000)}
#: milliseconds between two looks for a worker that can be hit
_LOOK = 500

_Steps = list[tuple[int, Callable[[random.Random], dict[str, Any]]]]

#: how often a kind of step is drawn, and how it is made
_STEPS: _Steps = [
    (6, lambda dice: {"host:Run": {"takes": dice.choice((0, 1_000, 8_000, 25_000, 60_000))}}),
    (2, lambda dice: {"host:Run": {"takes": dice.choice((500, 20_000, 45_000))}, "idempotent": True}),
    (2, lambda dice: {"host:Run": {"takes": dice.choice((500, 20_000)), "fails": dice.choice((1, 2))}, "retries": 2}),
    (1, lambda dice: {"host:Run": {"takes": 90_000}, "timeout": 30}),
    (1, lambda dice: {"host:Run": {"takes": 90_000}, "timeout": 15, "retries": 1}),
    (1, lambda dice: {"job:Quick": {}}),
]


class RecordedCluster(SimulatedCluster):
    """See SimulatedCluster."""

    records = True
    option = "--hosts "

    def __init__(self, seed: int, loud: bool = False, bias: Bias | None = None) -> None:
        super().__init__(seed, loud, bias)
        dice = self.random
        self.playbooks = [_draw_playbook(dice, one.id) for one in self.playbooks]
        self.server.playbooks = {one.id: one for one in self.playbooks}
        self.broker.declare("worker.host", None)
        of_workers = [kind for kind in HOST_FAULTS if not self.faults.spares_workers or bias is not None]
        self.faults.add({kind: HOST_FAULTS[kind] for kind in of_workers}, _LASTING)
        #: what still ran when its deployment had ended
        self.left_behind: list[str] = []
        write = self.ledger.write

        def note(entry: Entry) -> None:
            write(entry)
            if any(isinstance(one, Ended) for one in entry.records):
                self._note_end(entry.deployment)

        self.ledger.write = note  # type: ignore[method-assign]

    def _note_end(self, deployment: str) -> None:
        """What still runs, and is not lost: of that the journal says that it may run."""
        records = [one for entry in self.server.journal[deployment] for one in entry.records]
        lost = {f"{deployment}/{one.step}/{one.attempt}" for one in records if isinstance(one, Lost)}
        running = (one.attempt for one in self.host.running())
        self.left_behind += [one for one in running if parse_attempt(one).deployment == deployment and one not in lost]

    def _happenings(self) -> dict[str, Callable[[], None]]:
        return super()._happenings() | {
            "host booted": partial(self.host.boot, False),
            "host booted, records gone": partial(self.host.boot, True),
            "host away": self._lose_host,
            "worker cut off": lambda: self._hit_follower(self._cut_off),
            "worker of a record killed": lambda: self._hit_follower(self.kill),
            "worker of a record stopped": lambda: self._hit_follower(lambda one: one.stop()),
            "worker of a record frozen": lambda: self._hit_follower(
                lambda one: self.freeze(one, self.random.randint(*FREEZE))
            ),
        }

    def _lose_host(self) -> None:
        self.host.away_until = self._until("host away")

    def _cut_off(self, worker: WorkerProcess) -> None:
        self.host.cut_off[worker.name] = self._until("worker cut off")

    def _hit_follower(self, hit: Callable[[WorkerProcess], None]) -> None:
        """A worker that sees to a run; where there is none yet, a later one."""
        running = {record.attempt for record in self.host.running()}
        victims = [one for one in self.processes if isinstance(one, WorkerProcess) and _follows(one, running)]
        if victims:
            hit(self.random.choice(victims))
        elif not self.faults.calm:
            self.after(_LOOK, partial(self._hit_follower, hit))


def _follows(process: Process, running: set[str]) -> bool:
    if not isinstance(process, WorkerProcess) or process.frozen or not process.mortal:
        return False
    return any(one.call.attempt_id in running for one in process.attempts())


def _draw_playbook(dice: random.Random, name: str) -> StoredPlaybook:
    sequences = [
        {"hosts": ["a", "b"][: dice.choice((1, 1, 2))], "steps": [_draw_step(dice) for _ in range(dice.randint(1, 3))]}
        for _ in range(dice.choice((1, 1, 2)))
    ]
    document = {"group": "inception", "name": name, "execution": sequences}
    return StoredPlaybook(name, "inception", name, 1, document, START, START, "pat")


def _draw_step(dice: random.Random) -> dict[str, Any]:
    ((_, make),) = dice.choices(_STEPS, [weight for weight, _ in _STEPS])
    return make(dice)


# -- what must hold ----------------------------------------------------------------------------------


def check_records(cluster: RecordedCluster) -> None:
    """Raises Broken."""
    problems = [problem for look in _LOOKS for problem in look(cluster)]
    if problems:
        raise Broken("; ".join(problems))


def _each_attempt_begins_once(cluster: RecordedCluster) -> Iterator[str]:
    happened = cluster.faults.happened
    if happened["clock jumps"] and happened["host booted, records gone"]:
        return  # how old a claim is, cores measure by their clocks
    for attempt, times in cluster.host.begun.items():
        if times > 1:
            yield f"the program of {attempt} began {times} times"


def _attempts_do_not_overlap(cluster: RecordedCluster) -> Iterator[str]:
    yield from (f"{one} ran" for one in cluster.host.overlaps)


def _steps(cluster: RecordedCluster) -> Iterator[tuple[State, int, StepState, Record]]:
    """The recorded steps whose last attempt has a record on the host."""
    for state in cluster.final or []:
        for number, step in state.steps.items():
            record = cluster.host.history.get(f"{state.deployment}/{number}/{step.attempt}")
            if state.plan.steps[number].spec.command == "host" and record is not None:
                yield state, number, step, record


def _journals_say_what_records_say(cluster: RecordedCluster) -> Iterator[str]:
    for state, number, step, record in _steps(cluster):
        where = f"step {number} of {state.deployment}"
        went_well = record.state == ENDED and record.code == DONE
        if step.status is StepStatus.COMPLETED and not went_well:
            yield f"{where} completed, and its record says {record.state} {record.code}"
        if step.status is StepStatus.FAILED and went_well and not _troubled(cluster):
            yield f"{where} failed, and its record says that it went well: {step.message}"
        late = (step.started_at or 0) + state.plan.steps[number].spec.timeout * 1000 - (record.ended or 0)
        if step.status is StepStatus.FAILED and record.code == KILLED and late > 0 and not _troubled(cluster):
            yield f"{where} failed because its program was ended, which no core had asked for"
        if step.status is StepStatus.TIMED_OUT and went_well and late > MISSED and not _troubled(cluster):
            yield f"{where} timed out {late} ms after its program had ended well"


def _ends_are_heard_of_in_time(cluster: RecordedCluster) -> Iterator[str]:
    """Where nothing lasts that keeps cores or workers from it."""
    happened = cluster.faults.happened
    if _troubled(cluster) or any(happened[kind] for kind in (*LASTING, "freeze", "process frozen")):
        return
    for state, number, step, record in _steps(cluster):
        late = (step.ended_at or 0) - (record.ended or 0)
        if record.ended is not None and late > MISSED:
            yield f"step {number} of {state.deployment} ended {late} ms after its program had"


def _troubled(cluster: RecordedCluster) -> bool:
    """Whether what happened may hide the outcome of a step from all workers, or its words from all cores."""
    return any(cluster.faults.happened[kind] for kind in (*HARMFUL, *_OF_HOSTS))


def _little_is_lost(cluster: RecordedCluster) -> Iterator[str]:
    """Only where the host was gone or booted, or too many workers died. A worker's last words may go with a queue."""
    happened = cluster.faults.happened
    stopped = happened["process stopped"] or happened["worker of a record stopped"]
    if any(happened[kind] for kind in (*_OF_HOSTS, "clock jumps")) or (stopped and _troubled(cluster)):
        return
    for state, number, step, _ in _steps(cluster):
        said = step.message or ""
        silent = any(happened[kind] for kind in ("freeze", "process frozen", "worker of a record frozen", *HARMFUL))
        hurried = silent and (step.stop_requested_at is not None or state.cancel is not None)
        if step.status is not StepStatus.LOST or "workers before" in said:
            continue
        # for that there are 30 s, in which each worker may stand still, and each message may be lost
        if not (hurried and ("no worker came" in said or "did not stop within" in said)):
            yield f"step {number} of {state.deployment} is lost, and its host was there all the time: {step.message}"


def _nothing_is_left_running(cluster: RecordedCluster) -> Iterator[str]:
    if _troubled(cluster):
        return
    for attempt in cluster.left_behind:
        yield f"{attempt} still ran when its deployment had ended"


_LOOKS = (
    _each_attempt_begins_once,
    _attempts_do_not_overlap,
    _journals_say_what_records_say,
    _ends_are_heard_of_in_time,
    _little_is_lost,
    _nothing_is_left_running,
)
