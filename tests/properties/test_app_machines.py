"""An app under any order, repetition and loss of events: what is in its journal is what its state says, and all happens once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from re_core.apps import events as e
from re_core.apps import machine
from re_core.apps import records as r
from re_core.apps.broadcasts import terminal
from re_core.apps.checkpoint import from_document, to_document
from re_core.apps.state import wanted
from re_core.apps.values import OVER, AppStatus, Status
from re_core.deployment.events import TimerFired, WorkerLost
from re_core.jobs.table import CLOSED, JobStatus
from re_core.jobs.words import Created
from tests.apps import EU, KEY, REGISTER, US, Shop, build, configure, payload, shown

_few = st.integers(1, 4)

#: what a move does: its name, and what chooses among what is there
Move = tuple[Any, ...]
_moves: st.SearchStrategy[Move] = st.one_of(
    st.tuples(st.just("push"), st.integers(1, 9)),
    st.tuples(st.just("set"), st.booleans()),
    st.tuples(st.just("rollback"), st.integers(0, 6), st.integers(1, 9)),
    st.tuples(st.just("say"), st.sampled_from(["scale", "none", "restart", "run", "timer", "gone", "left", "rebase"])),
    st.tuples(st.just("zones"), st.sampled_from([(EU,), (US, EU), (US, "asia")])),
    st.tuples(st.just("step"), st.sampled_from(["prepared", "built", "other", "ready", "commit", "switched"]), _few),
    st.tuples(st.just("ran"), _few, st.integers(0, 2)),
    st.tuples(st.just("created"), _few, st.sampled_from(["yes", "no", "held", "expired"])),
    st.tuples(
        st.just("fact"), _few, st.sampled_from(["running", "completed", "failed", "cancelled", "void", "missing"])
    ),
    st.tuples(st.just("wait"), st.sampled_from([1, 40, 4_000, 90_000])),
    st.tuples(st.just("again"), st.integers(1, 8)),
)
#: a release goes on, and ends well
_good: st.SearchStrategy[Move] = st.one_of(
    st.just(("advance",)),
    st.tuples(st.just("push"), st.integers(1, 30)),
    st.tuples(st.just("fact"), st.just(1), st.just("completed")),
)
_plays = st.lists(st.one_of(_moves, _good, st.just(("advance",))), min_size=10, max_size=60)
_ends = st.sampled_from([(), (("destroy",), ("say", "left"), ("advance",), ("say", "left"), ("fact", 1, "failed"))])


class _Play:
    """Events of one drawn play. Whatever is sent may be sent again later."""

    def __init__(self) -> None:
        self.shop = Shop(beginning=())
        self.sent: list[Any] = []
        #: of these, what led to records
        self.applied: list[Any] = []
        self._number = 0

    def go(self, moves: Sequence[Move], revive_after: int = -1) -> None:
        """`revive_after` so many moves the state is replaced by what a checkpoint says of it."""
        self.send(REGISTER)
        for place, move in enumerate(moves):
            if place == revive_after:
                self._revive()
            if move[0] == "wait":
                self.shop.wait(move[1])
                continue
            for event in self._events(*move):
                self.send(event)

    def _revive(self) -> None:
        before = self.shop.state
        state = from_document(KEY, json.loads(json.dumps(to_document(before))))
        assert state is not None
        state.entry, state.entry_at = before.entry, before.entry_at
        self.shop.state = state

    def send(self, event: Any) -> None:
        self.sent.append(event)
        if self.shop.send(event).records:
            self.applied.append(event)

    def _events(self, name: str, *of: Any) -> Iterator[Any]:
        state = self.shop.state
        self._number += 1
        if name == "say":
            yield from _said(of[0], f"r{self._number}", state.zones)
        elif name == "push":
            yield build(of[0])
        elif name == "set":
            yield configure(state.config.id if of[0] else "c1", f"c{self._number}")
        elif name == "rollback":
            yield e.Rollback(of[0], broadcast_id=f"back-{of[1]}")
        elif name == "zones":
            yield e.Zones(of[0])
        elif name == "destroy":
            yield e.Destroy()
        elif name == "again":
            yield from self.sent[-of[0] : len(self.sent)][:1]
        elif name == "ran" and of[0] in state.runs:
            yield e.Ran(of[0], state.runs[of[0]].job, of[1])
        elif name in ("created", "fact") and state.jobs:
            jobs = list(state.jobs)
            yield _about(name, jobs[-of[0] % len(jobs)], of[1])
        elif name in ("step", "advance") and state.versions:
            yield from self._steps(*of) if name == "step" else self._onward()

    def _steps(self, what: str, back: int) -> Iterator[Any]:
        """What any version's job may say, out of order too."""
        numbers = list(self.shop.state.versions)
        version = self.shop.state.versions[numbers[-back % len(numbers)]]
        yield _STEPS[what](version.number, version.job, version.zones)

    def _onward(self) -> Iterator[Any]:
        """The next thing that the job of the version does whose turn it is."""
        active = self.shop.state.versions.get(self.shop.state.active)
        if active is None:
            return
        what = {Status.PENDING: "prepared", Status.BUILDING: "built", Status.DEPLOYING: "commit"}.get(active.status)
        if active.status is Status.DEPLOYING:
            for zone in active.zones:
                yield e.Ready(active.number, active.job, zone)
        if what is None:
            yield e.Fact(active.job, "completed")
        else:
            yield _STEPS[what](active.number, active.job, active.zones)


