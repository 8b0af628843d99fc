"""The dependent side: releases of dependencies, their builds, this node's votes. Pure; the tables DEPENDENT and STABILITY.

The theory is in re_core/cdpm/machine.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance, Refusal, known_already
from re_core.cdpm.asking import TRIAL, ask
from re_core.cdpm.ids import ReleaseKey
from re_core.cdpm.inputs import MOST_CHAIN, Unfit, chain_of, inputs_of
from re_core.cdpm.moments import milliseconds
from re_core.cdpm.state import MOST_PENDING, State
from re_core.cdpm.values import STABLE, UNSTABLE, Dependency, DependentStatus, Job, Stability

_HOUR = 3_600_000

#: milliseconds that a dependency's clock may be ahead: all later releases would be older than one of next year
_AHEAD = 24 * _HOUR


class DependentWord(StrEnum):
    """What can happen to the subscription to one dependency."""

    SUBSCRIBED = "subscribed received"
    NOT_SUBSCRIBED = "not subscribed"
    NEW_RELEASE = "new release received"
    BUILD_ENDED = "build ended"
    NO_RESULT = "build has no result"
    LEAVE = "left"
    TIMER = "timer"


class Result(StrEnum):
    """What the build of a dependency's release says of it. What any other deployment says never comes here."""

    SUCCEEDED = "tests of its release succeeded"
    FAILED = "tests of its release failed"
    NONE = "no result"


class Departure(NamedTuple):
    """This node leaves a dependency. `stays`: until an operator takes that back."""

    why: str
    stays: bool = False


class Build(NamedTuple):
    """The end of the job that builds a release: its record, and how its deployment ended."""

    job: Job
    record: r.JobEnded | r.JobRefused
    status: str = ""


# -- what came in ----------------------------------------------------------------------------------


def on_subscribed(go: Advance, event: e.Subscribed) -> None:
    _step(go, event.dependency, DependentWord.SUBSCRIBED, event)


def on_not_subscribed(go: Advance, event: e.NotSubscribed) -> None:
    _step(go, event.dependency, DependentWord.NOT_SUBSCRIBED, event)


def on_release(go: Advance, event: e.ReleaseReceived) -> None:
    _step(go, event.dependency, DependentWord.NEW_RELEASE, event)


def on_leave(go: Advance, event: e.Leave) -> None:
    if _dependency(go, event.dependency).away:
        return
    leave(go, event.dependency, "an operator left it", stays=True)


def on_join(go: Advance, event: e.Join) -> None:
    if _dependency(go, event.dependency).away:
        go.emit(r.Wanted(event.dependency, event.user))


def leave(go: Advance, name: str, why: str, stays: bool = False) -> None:
    """The file names the dependency no more, or an operator leaves it (`stays`)."""
    _step(go, name, DependentWord.LEAVE, Departure(why, stays))


def on_timer(go: Advance) -> None:
    """Releases that waited because too many builds had begun within an hour."""
    for name, known in list(go.state.dependencies.items()):
        if known.pending:
            _step(go, name, DependentWord.TIMER, None)


def build_over(go: Advance, build: Build) -> None:
    """The job of a trial is closed. Its record, the stability, the vote and the next build are in one entry."""
    known = go.state.dependencies.get(build.job.dependency)
    if known is None or known.url != build.job.url:
        go.emit(build.record)  # the file names the dependency no more
        return
    has_result = build.status in ("completed", "failed")
    word = DependentWord.BUILD_ENDED if has_result else DependentWord.NO_RESULT
    DEPENDENT[known.status][word](go, known, build)


def on_vote_answered(go: Advance, event: e.VoteAnswered) -> None:
    known = _dependency(go, event.dependency)
    if not any((vote.id, vote.created_at) == (event.id, event.created_at) for vote in known.votes):
        return
    what = event.dependency, event.id, event.created_at, event.status
    go.emit(r.VoteDelivered(*what) if 200 <= event.status < 300 else r.VoteRefused(*what, event.why))


def resume_time(state: State, known: Dependency, now: int) -> int | None:
    """When a release may be built that waits because of `most_per_hour`."""
    if not known.pending or known.status is not DependentStatus.SUBSCRIBED:
        return None
    most = state.node.trials.most_per_hour
    recent = [start for start in known.starts if now - start < _HOUR]
    return now if len(recent) < most else recent[len(recent) - most] + _HOUR


