"""Writes docs/cdpm-machines.md: the four tables of a pipeline, and the transitions that come of them.

The tables are read. The transitions are found by trying: each cell is carried out on a small node that was brought to its state.
Must not know the rules: what it draws is what the machine does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

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

#: an event, or what makes one for a state
Step = Any


class Outcome(NamedTuple):
    """What a cell made of a word."""

    #: the status after it; empty where it was refused
    after: str
    #: names of the records, in order
    records: tuple[str, ...] = ()
    #: names of the effects
    effects: tuple[str, ...] = ()


class Machine(NamedTuple):
    """One of the four."""

    title: str
    about: str
    table: Mapping[Any, Mapping[Any, Any]]
    #: status -> nodes that are in it: the events that lead there
    situations: Mapping[Any, Sequence[Sequence[Step]]]
    #: what the table is asked about, and its status
    subject: Callable[[State], Any]
    status: Callable[[State], str]
    #: word -> what it can bring, for a state
    words: Mapping[Any, Callable[[State], Sequence[Any]]]
    #: word -> seconds that pass before it
    delays: Mapping[Any, int] = {}


def node(steps: Sequence[Step]) -> tuple[State, int]:
    """A node to which these have happened, a second apart, and the time."""
    state, now = begin("pipeline/x"), _START
    for step in (*_NODE, *steps):
        now += 1_000
        event = step(state, now) if callable(step) else step
        if machine.advance(state, event, now).records:
            state.entry, state.entry_at = state.entry + 1, now
    return state, now


def outcomes(one: Machine, status: Any, word: Any) -> Iterator[Outcome]:
    """What the cell does, in each situation and with each content of the word."""
    for steps in one.situations[status]:
        for place in range(len(one.words[word](node(steps)[0]))):
            state, now = node(steps)
            if one.status(state) != status:
                raise AssertionError(f"{one.title}: {one.status(state)} instead of {status}")
            go = Advance(state, now + 1_000 * one.delays.get(word, 1))
            try:
                one.table[status][word](go, one.subject(state), one.words[word](state)[place])
            except Refusal:
                yield Outcome("")
            else:
                names = tuple(_NAMES[type(record)] for record in go.records)
                yield Outcome(str(one.status(state)), names, tuple(type(effect).__name__ for effect in go.effects))


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

_PART = """
## {title}

{about}

{diagram}

{table}
"""


def document() -> str:
    """The page."""
    parts = [
        _PART.format(title=one.title, about=one.about, diagram=_diagram(one), table=_table(one)) for one in MACHINES
    ]
    return _TEXT + "".join(parts)


def _diagram(one: Machine) -> str:
    changes: dict[tuple[str, str], list[str]] = {}
    for status, word in ((status, word) for status in one.table for word in one.words):
        for outcome in outcomes(one, status, word):
            if (
                outcome.after
                and outcome.after != status
                and str(word) not in changes.setdefault((status, outcome.after), [])
            ):
                changes[status, outcome.after].append(str(word))
    lines = [f"    {before} --> {after}: {', '.join(words)}" for (before, after), words in changes.items() if words]
    first = next(iter(one.table))
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *lines, "```"])


def _table(one: Machine) -> str:
    heads = list(one.words)
    rows = [f"| {status} | {' | '.join(_cell(one, status, word) for word in heads)} |" for status in one.table]
    return "\n".join([f"| | {' | '.join(map(str, heads))} |", f"| --- |{' --- |' * len(heads)}", *rows])


def _cell(one: Machine, status: Any, word: Any) -> str:
    rule = one.table[status][word]
    if rule is miss:
        return ""
    if rule is known_already:
        return "·"
    found = dict.fromkeys(_said(outcome, status) for outcome in outcomes(one, status, word))
    return "; ".join(text for text in found if text) or "·"


def _said(outcome: Outcome, status: str) -> str:
    if not outcome.after:
        return "refused"
    goes = f" → {outcome.after}" if outcome.after != status else ""
    effects = ", ".join(outcome.effects) if not outcome.records else ""
    return ", ".join(f"`{name}`" for name in outcome.records) + effects + goes


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
