"""Writes docs/cdpm-machines.md: the four tables of a pipeline, and the transitions that come of them.

The tables are read. The transitions are found by trying: each cell is carried out on a small node that was brought to its state.
Must not know the rules: what it draws is what the machine does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from re_core.cdpm import events as e
from re_core.cdpm import machine
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance, Refusal, known_already, miss
from re_core.cdpm.jobs import JOB, JobWord, Said
from re_core.cdpm.publishing import RELEASE, ReleaseWord, node_status
from re_core.cdpm.receiving import DEPENDENT, STABILITY, Build, Departure, DependentWord, Result
from re_core.cdpm.records import RECORDS
from re_core.cdpm.state import State, begin
from re_core.cdpm.values import DependentStatus, Job, JobStatus, ReleaseStatus, Stability
from tools.machine_pages import Bench, Machine, Step, page

#: the page that it writes
TARGET = Path(__file__).parent.parent / "docs" / "cdpm-machines.md"

_DEP = "dep"
_URL, _OWN, _PEER, _OTHER = (f"https://{name}.example/cdpm.yml" for name in (_DEP, "own", "peer", "other"))
_START = 1_700_000_000_000
_DOCUMENT = {
    "refs": [{"ref_type": "stable", "ref": "v1"}],
    "trials": {"playbook": "g/try", "most_per_hour": 3},
    "release": {"playbook": "g/release"},
    "promote": {"stable": 1, "within": "24h"},
    "demote": {"unstable": 1},
}
_NODE: Sequence[Any] = (
    e.Register("g", "own", _OWN),
    e.Configure(1, _DOCUMENT, {"g/try": "try", "g/release": "release"}),
    e.FileRead("x", {_DEP: _URL}, {_PEER: "peer", _OTHER: "other"}, [_PEER, _OTHER]),
)
_NAMES = {kind: name for name, kind in RECORDS.items()}


def node(steps: Sequence[Step]) -> tuple[State, int]:
    """A node to which these have happened, a second apart, and the time."""
    state, now = begin("pipeline/x"), _START
    for step in (*_NODE, *steps):
        now += 1_000
        event = step(state, now) if callable(step) else step
        if machine.advance(state, event, now).records:
            state.entry, state.entry_at = state.entry + 1, now
    return state, now


BENCH = Bench(node, Advance, Refusal, _NAMES, known_already, miss)


# -- the nodes ---------------------------------------------------------------------------------------


def _release(n: int, **more: Any) -> e.ReleaseReceived:
    document = {"new_version": "1", "ref": "v1", "chain": [], **more}
    return e.ReleaseReceived(_DEP, n, f"2023-11-14T22:{n:02d}:20Z", document, major=True)


def _open(state: State) -> Job:
    """The job that was asked for first and goes on, else the last one."""
    jobs = list(state.jobs.values())
    return next(
        (job for job in jobs if job.status in (JobStatus.ASKED, JobStatus.ACCEPTED, JobStatus.POSTPONED)), jobs[-1]
    )


def _job(status: str) -> Callable[[State, int], e.Fact]:
    return lambda state, now: e.Fact(_open(state).id, 2, status)


def _created(accepted: bool, **more: str) -> Callable[[State, int], e.Created]:
    return lambda state, now: e.Created(_open(state).id, accepted, **more)


def _own(status: str, **more: Any) -> Callable[[State, int], e.Fact]:
    return lambda state, now: e.Fact("d1", 2, status, "release", now, **more)


def _vote(value: str) -> Callable[[State, int], e.VoteReceived]:
    return lambda state, now: _cast(state, value, _PEER)


def _cast(state: State, value: str, url: str) -> e.VoteReceived:
    release = state.releases.get(1)
    id = next((one.id for one in state.subscriptions.values() if one.url == url), "")
    return e.VoteReceived(url, id, 1, "" if release is None else release.created_at, value, "x", f"{value} {url}", 1)


def _subscribe(url: str) -> e.SubscribeAsked:
    return e.SubscribeAsked(url, "peer", [{"ref_type": "stable", "ref": "v1"}], url, 1)


_SUBSCRIBE = _subscribe(_PEER)
_JOINED = e.Subscribed(_DEP, "s1")
_LEFT, _BACK = e.Leave(_DEP), e.Join(_DEP)
_RELEASED = (_SUBSCRIBE, _subscribe(_OTHER), _own("completed"))


def _build(state: State, status: str) -> list[Build]:
    return [Build(_open(state), r.JobEnded(_open(state).id, status), status)] if state.jobs else []


def _d1(state: State) -> Any:
    found = state.candidates.get("d1")
    return found or next((one for one in state.releases.values() if one.deployment in ("d1", "publish/d1")), None)


_DEPENDENT = Machine(
    BENCH,
    "Dependent",
    "One for each dependency: whether this node is subscribed to it, and whether it builds one of its releases.",
    DEPENDENT,
    {
        DependentStatus.INITIAL: [[_JOINED, _release(1), e.NotSubscribed(_DEP, "over")], [_JOINED, _release(1), _LEFT]],
        DependentStatus.SUBSCRIBED: [
            [_JOINED, _release(1), _LEFT, _BACK, _JOINED],
            [_JOINED, *(step for n in range(1, 4) for step in (_release(n), _job("completed"))), _release(4)],
        ],
        DependentStatus.BUILDING: [[_JOINED, _release(1)], [_JOINED, _release(1), _release(2)]],
    },
    lambda state: state.dependencies[_DEP],
    lambda state: state.dependencies[_DEP].status,
    {
        DependentWord.SUBSCRIBED: lambda state: [_JOINED, e.Subscribed(_DEP, "s2")],
        DependentWord.NOT_SUBSCRIBED: lambda state: [e.NotSubscribed(_DEP, "no")],
        DependentWord.NEW_RELEASE: lambda state: [_release(1), _release(9), _release(9, chain=[f"{_OWN}#1"])],
        DependentWord.BUILD_ENDED: lambda state: [*_build(state, "completed"), *_build(state, "failed")],
        DependentWord.NO_RESULT: lambda state: _build(state, "cancelled"),
        DependentWord.LEAVE: lambda state: [Departure("cdpm.yml names it no more")],
        DependentWord.TIMER: lambda state: [None],
    },
    {DependentWord.TIMER: 3_601},
)

_STABILITY = Machine(
    BENCH,
    "Stability",
    "One for each dependency that designates this node as major: entering a state with `vote` in its name sends that vote.",
    STABILITY,
    {
        Stability.INITIAL: [[_JOINED, _release(1)]],
        Stability.VOTE_STABLE: [[_JOINED, _release(1), _job("completed"), _release(2)]],
        Stability.VOTE_UNSTABLE: [
            [_JOINED, _release(1), _job("completed"), _release(2), _job("failed"), _release(3)],
        ],
    },
    lambda state: state.dependencies[_DEP],
    lambda state: state.dependencies[_DEP].stability,
    {
        Result.SUCCEEDED: lambda state: _build(state, "completed"),
        Result.FAILED: lambda state: _build(state, "failed"),
        Result.NONE: lambda state: [*_build(state, "cancelled"), *_build(state, "vanished")],
    },
)

_RELEASE = Machine(
    BENCH,
    "Dependency",
    "One for each candidate, and for the release that comes of it. `initial` and `publishing` are the node's own while it has none.",
    RELEASE,
    {
        ReleaseStatus.INITIAL: [[]],
        ReleaseStatus.PUBLISHING: [[_SUBSCRIBE]],
        ReleaseStatus.BUILDING: [[_SUBSCRIBE, _own("running")]],
        ReleaseStatus.TESTING: [[_SUBSCRIBE, _own("running", built=True)]],
        ReleaseStatus.DEPLOYING: [[_SUBSCRIBE, _own("running", tested=True)]],
        ReleaseStatus.DEPLOYED: [_RELEASED],
        ReleaseStatus.PROMOTED: [[*_RELEASED, _vote("stable")]],
        ReleaseStatus.DEMOTED: [[*_RELEASED, _vote("unstable")]],
    },
    _d1,
    lambda state: node_status(state) if (one := _d1(state)) is None else one.status,
    {
        ReleaseWord.SUBSCRIBE: lambda state: [_SUBSCRIBE],
        ReleaseWord.CHECK_IN: lambda state: [_own("running")(state, _START), e.Fact("d1", 9, "running")],
        ReleaseWord.BUILT: lambda state: [_own("running", built=True)(state, _START)],
        ReleaseWord.TESTED: lambda state: [_own("running", tested=True)(state, _START)],
        ReleaseWord.NEW_RELEASE: lambda state: [
            e.Publish(request="d1") if _d1(state) is None else _own("completed")(state, _START)
        ],
        ReleaseWord.FAILED: lambda state: [e.Fact("d1", 9, "failed"), e.Fact("d1", 9, "cancelled")],
        ReleaseWord.STABLE: lambda state: [_cast(state, "stable", url) for url in (_PEER, _OTHER)],
        ReleaseWord.UNSTABLE: lambda state: [_cast(state, "unstable", url) for url in (_PEER, _OTHER)],
        ReleaseWord.DEADLINE: lambda state: [None],
    },
    {ReleaseWord.DEADLINE: 86_401},
)

_JOB = Machine(
    BENCH,
    "Job",
    "One for each deployment that the pipeline asks for. What takes it back to `asked` gives it another id.",
    JOB,
    {
        JobStatus.ASKED: [[_JOINED, _release(1)]],
        JobStatus.ACCEPTED: [[_JOINED, _release(1), _created(True)]],
        JobStatus.POSTPONED: [[_JOINED, _release(1), _created(False, holder="d0")]],
        JobStatus.ENDED: [[_JOINED, _release(1), _job("completed")]],
        JobStatus.REFUSED: [[_JOINED, _release(1), _created(False, reason="refused")]],
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

MACHINES = (_DEPENDENT, _STABILITY, _RELEASE, _JOB)

# -- the page ----------------------------------------------------------------------------------------

_TEXT = """\
# The machines of a pipeline

Generated from the tables in `re_core/cdpm/` by `make docs-diagram`; a test fails when this page is out of date.
The theory behind them is at the top of `re_core/cdpm/machine.py`.

In the tables: `·` nothing changes, it was carried out before; a blank: refused, counted, and nothing changes; else the records
that can come of it.
"""


def document() -> str:
    """The page."""
    return page(_TEXT, MACHINES)


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