def _dependency(go: Advance, name: str) -> Dependency:
    known = go.state.dependencies.get(name)
    if known is None:
        raise Refusal("unknown-dependency", f"the node's cdpm.yml has no dependency {name[:100]!r}")
    return known


def _step(go: Advance, name: str, word: DependentWord, what: Any) -> None:
    known = _dependency(go, name)
    DEPENDENT[known.status][word](go, known, what)


# -- the subscription ------------------------------------------------------------------------------


def _join(go: Advance, known: Dependency, event: e.Subscribed) -> None:
    if known.away:
        raise Refusal("left", f"an operator has left {known.name}")
    if known.subscription != event.subscription:
        go.emit(r.Joined(known.name, event.subscription, event.ref))


def _not_joined(go: Advance, known: Dependency, event: e.NotSubscribed) -> None:
    if known.why != event.why:  # a link that asks every hour adds nothing
        go.emit(r.NotJoined(known.name, event.why))


def _dropped(go: Advance, known: Dependency, event: e.NotSubscribed) -> None:
    _pass_all(go, known, "the dependency ended the subscription")
    go.emit(r.NotJoined(known.name, event.why))


def _left(go: Advance, known: Dependency, said: Departure) -> None:
    _pass_all(go, known, said.why)
    go.emit(r.Left(known.name, said.why, said.stays))


def _stay_away(go: Advance, known: Dependency, said: Departure) -> None:
    if said.stays:
        go.emit(r.Left(known.name, said.why, said.stays))


def _pass_all(go: Advance, known: Dependency, why: str) -> None:
    for one in known.pending:
        go.emit(r.Passed(known.name, one.id, one.created_at, why))


# -- a release -------------------------------------------------------------------------------------


def _not_subscribed(go: Advance, known: Dependency, event: e.ReleaseReceived) -> None:
    raise Refusal("not-subscribed", f"this node is not subscribed to {known.name}")


def _receive(go: Advance, known: Dependency, event: e.ReleaseReceived) -> None:
    if ReleaseKey(event.id, event.created_at) in known.seen:
        return
    trials = go.state.node.trials
    dynamic: Mapping[str, Any] = {}
    try:
        dynamic = _checked(go.state, known, event, go.now)
        if not trials.newest and go.state.waiting() >= MOST_PENDING:
            raise Unfit(f"{MOST_PENDING} releases wait for their build")
        why = ""
    except Unfit as error:
        why = str(error)
    if not why and trials.newest:
        _pass_all(go, known, "a newer release came")
    go.emit(r.Received(known.name, event.id, event.created_at, event.document, event.major, why, dynamic))
    _build_next(go, known.name)


def _checked(state: State, known: Dependency, event: e.ReleaseReceived, now: int) -> dict[str, Any]:
    """The dynamic values of its build. Raises Unfit with the reason why there is none."""
    if not state.node.trials.playbook_for(known.name):
        raise Unfit("no playbook is configured for releases of this dependency")
    if known.ref and event.ref != known.ref:
        raise Unfit(f"its ref is {event.ref[:80]!r}, this node is subscribed to {known.ref!r}")
    chain = chain_of(event.document)
    if any(one.rpartition("#")[0] == state.source for one in chain):
        raise Unfit("a release of this node led to it: the nodes form a cycle")
    if len(chain) > MOST_CHAIN:
        raise Unfit(f"{len(chain)} releases led to it, at most {MOST_CHAIN} are followed")
    made = milliseconds(event.created_at)
    if made is None:
        raise Unfit(f"its created_at is {event.created_at[:40]!r}, which is no time")
    if made > now + _AHEAD:
        raise Unfit(f"its created_at is {event.created_at[:40]!r}, more than a day ahead of this clock")
    if made < known.newest:
        raise Unfit("it is older than the newest release that was received")
    return inputs_of(event.document, known.url, event.id, known.name)