_REPEATED = (
    e.Register,
    e.Build,
    e.Configure,
    e.Rollback,
    e.RunCommand,
    e.Prepared,
    e.Built,
    e.Ready,
    e.Commit,
    e.Switched,
    e.Ran,
    Created,
)

_STEPS: dict[str, Any] = {
    "prepared": lambda number, job, zones: e.Prepared(number, job),
    "built": lambda number, job, zones: e.Built(number, job, **payload(number)),
    "other": lambda number, job, zones: e.Built(number, job, **payload(99)),
    "ready": lambda number, job, zones: e.Ready(number, job, zones[0] if zones else EU),
    "commit": lambda number, job, zones: e.Commit(number, job),
    "switched": lambda number, job, zones: e.Switched(number, job, zones[0] if zones else EU),
}


def _said(what: str, request: str, zones: Sequence[str]) -> list[Any]:
    said: dict[str, list[Any]] = {
        "scale": [e.Scale({"web": 2})],
        "none": [e.Scale({"web": 0, "worker": 1})],
        "restart": [e.Restart(request=request)],
        "run": [e.RunCommand("ls", request=request)],
        "timer": [TimerFired()],
        "gone": [WorkerLost(2**53)],
        "left": [e.Left(zone) for zone in (*zones, EU, US, "asia")],
        "rebase": [e.Rebase(100)],
    }
    return said[what]


def _about(name: str, job: str, what: str) -> Any:
    if name == "fact":
        return e.Fact(job, what, "so it ended")
    reason = "expired" if what == "expired" else "refused"
    return Created(job, what == "yes", "" if what == "yes" else reason, holder="d0" if what == "held" else "")


def _played(moves: Sequence[Move], end: Sequence[Move] = ()) -> _Play:
    play = _Play()
    play.go([*moves, *end])
    return play


@settings(deadline=None)
@given(_plays, _ends)
def test_the_state_in_memory_is_the_fold_of_what_a_store_gives_back(moves: Sequence[Move], end: Any) -> None:
    shop = _played(moves, end).shop
    assert shown(shop.folded()) == shown(shop.state)


@settings(deadline=None)
@given(_plays, st.integers(0, 1_000))
def test_a_play_goes_on_from_a_checkpoint_as_it_goes_on_without(moves: Sequence[Move], cut: int) -> None:
    whole, revived = _played(moves).shop, _Play()
    revived.go(moves, cut % (len(moves) + 1))
    assert [one.records for one in revived.shop.entries] == [one.records for one in whole.entries]
    assert shown(revived.shop.state) == shown(whole.state)


@settings(deadline=None)
@given(_plays, _ends)
def test_versions_are_numbered_without_gaps_and_each_ends_once_in_its_order(moves: Sequence[Move], end: Any) -> None:
    shop = _played(moves, end).shop
    queued = [one.version for one in shop.records(r.Queued)]
    assert queued == list(range(1, len(queued) + 1))
    over = Counter(one.version for one in (*shop.records(r.Committed), *shop.records(r.Failed)))
    assert max(over.values(), default=1) == 1
    turns = [one.version for one in shop.records(r.JobAsked) if one.purpose == "release" and not one.instead]
    assert turns == sorted(set(turns)), "one turn for each, in the order of the numbers"
    ids = [one.broadcast_id for one in shop.records(r.Queued)]
    assert len(set(ids)) == len(ids)
    for number in queued:
        known = shop.state.versions[number]
        assert (terminal(shop.state, number) is not None) is (known.status in OVER and shop.state.active != number)


