"""A pipeline under any order, repetition and loss of events: what is in its journal is what its state says, and all happens once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from re_core.cdpm import events as e
from re_core.cdpm import machine
from re_core.cdpm import records as r
from re_core.cdpm.checkpoint import from_document, to_document
from re_core.cdpm.state import awaited_votes
from re_core.cdpm.values import STABLE, UNSTABLE, DependentStatus, JobStatus, ReleaseStatus
from re_core.deployment.events import TimerFired, WorkerLost
from tests.pipelines import (
    BEGINNING,
    DEP,
    FILE,
    KEY,
    MAJOR,
    MINOR,
    OWN,
    Run,
    configured,
    release,
    shown,
    subscribe,
    subscribed,
)

_few = st.integers(1, 4)
_peer = st.sampled_from([MAJOR, MINOR])

#: what a move does: its name, and numbers that choose among what is there
Move = tuple[Any, ...]
_moves: st.SearchStrategy[Move] = st.one_of(
    st.tuples(st.just("release"), st.integers(1, 6), st.booleans()),
    st.tuples(st.just("cycle"), st.integers(1, 6)),
    st.tuples(st.just("subscribed"), st.sampled_from(["s1", "s2"])),
    st.tuples(
        st.just("say"),
        st.sampled_from(["not_subscribed", "leave", "join", "unlist", "list", "all", "newest", "timer", "gone"]),
    ),
    st.tuples(st.just("created"), _few, st.sampled_from(["yes", "no", "held", "expired"])),
    st.tuples(
        st.just("fact"), _few, st.sampled_from(["running", "completed", "failed", "cancelled", "void", "missing"])
    ),
    st.tuples(st.just("own"), _few, st.sampled_from(["running", "built", "completed", "failed"]), st.integers(2, 5)),
    st.tuples(st.just("subscribe"), _peer, _few),
    st.tuples(st.just("unsubscribe"), _peer, _few),
    st.tuples(st.just("vote"), _peer, st.sampled_from([STABLE, UNSTABLE]), _few, st.integers(1, 9)),
    st.tuples(st.just("vote_answered"), st.integers(0, 3), st.sampled_from([200, 409])),
    st.tuples(st.just("wait"), st.sampled_from([1, 40, 4_000, 90_000])),
)
_good: st.SearchStrategy[Move] = st.one_of(
    st.tuples(st.just("release"), st.integers(1, 9), st.just(True)),
    st.tuples(st.just("fact"), st.just(1), st.sampled_from(["running", "completed", "completed", "failed"])),
    st.tuples(st.just("own"), _few, st.just("completed"), st.just(3)),
    st.tuples(st.just("vote"), st.just(MAJOR), st.sampled_from([STABLE, STABLE, UNSTABLE]), _few, st.integers(1, 30)),
    st.tuples(st.just("subscribed"), st.just("s1")),
)


class _Play:
    """Events of one drawn play. Whatever is sent may be sent again later."""

    def __init__(self) -> None:
        self.run = Run(beginning=())
        self.sent: list[Any] = []

    def go(self, moves: Sequence[Move], revive_after: int = -1) -> None:
        """`revive_after` so many moves the state is replaced by what a checkpoint says of it."""
        self.send(*BEGINNING)
        self.send(subscribed(), subscribe())
        for place, move in enumerate(moves):
            if place == revive_after:
                self._revive()
            if move[0] == "wait":
                self.run.wait(move[1])
            elif (event := self._event(*move)) is not None:
                self.send(event)

    def _revive(self) -> None:
        before = self.run.state
        state = from_document(KEY, json.loads(json.dumps(to_document(before))))
        assert state is not None
        state.entry, state.entry_at = before.entry, before.entry_at
        self.run.state = state

    def send(self, *events: Any) -> None:
        self.sent.extend(events)
        self.run.send(*events)

    def _event(self, name: str, *of: Any) -> Any:
        state = self.run.state
        if name == "say":
            return _SAID[of[0]]
        if name == "release":
            return release(of[0], of[1])
        if name == "cycle":
            return release(of[0], chain=[f"{OWN}#1"])
        if name == "subscribed":
            return subscribed(of[0])
        if name == "subscribe":
            return subscribe(of[0], f"j{of[1]}")
        if name in ("created", "fact"):
            jobs = list(state.jobs)
            return _about(name, jobs[-of[0] % len(jobs)], of[1]) if jobs else None
        if name == "own":
            status = "running" if of[1] == "built" else of[1]
            return e.Fact(f"d{of[0]}", of[2], status, "release", self.run.now, built=of[1] == "built")
        if name == "vote_answered":
            votes = list(awaited_votes(state, DEP))[of[0] : of[0] + 1]
            return e.VoteAnswered(DEP, votes[0].id, votes[0].created_at, of[1]) if votes else None
        mine = [one.id for one in state.subscriptions.values() if one.url == of[0]]
        if name == "unsubscribe":
            return e.UnsubscribeAsked(of[0], mine[0], f"u{of[1]}", 1) if mine else None
        one = state.releases.get(state.last + 1 - of[2])
        if one is None or not mine:
            return None
        return e.VoteReceived(of[0], mine[0], one.n, one.created_at, of[1], "x", f"v{of[3]}", 1)


def _about(name: str, job: str, what: str) -> Any:
    if name == "fact":
        return e.Fact(job, 2, what, "try")
    reason = "expired" if what == "expired" else "refused"
    return e.Created(job, what == "yes", "" if what == "yes" else reason, holder="d0" if what == "held" else "")


_SAID: dict[str, Any] = {
    "not_subscribed": e.NotSubscribed(DEP, "no"),
    "leave": e.Leave(DEP),
    "join": e.Join(DEP),
    "unlist": FILE._replace(digest="d2", dependencies={}),
    "list": FILE,
    "all": configured(2, trials={"playbook": "inception/try", "builds": "all"}),
    "newest": configured(3, promote={"stable": "all of majors", "within": "1h"}),
    "timer": TimerFired(),
    "gone": WorkerLost(2**53),
}

#: most moves bring something about: a build is answered and ends, a candidate becomes a release, dependents vote
_plays = st.lists(st.one_of(_moves, _good, _good), min_size=10, max_size=60)


def _play(moves: Sequence[Move]) -> _Play:
    play = _Play()
    play.go(moves)
    return play


@settings(deadline=None)
@given(_plays)
def test_the_state_in_memory_is_the_fold_of_what_a_store_gives_back(moves: Sequence[Move]) -> None:
    run = _play(moves).run
    assert shown(run.folded()) == shown(run.state)


@settings(deadline=None)
@given(_plays, st.integers(0, 1_000))
def test_a_play_goes_on_from_a_checkpoint_as_it_goes_on_without(moves: Sequence[Move], cut: int) -> None:
    whole, revived = _play(moves).run, _Play()
    revived.go(moves, cut % (len(moves) + 1))
    assert [one.records for one in revived.run.entries] == [one.records for one in whole.entries]
    assert shown(revived.run.state) == shown(whole.state)


@settings(deadline=None)
@given(_plays)
def test_there_is_one_vote_per_dependency_and_release_and_it_is_how_its_build_ended(moves: Sequence[Move]) -> None:
    run = _play(moves).run
    received = Counter((one.id, one.created_at) for one in run.records(r.Received))
    asked = {one.job: one for one in run.records(r.JobAsked)}
    ended = {one.job: one.status for one in run.records(r.JobEnded)}
    votes = Counter((one.id, one.created_at) for one in run.records(r.Voted))
    assert all(count <= received[key] for key, count in votes.items())
    for vote in run.records(r.Voted):
        job = asked[vote.deployment]
        assert (job.id, job.created_at, job.major) == (vote.id, vote.created_at, True)
        assert ended[vote.deployment] == {STABLE: "completed", UNSTABLE: "failed"}[vote.value]
    if not any(move[1:2] in (("unlist",),) for move in moves):
        assert max(received.values(), default=1) == 1
        assert max(votes.values(), default=1) == 1


@settings(deadline=None)
@given(_plays)
def test_a_job_ends_once_and_a_release_is_built_once(moves: Sequence[Move]) -> None:
    run = _play(moves).run
    closed = Counter(one.job for one in (*run.records(r.JobEnded), *run.records(r.JobRefused)))
    assert max(closed.values(), default=1) == 1
    asked = run.records(r.JobAsked)
    assert len({one.job for one in asked}) == len(asked)
    replaced = {one.instead for one in asked if one.instead}
    for job in asked:
        assert not (job.job in replaced and job.job in closed)
    skipped = [one for one in run.records(r.Received) if one.skipped]
    first = {(one.id, one.created_at) for one in asked if one.purpose == "trial" and not one.instead}
    if not any(move[1:2] in (("unlist",),) for move in moves):
        assert not first & {(one.id, one.created_at) for one in skipped}


@settings(deadline=None)
@given(_plays)
def test_own_releases_are_numbered_without_gaps_and_each_deployment_makes_one(moves: Sequence[Move]) -> None:
    run = _play(moves).run
    released = run.records(r.Released)
    assert [one.n for one in released] == list(range(1, len(released) + 1))
    assert len({one.deployment for one in released}) == len(released)


@settings(deadline=None)
@given(_plays)
def test_a_release_is_promoted_and_demoted_at_most_once_and_only_by_votes_that_count(moves: Sequence[Move]) -> None:
    run = _play(moves).run
    for kind, value in ((r.Promoted, STABLE), (r.Demoted, UNSTABLE)):
        decided = [one.release for one in run.records(kind)]
        assert len(set(decided)) == len(decided)
        for n in decided:
            majors = next(one.majors for one in run.records(r.Released) if one.n == n)
            counted = [
                one for one in run.records(r.VoteCounted) if one.release == n and one.counts and one.value == value
            ]
            assert counted
            assert all(one.subscription in majors for one in counted)
    reactions = Counter(
        (one.purpose, one.id) for one in run.records(r.JobAsked) if one.purpose != "trial" and not one.instead
    )
    assert max(reactions.values(), default=1) == 1
    per_voter = Counter((one.release, one.subscription, one.value) for one in run.records(r.VoteCounted))
    assert max(per_voter.values(), default=1) == 1


@settings(deadline=None)
@given(_plays)
def test_whatever_is_sent_again_at_the_end_changes_nothing_that_was_decided(moves: Sequence[Move]) -> None:
    """A broker repeats messages; those of operators that take one another back are left out."""
    play = _play(moves)
    before: list[Any] = [one for entry in play.run.entries for one in entry.records]
    repeated = [
        one
        for one in play.sent
        if isinstance(one, e.Fact | e.Created | e.VoteReceived | e.SubscribeAsked | e.UnsubscribeAsked)
    ]
    for event in repeated:
        if isinstance(event, e.Fact) and event.deployment.startswith("d"):
            continue  # a later one of the same deployment may have said less than this one
        play.run.send(event)
    after: list[Any] = [one for entry in play.run.entries for one in entry.records]
    added = after[len(before) :]
    assert not [one for one in added if isinstance(one, r.Voted | r.Promoted | r.Released) and one in before]


@settings(deadline=None)
@given(_plays)
def test_what_a_pipeline_awaits_is_due_some_time(moves: Sequence[Move]) -> None:
    run = _play(moves).run
    state, due = run.state, machine.due(run.state, run.now)
    waits = [
        job for job in state.jobs.values() if job.status in (JobStatus.ASKED, JobStatus.ACCEPTED, JobStatus.POSTPONED)
    ]
    known = state.dependencies.get(DEP)
    stuck = known is not None and known.status is DependentStatus.SUBSCRIBED and bool(known.pending)
    open_releases = [
        one
        for one in state.releases.values()
        if one.status is ReleaseStatus.DEPLOYED and one.deadline and not one.undecided
    ]
    if waits or state.candidates or stuck or open_releases:
        assert due is not None
    if known is not None and known.status is DependentStatus.BUILDING:
        assert known.trial in state.jobs


@settings(deadline=None)
@given(_plays)
def test_all_that_was_begun_comes_to_its_end_once_the_engine_answers(moves: Sequence[Move]) -> None:
    run = _play(moves).run
    for _ in range(40):
        due = machine.due(run.state, run.now)
        open_jobs = [job for job in run.state.jobs.values() if job.status in (JobStatus.ASKED, JobStatus.ACCEPTED)]
        for job in open_jobs:
            run.send(e.Fact(job.id, 2, "completed", "try"))
        if due is not None:
            run.wait(max(1, (due - run.now) / 1_000))
    known = run.state.dependencies.get(DEP)
    assert known is None or (known.status is not DependentStatus.BUILDING and not known.pending)
    assert not [
        job
        for job in run.state.jobs.values()
        if job.status in (JobStatus.ASKED, JobStatus.ACCEPTED, JobStatus.POSTPONED)
    ]
