"""Writes docs/dploy-machines.md: the four tables of an app, and the transitions that come of them.

Must not know the rules: what it draws is what the machine does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from re_core.apps import events as e
from re_core.apps import machine
from re_core.apps import records as r
from re_core.apps.advancing import Advance, Refusal, known_already
from re_core.apps.jobs import ACTS, Said
from re_core.apps.machine import APP, AppWord
from re_core.apps.records import RECORDS
from re_core.apps.releasing import VERSION, End, VersionWord
from re_core.apps.running import RUN, RunStatus, RunWord
from re_core.apps.state import State, begin
from re_core.apps.values import AppStatus, Job, Run, Status, Version
from re_core.deployment.events import TimerFired
from re_core.jobs.table import JOB, JobStatus, JobWord
from re_core.jobs.words import Created
from tools.machine_pages import Bench, Machine, Step, page

#: the page that it writes
TARGET = Path(__file__).parent.parent / "docs" / "dploy-machines.md"

_START = 1_700_000_000_000
_EU, _US = "eu", "us"
_REGISTER = e.Register("web", "shop", [_EU, _US])
_NAMES = {kind: name for name, kind in RECORDS.items()}
_DIGEST = "a" * 64


def _made(steps: Sequence[Step]) -> tuple[State, int]:
    """An app to which these have happened, a second apart, and the time."""
    state, now = begin("app/x"), _START
    for step in steps:
        now += 1_000
        event = step(state) if callable(step) else step
        if machine.advance(state, event, now).records:
            state.entry, state.entry_at = state.entry + 1, now
    return state, now


BENCH = Bench(_made, Advance, Refusal, _NAMES, known_already, None)

# -- the apps ----------------------------------------------------------------------------------------


def _build(n: int) -> e.Build:
    return e.Build("artifact:web/x", broadcast_id=f"push-{n}")


def _built(version: int, job: str, digest: str = _DIGEST) -> e.Built:
    return e.Built(version, job, "a-1", digest, 1, 1, 1, {"web": "run"})


def _step(kind: Any, *more: Any) -> Callable[[State], Any]:
    """Said by the job that goes on."""
    return lambda state: kind(state.active, state.versions[state.active].job, *more)


def _job_is(status: str) -> Callable[[State], e.Fact]:
    return lambda state: e.Fact(_open(state).id, status)


def _created(accepted: bool, **more: str) -> Callable[[State], Created]:
    return lambda state: Created(_open(state).id, accepted, **more)


def _open(state: State) -> Job:
    """The job that was asked for last."""
    return list(state.jobs.values())[-1]


_PREPARED = (_build(1), _step(e.Prepared))
_DEPLOYING = (*_PREPARED, lambda state: _built(state.active, state.versions[state.active].job))
_READY = (*_DEPLOYING, _step(e.Ready, _EU), _step(e.Ready, _US))
_COMMITTED = (*_READY, _step(e.Commit))
_RUNS = (_REGISTER, *_COMMITTED, _job_is("completed"))
_LEFT = (e.Left(_EU), e.Left(_US))
_CONFIGURED = (e.Configure("", "c1", ["A"]), _step(e.Prepared), _step(e.Ready, _EU), _step(e.Ready, _US))
_RUNS_TWO = (*_RUNS, *_CONFIGURED, _step(e.Commit), _job_is("completed"))


def _subject(state: State) -> Version:
    """The version whose turn it is, else the last one."""
    return state.versions[state.active or state.last]


def _said(kind: Any, *more: Any) -> Callable[[State], list[Any]]:
    return lambda state: [kind(_subject(state).number, _subject(state).job, *more)]


def _end(status: str) -> End:
    return End(r.JobEnded("x", status), "no")


def _about_job(none: Any, *kinds: Callable[[State], Any]) -> Callable[[State], list[Any]]:
    """About the job that was asked for last; `none` where there was none."""
    return lambda state: [kind(state) for kind in kinds] if state.jobs else [none]


_APP = Machine(
    BENCH,
    "App",
    "The app itself. It is `releasing` while the job of a version goes on.",
    APP,
    {
        AppStatus.NEW: [[]],
        AppStatus.IDLE: [[_REGISTER], _RUNS, [*_RUNS_TWO, e.Zones([_US])]],
        AppStatus.RELEASING: [
            [_REGISTER, _build(1), _build(2)],
            [_REGISTER, *_READY],
            [*_RUNS, e.Configure("", "c1", ["A"])],
            [*_RUNS_TWO, _build(3)],
        ],
        AppStatus.ENDING: [
            [*_RUNS, e.Destroy()],
            [*_RUNS, e.Destroy(), e.Left(_US)],
            [_REGISTER, *_READY, e.Destroy()],
        ],
        AppStatus.GONE: [[*_RUNS, e.Destroy(), *_LEFT]],
    },
    None,
    lambda state: state.status,
    {
        AppWord.REGISTER: lambda state: [_REGISTER, _REGISTER._replace(name="other")],
        AppWord.ZONES: lambda state: [e.Zones([_US])],
        AppWord.BUILD: lambda state: [_build(9), _build(1)],
        AppWord.CONFIGURE: lambda state: [e.Configure(state.config.id, "c9", ["A"]), e.Configure("c7", "c9")],
        AppWord.ROLLBACK: lambda state: [e.Rollback(1), e.Rollback(9)],
        AppWord.SCALE: lambda state: [e.Scale({"web": 2}), e.Scale({"other": 1})],
        AppWord.RESTART: lambda state: [e.Restart()],
        AppWord.RUN: lambda state: [e.RunCommand("ls")],
        AppWord.DESTROY: lambda state: [e.Destroy()],
        AppWord.STEP: lambda state: [e.Prepared(1, "other")] + ([*_said(e.Commit)(state)] if state.last else []),
        AppWord.RAN: lambda state: [e.Ran(1, "other", 0)],
        AppWord.CREATED: _about_job(Created("none", True), _created(True), _created(False, reason="refused")),
        AppWord.FACT: _about_job(e.Fact("none", "completed"), _job_is("completed"), _job_is("void")),
        AppWord.LEFT: lambda state: [e.Left(_EU)],
        AppWord.REBASE: lambda state: [e.Rebase(100)],
        AppWord.TIMER: lambda state: [TimerFired()],
    },
    {AppWord.TIMER: 61},
)

_VERSION = Machine(
    BENCH,
    "Version",
    "One for each push, config change and rollback. What a step says is heard of the version's job of now only.",
    VERSION,
    {
        Status.PENDING: [[_REGISTER, _build(1)], [*_RUNS, e.Configure("", "c1", ["A"])]],
        Status.BUILDING: [[_REGISTER, *_PREPARED]],
        Status.DEPLOYING: [[_REGISTER, *_DEPLOYING], [_REGISTER, *_READY]],
        Status.SUCCEEDED: [[_REGISTER, *_COMMITTED]],
        Status.FAILED: [[_REGISTER, *_READY, _job_is("failed")]],
    },
    _subject,
    lambda state: _subject(state).status,
    {
        VersionWord.TURN: lambda state: [None],
        VersionWord.PREPARED: _said(e.Prepared),
        VersionWord.BUILT: lambda state: [
            _built(_subject(state).number, _subject(state).job, digest) for digest in (_DIGEST, "b" * 64)
        ],
        VersionWord.READY: lambda state: [*_said(e.Ready, _US)(state), *_said(e.Ready, "mars")(state)],
        VersionWord.COMMIT: _said(e.Commit),
        VersionWord.COMPLETED: lambda state: [_end("completed")],
        VersionWord.UNDONE: lambda state: [_end("failed")],
        VersionWord.SWITCHED: _said(e.Switched, _US),
    },
)


def _run(state: State) -> Run:
    return state.runs[state.last_run]


_RUN = Machine(
    BENCH,
    "Run",
    "One for each command that a person runs in the environment of the current version.",
    RUN,
    {
        RunStatus.OPEN: [[*_RUNS, e.RunCommand("ls")]],
        RunStatus.ENDED: [[*_RUNS, e.RunCommand("ls"), lambda state: e.Ran(1, _run(state).job, 0)]],
    },
    _run,
    lambda state: RunStatus.ENDED if _run(state).ended else RunStatus.OPEN,
    {
        RunWord.RAN: lambda state: [e.Ran(1, _run(state).job, 0)],
        RunWord.JOB_OVER: lambda state: [_end("failed")],
    },
)

_JOB = Machine(
    BENCH,
    "Job",
    "One for each deployment that the app asks for. What takes it back to `asked` gives it another id.",
    {status: {word: ACTS[act] for word, act in row.items()} for status, row in JOB.items()},
    {
        JobStatus.ASKED: [[_REGISTER, _build(1)]],
        JobStatus.ACCEPTED: [[_REGISTER, _build(1), _created(True)]],
        JobStatus.POSTPONED: [[_REGISTER, _build(1), _created(False, holder="d0")]],
        JobStatus.ENDED: [[_REGISTER, _build(1), _job_is("failed")]],
        JobStatus.REFUSED: [[_REGISTER, _build(1), _created(False, reason="refused")]],
    },
    _open,
    lambda state: _open(state).status,
    {
        JobWord.CREATED: lambda state: [Said()],
        JobWord.REFUSED: lambda state: [Said("no")],
        JobWord.HELD: lambda state: [Said("it is busy")],
        JobWord.VOID: lambda state: [Said()],
        JobWord.RUNNING: lambda state: [Said(status="running")],
        JobWord.ENDED: lambda state: [Said(status="completed"), Said(status="cancelled")],
        JobWord.MISSING: lambda state: [Said()],
        JobWord.TIMER: lambda state: [Said()],
    },
)

MACHINES = (_APP, _VERSION, _RUN, _JOB)

# -- the page ----------------------------------------------------------------------------------------

_TEXT = """\
# The machines of an app

Generated from the tables in `re_core/apps/` and `re_core/jobs/` by `make docs-diagram`; a test fails when this page is out of
date. The theory behind them is at the top of `re_core/apps/machine.py`.

In the tables: `·` nothing changes, it was carried out before; `refused`: with which code, and nothing changes; else the
records that can come of it.
"""


def document() -> str:
    """The page."""
    return page(_TEXT, MACHINES, codes=True)


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