def _build_next(go: Advance, name: str) -> None:
    """Begin the next build, unless one goes on or too many have begun within an hour."""
    known = go.state.dependencies[name]
    if (resume := resume_time(go.state, known, go.now)) is None or resume > go.now:
        return
    one = known.pending[0]
    playbook = go.state.node.trials.playbook_for(name)
    if not playbook:
        _pass_all(go, known, "no playbook is configured any more for releases of this dependency")
        return
    ask(go, TRIAL, playbook, one.dynamic, f"release {known.url}#{one.id}", one.id, name, one.created_at, one.major)


def _timer(go: Advance, known: Dependency, _: Any) -> None:
    _build_next(go, known.name)


# -- the end of a build ----------------------------------------------------------------------------


def _without_vote(go: Advance, known: Dependency, build: Build) -> None:
    """This node has left the dependency meanwhile: how the build ended is recorded."""
    go.emit(build.record)


def _build_over(go: Advance, known: Dependency, build: Build) -> None:
    mine = known.trial == build.job.id
    go.emit(build.record)
    if not mine:
        return
    if build.job.major:
        result = _RESULTS.get(build.status, Result.NONE)
        STABILITY[known.stability][result](go, known, build)
    _build_next(go, known.name)


_RESULTS = {"completed": Result.SUCCEEDED, "failed": Result.FAILED}


def _stable(go: Advance, known: Dependency, build: Build) -> None:
    _vote(go, known, build.job, Stability.VOTE_STABLE, STABLE)


def _unstable(go: Advance, known: Dependency, build: Build) -> None:
    _vote(go, known, build.job, Stability.VOTE_UNSTABLE, UNSTABLE)


def _vote(go: Advance, known: Dependency, job: Job, stability: Stability, value: str) -> None:
    go.emit(r.StabilityChanged(known.name, str(stability)))
    ref = str(job.dynamic.get("release_ref", ""))
    go.emit(r.Voted(known.name, job.release, job.created_at, ref, value, job.id))


def _stays(go: Advance, known: Dependency, build: Build) -> None:
    """No vote: the reason is in the job."""


# -- the tables ------------------------------------------------------------------------------------

_Rule = Callable[[Advance, Dependency, Any], None]

#: what the subscription to a dependency does with a word
DEPENDENT: Mapping[DependentStatus, Mapping[DependentWord, _Rule]] = {
    DependentStatus.INITIAL: {
        DependentWord.SUBSCRIBED: _join,
        DependentWord.NOT_SUBSCRIBED: _not_joined,
        DependentWord.NEW_RELEASE: _not_subscribed,
        DependentWord.BUILD_ENDED: _without_vote,
        DependentWord.NO_RESULT: _without_vote,
        DependentWord.LEAVE: _stay_away,
        DependentWord.TIMER: known_already,
    },
    DependentStatus.SUBSCRIBED: {
        DependentWord.SUBSCRIBED: _join,
        DependentWord.NOT_SUBSCRIBED: _dropped,
        DependentWord.NEW_RELEASE: _receive,
        DependentWord.BUILD_ENDED: _without_vote,
        DependentWord.NO_RESULT: _without_vote,
        DependentWord.LEAVE: _left,
        DependentWord.TIMER: _timer,
    },
    DependentStatus.BUILDING: {
        DependentWord.SUBSCRIBED: _join,
        DependentWord.NOT_SUBSCRIBED: _dropped,
        DependentWord.NEW_RELEASE: _receive,
        DependentWord.BUILD_ENDED: _build_over,
        DependentWord.NO_RESULT: _build_over,
        DependentWord.LEAVE: _left,
        DependentWord.TIMER: known_already,
    },
}

#: what this node's opinion of a dependency that designates it does with a result
STABILITY: Mapping[Stability, Mapping[Result, _Rule]] = {
    Stability.INITIAL: {
        Result.SUCCEEDED: _stable,
        Result.FAILED: _stays,
        Result.NONE: _stays,
    },
    Stability.VOTE_STABLE: {
        Result.SUCCEEDED: _stable,
        Result.FAILED: _unstable,
        Result.NONE: _stays,
    },
    Stability.VOTE_UNSTABLE: {
        Result.SUCCEEDED: _stable,
        Result.FAILED: _unstable,
        Result.NONE: _stays,
    },
}