@settings(deadline=None)
@given(_plays)
def test_a_version_is_decided_only_when_each_zone_of_its_job_was_ready(moves: Sequence[Move]) -> None:
    shop = _played(moves).shop
    ready: set[tuple[int, str]] = set()
    zones: dict[int, tuple[str, ...]] = {}
    jobs: dict[int, str] = {}
    for record in (one for entry in shop.entries for one in entry.records):
        if isinstance(record, r.JobAsked) and record.purpose == "release":
            zones[record.version], jobs[record.version] = tuple(record.zones), record.job
            ready -= {(record.version, zone) for zone in record.zones}
        elif isinstance(record, r.Ready):
            ready.add((record.version, record.zone))
        elif isinstance(record, r.Committed):
            assert {(record.version, zone) for zone in zones[record.version]} <= ready
            assert set(record.formation) == set(payload(1)["processes"])


@settings(deadline=None)
@given(_plays, _ends)
def test_what_a_zone_has_to_run_was_decided_and_its_config_and_payload_never_change(
    moves: Sequence[Move], end: Any
) -> None:
    shop = _played(moves, end).shop
    state = shop.state
    decided = [one.version for one in shop.records(r.Committed)]
    found = wanted(state, EU)
    if found is not None:
        assert (found.version, not state.destroyed, EU in state.zones) == (decided[-1], True, True)
    bound = {one.version: one.config for one in shop.records(r.Prepared)}
    for number in decided:
        assert state.versions[number].config == bound[number]
        payload_of = state.versions[number].payload
        assert payload_of is not None
        assert state.versions[number].status is Status.SUCCEEDED


@settings(deadline=None)
@given(_plays, _ends)
def test_one_release_job_goes_on_at_a_time_and_a_job_ends_once(moves: Sequence[Move], end: Any) -> None:
    shop = _played(moves, end).shop
    closed = Counter(one.job for one in (*shop.records(r.JobEnded), *shop.records(r.JobRefused)))
    assert max(closed.values(), default=1) == 1
    asked = shop.records(r.JobAsked)
    assert len({one.job for one in asked}) == len(asked)
    going: set[str] = set()
    for record in (one for entry in shop.entries for one in entry.records):
        if isinstance(record, r.JobAsked) and record.purpose == "release":
            going.discard(record.instead)
            going.add(record.job)
            assert len(going) == 1
        elif isinstance(record, r.JobEnded | r.JobRefused):
            going.discard(record.job)
    ended = Counter(one.n for one in shop.records(r.RunEnded))
    assert max(ended.values(), default=1) == 1


@settings(deadline=None)
@given(_plays)
def test_whatever_was_carried_out_and_is_sent_again_at_the_end_changes_nothing(moves: Sequence[Move]) -> None:
    """A broker repeats messages; those that set what may have been set otherwise since, such as counts, are left out."""
    play = _played(moves)
    before = len(play.shop.entries)
    for event in play.applied:
        if isinstance(event, _REPEATED):
            play.shop.send(event)
    assert len(play.shop.entries) == before


@settings(deadline=None)
@given(_plays, _ends)
def test_what_an_app_awaits_is_due_some_time(moves: Sequence[Move], end: Any) -> None:
    shop = _played(moves, end).shop
    state, due = shop.state, machine.due(shop.state, shop.now)
    waits = [job for job in state.jobs.values() if job.status not in CLOSED]
    if waits:
        assert due is not None
    if state.active:
        assert state.versions[state.active].job in {job.id for job in waits}
    elif not state.destroyed:
        assert not state.pending
    if state.status is AppStatus.GONE:
        assert not waits
        assert not state.touched


@settings(deadline=None)
@given(_plays)
def test_all_that_was_begun_comes_to_its_end_once_the_engine_answers(moves: Sequence[Move]) -> None:
    shop = _played(moves).shop
    for _ in range(60):
        due = machine.due(shop.state, shop.now)
        for job in [one for one in shop.state.jobs.values() if one.status in (JobStatus.ASKED, JobStatus.ACCEPTED)]:
            shop.send(e.Fact(job.id, "completed"))
        if due is not None:
            shop.wait(max(1, (due - shop.now) / 1_000))
    assert not shop.state.active
    assert not shop.state.pending
    assert all(one.status in OVER for one in shop.state.versions.values())
    assert all(one.ended for one in shop.state.runs.values())
