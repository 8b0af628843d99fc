"""What runs of an app: counts of processes, restarts, single commands. Pure; the table RUN.

The theory is in re_core/apps/machine.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.advancing import Advance, Refusal, known_already
from re_core.apps.asking import ask_run
from re_core.apps.releasing import End
from re_core.apps.state import MOST_OPEN_RUNS, State
from re_core.apps.values import Job, Run, Version

#: instances of one type in each zone
MOST_INSTANCES = 20

#: bytes of the command of a run
MOST_COMMAND = 4_096


class RunStatus(StrEnum):
    """How far a run is."""

    OPEN = "open"
    ENDED = "ended"


class RunWord(StrEnum):
    """What can happen to a run."""

    RAN = "its command has ended"
    JOB_OVER = "job ended"


def on_scale(go: Advance, event: e.Scale) -> None:
    """Of what runs now; it makes no version, and the next version takes the counts over."""
    state = go.state
    current = _current(state)
    types = {} if current.payload is None else current.payload.processes
    for name, count in event.formation.items():
        if name not in types:
            raise Refusal("unknown-type", f"v{current.number} has no process {name[:40]!r}, but {', '.join(types)}")
        if not 0 <= count <= MOST_INSTANCES:
            raise Refusal("bad-message", f"{name}={count}: 0 to {MOST_INSTANCES} run in each zone")
    formation = {**state.formation, **event.formation}
    if formation != state.formation:
        go.emit(r.Scaled(formation, event.user))


def on_restart(go: Advance, event: e.Restart) -> None:
    state = go.state
    _current(state)
    if not event.request or event.request != state.restart:
        go.emit(r.Restarted(state.generation + 1, event.user, event.request))


def on_run(go: Advance, event: e.RunCommand) -> None:
    """In the first zone, by a job of its own, which waits for no release."""
    state = go.state
    known = next((one for one in state.runs.values() if event.request and one.request == event.request), None)
    if known is not None:
        go.run, go.deployment = known.n, known.job
        return
    current = _current(state)
    if not event.command.strip() or "\0" in event.command or len(event.command.encode()) > MOST_COMMAND:
        raise Refusal("bad-message", f"`command` has 1 to {MOST_COMMAND} bytes, and no NUL")
    if sum(not one.ended for one in state.runs.values()) >= MOST_OPEN_RUNS:
        raise Refusal("too-many", f"{MOST_OPEN_RUNS} commands of {state.name} run; try again later")
    # one that has come since may not have the version yet
    zone = next((zone for zone in state.zones if zone in current.zones), state.zones[0])
    n = state.last_run + 1
    go.emit(r.RunAsked(n, zone, event.command, event.user, event.source, event.request))
    go.run, go.deployment = n, ask_run(go, n, zone)


def on_ran(go: Advance, event: e.Ran) -> None:
    run = go.state.runs.get(event.n)
    if run is None:
        raise Refusal("unknown-run", f"run {event.n} of {go.state.name} not found")
    if event.deployment != run.job:
        raise Refusal("not-yours", f"deployment {event.deployment[:40]!r} does not run {event.n}")
    RUN[_status(run)][RunWord.RAN](go, run, event)


def job_over(go: Advance, job: Job, end: End) -> None:
    """The job of a run is closed: where its command has said nothing, no code is known."""
    go.emit(end.record)
    if (run := go.state.runs.get(job.run)) is not None:
        RUN[_status(run)][RunWord.JOB_OVER](go, run, end)


def _current(state: State) -> Version:
    current = state.versions.get(state.current)
    if current is None:
        raise Refusal("nothing-runs", f"no version of {state.name} has succeeded yet")
    return current


def _status(run: Run) -> RunStatus:
    return RunStatus.ENDED if run.ended else RunStatus.OPEN


def _ran(go: Advance, run: Run, event: e.Ran) -> None:
    go.emit(r.RunEnded(run.n, event.code))


def _cut_off(go: Advance, run: Run, end: End) -> None:
    go.emit(r.RunEnded(run.n, None, end.why))


_Rule = Callable[[Advance, Run, Any], None]

#: what a run does with a word
RUN: Mapping[RunStatus, Mapping[RunWord, _Rule]] = {
    RunStatus.OPEN: {RunWord.RAN: _ran, RunWord.JOB_OVER: _cut_off},
    RunStatus.ENDED: {RunWord.RAN: known_already, RunWord.JOB_OVER: known_already},
}
