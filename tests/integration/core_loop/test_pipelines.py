"""A pipeline in a real sequencer: a release is received, built and voted on once, and own releases are made, whatever dies when."""

from __future__ import annotations

import contextlib
from queue import Queue
from typing import Any

import pytest

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.state import State, awaited_votes
from re_core.cdpm.values import DependentStatus
from re_core.cdpm.words import event_message
from re_core.deployment.records import Entry, Late, Void
from re_core.errors import TransientError
from re_core.model import DeploymentStatus
from re_core.ports import Append, ViewFilter
from re_core.sequencer.pipelines import Pipelines, read_fact
from re_core.wire import messages as m
from re_core.wire import strict_json
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.faults import Death
from tests.pipelines import BEGINNING, DEP, KEY, PLAYBOOKS, START, configured, release, subscribe, subscribed

#: what a dependency and the operators send; each asks again until it is answered
SAID: tuple[Any, ...] = (*BEGINNING, subscribed(), release(1), subscribe())

#: into how many tests all calls are divided
PARTS = 3


def _house(build: Build, shared: bool | None = None, **more: Any) -> CoreHarness:
    harness = build(kinds=(Pipelines,), shared=shared, **more)
    harness.faults.more = ("rows", "views", "acquire", "compare_and_swap")
    for id in PLAYBOOKS.values():
        # a step that a killed core has lost is repeated: what is looked at here is the pipeline
        harness.save(simple({"noop:A": {}, "idempotent": True}), id)
    return harness


def _say(harness: CoreHarness, *events: Any) -> None:
    for place, event in enumerate(events):
        asked = event._replace(reply_to=harness.probe.name, request=f"{type(event).__name__} {place}")
        harness.bus.publish([event_message(KEY, asked)._replace(expires=4_500)])


def _answers(harness: CoreHarness) -> dict[str, Any]:
    """Id of an answer -> what it says."""
    return {one.id: strict_json.loads(one.body) for one in harness.probe.hear()}


def _play(harness: CoreHarness) -> None:
    """A release comes and is built, an own one is made and is voted out; no hint is ever given."""
    for event in SAID:
        _say(harness, event)
        harness.settle()
    harness.ask("own-1", "release")
    harness.settle()
    for _ in range(3):
        harness.wait(61)
    if (vote := _vote(harness)) is not None:
        _say(harness, vote)
        harness.settle()
    for _ in range(3):
        harness.wait(61)


def _vote(harness: CoreHarness) -> e.VoteReceived | None:
    """The major dependent finds the first release unstable; None where there is none yet."""
    state = _state(harness)
    if not state.subscriptions or not state.releases:
        return None
    [subscription], [one] = state.subscriptions.values(), state.releases.values()
    return e.VoteReceived(subscription.url, subscription.id, one.n, one.created_at, "unstable", "x", "j1", START)


def _state(harness: CoreHarness) -> State:
    kind: Any = harness.core._kinds.of(KEY)
    state: State = kind.load(harness.store, KEY, harness.clock.now(), [])
    return state


def _of(harness: CoreHarness, kind: type[Any]) -> list[Any]:
    return [one for entry in harness.store.entries(KEY) for one in entry.records if isinstance(one, kind)]


def _check(harness: CoreHarness) -> None:
    asked, reaction = _of(harness, r.JobAsked)
    assert (asked.purpose, reaction.purpose) == ("trial", "demoted")
    trials = harness.store.views(ViewFilter(playbook_id="try"), 10).rows
    assert [(row.id, row.status.value) for row in trials] == [(asked.job, "completed")]
    backs = harness.store.views(ViewFilter(playbook_id="back"), 10).rows
    assert [(row.id, row.status.value) for row in backs] == [(reaction.job, "completed")]
    assert _of(harness, r.JobEnded) == [r.JobEnded(one.job, "completed") for one in (asked, reaction)]
    assert len(_of(harness, r.VoteCounted)) == 1
    assert _of(harness, r.Demoted) == [r.Demoted(1)]
    [vote] = _of(harness, r.Voted)
    assert (vote.id, vote.value, vote.deployment) == (1, "stable", asked.job)
    assert [(one.n, one.deployment) for one in _of(harness, r.Released)] == [(1, "own-1")]
    assert len(_of(harness, r.PeerSubscribed)) == 1
    state = _state(harness)
    assert state.dependencies[DEP].status is DependentStatus.SUBSCRIBED
    assert [one.subscription for one in awaited_votes(state, DEP)] == ["s1"]
    assert harness.dead() == []


@pytest.mark.parametrize("shared", [None, True])
def test_a_release_is_built_and_voted_on_though_no_hint_comes(build: Build, shared: bool | None) -> None:
    harness = _house(build, shared)
    _play(harness)
    _check(harness)
    asked = _of(harness, r.JobAsked)[0]
    state = harness.state(asked.job)
    assert (state.accepted.user, state.accepted.source) == (
        "cdpm:inception/own",
        "release https://upstream.example/cdpm.yml#1",
    )
    assert state.accepted.dynamic["release_version"] == "1.1"


def test_every_caller_is_answered(build: Build) -> None:
    harness = _house(build)
    _say(harness, *SAID, release(2, chain="none"), subscribe("https://stranger.example/cdpm.yml"))
    harness.settle()
    said = _answers(harness)
    assert len(said) == len(SAID) + 2
    assert said.pop(f"SubscribeAsked {len(SAID) + 1}/answer")["reason"] == "not-listed"
    assert all(one["accepted"] for one in said.values())
    [subscription] = said[f"SubscribeAsked {len(SAID) - 1}/answer"]["subscriptions"]
    assert list(_state(harness).subscriptions) == [subscription]


def _calls(build: Build, shared: bool | None) -> int:
    harness = _house(build, shared)
    before = harness.faults.total
    _play(harness)
    return harness.faults.total - before


@pytest.mark.parametrize("death", [True, False])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("shared", "transactional"),
    [(None, True), (True, True), (True, False)],
    ids=["one process", "many processes", "rows beside the journal"],
)
@pytest.mark.parametrize("part", range(PARTS))
def test_whichever_call_fails_or_is_the_last_there_is_one_build_one_vote_and_one_release(
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    part: int,
    shared: bool | None,
    transactional: bool,
    after: bool,
    death: bool,
) -> None:
    """Every crash between two stages is among them. Each part has every third call."""
    monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", transactional)
    calls = _calls(build, shared)
    assert calls > 40
    for number in range(1 + part, calls + 1, PARTS):
        harness = _house(build, shared)
        harness.faults.fail(number, after, death)
        with contextlib.suppress(Death, TransientError):
            _play(harness)
        harness.faults.heal()
        if death:
            harness.restart()
        _play(harness)
        _check(harness)


def test_what_follows_a_verdict_is_given_the_release_and_the_verdict(build: Build) -> None:
    harness = _house(build)
    _play(harness)
    [row] = harness.store.views(ViewFilter(playbook_id="back"), 10).rows
    accepted = harness.state(row.id).accepted
    assert accepted.source == "release https://own.example/cdpm.yml#1"
    assert accepted.dynamic["verdict"] == "demoted"


def test_a_build_that_has_to_wait_for_the_lock_is_asked_for_again(build: Build) -> None:
    harness = _house(build, script={"Hang": {}})
    harness.save({**simple("noop:Hang"), "exclusive": True}, "try", 2)
    harness.ask("first", "try")
    harness.settle()
    _say(harness, *SAID)
    harness.settle()
    [postponed] = _of(harness, r.JobPostponed)
    assert postponed.until == harness.clock.now() + 30_000
    [attempt] = harness.worker.running
    harness.worker.end(attempt, {"status": "completed"})
    harness.wait(31)
    [before, asked] = _of(harness, r.JobAsked)
    assert (asked.turn, asked.instead) == (2, before.job)
    [attempt] = harness.worker.running
    harness.worker.end(attempt, {"status": "completed"})
    harness.settle()
    harness.wait(61)
    assert [one.deployment for one in _of(harness, r.Voted)] == [asked.job]


def test_an_answer_to_a_job_is_the_pipeline_s_and_no_dead_letter(build: Build) -> None:
    harness = _house(build)
    _say(harness, *SAID)
    harness.settle()
    [asked] = _of(harness, r.JobAsked)
    assert _of(harness, r.JobAccepted) == [r.JobAccepted(asked.job)]
    assert harness.dead() == []


def test_a_message_that_a_pipeline_cannot_read_is_a_dead_letter(build: Build) -> None:
    harness = _house(build)
    harness.say(KEY, "release", {"dependency": DEP})
    harness.say(KEY, "vote", {"url": 3}, id="x2")
    harness.say(KEY, "nonsense", {}, id="x3")
    harness.settle()
    assert len(harness.dead()) == 3
    assert harness.store.entries(KEY) == []


def test_a_removed_pipeline_lets_its_build_run_and_does_not_vote(build: Build) -> None:
    harness = _house(build)
    _say(harness, *SAID, e.Remove())
    harness.settle()
    harness.wait(61)
    _say(harness, release(2))
    harness.settle()
    assert _answers(harness)["ReleaseReceived 0/answer"]["reason"] == "removed"
    assert _of(harness, r.Voted) == []
    assert harness.store.due(10**15, 10) == []
    assert harness.dead() == []


def test_listeners_hear_what_happens_to_a_pipeline(build: Build) -> None:
    harness = _house(build)
    heard: Queue[Any] = Queue()
    stop = harness.bus.listen(heard.put)
    _say(harness, *SAID)
    harness.settle()
    wanted = {f"event.pipeline.{what}" for what in ("subscribed", "joined", "received")}
    while wanted:
        message = heard.get(timeout=10)
        if message is not None and message.correlation_id == KEY:
            wanted.discard(message.key)
    stop()


def test_a_job_is_asked_for_under_its_own_id_and_does_not_expire(build: Build) -> None:
    harness = _house(build)
    for event in SAID[:-2]:
        _say(harness, event)
        harness.settle()
    _say(harness, release(1))
    harness.core.turn(0)
    [asked] = _of(harness, r.JobAsked)
    kind: Any = harness.core._kinds.of(KEY)
    [message] = kind.encode(_state(harness), [e.AskDeployment(asked.job)] * 2, None)
    assert (message.key, message.id, message.correlation_id) == ("job.create", asked.job, asked.job)
    assert (message.reply_to, message.headers[m.ASKER]) == (m.reply_queue(KEY), KEY)
    assert message.expires is None, "what is late is taken back, and its id never begins anything again"
    [row] = harness.store.rows([KEY])
    assert row.due is not None
    assert row.due <= harness.clock.now() + 10_000


# -- how a deployment stands ---------------------------------------------------------------------------


def _ended(harness: CoreHarness, status: str) -> str:
    harness.save(simple("noop:Hang"), "try", 2)
    harness.ask("d1", "try", dynamic={"version": "2", "many": [1]})
    harness.settle()
    if status != "running":
        [attempt] = harness.worker.running
        harness.worker.end(attempt, {"status": status})
        harness.settle()
    return "d1"


@pytest.mark.parametrize("status", ["running", "completed", "failed"])
def test_a_fact_says_what_the_journal_says(build: Build, status: str) -> None:
    harness = _house(build)
    fact = read_fact(harness.store, _ended(harness, status))
    assert (fact.deployment, fact.status, fact.playbook_id) == ("d1", status, "try")
    assert (fact.accepted_at, fact.values) == (harness.store.entries("d1")[0].at, {"version": "2"})
    assert fact.entry == (1 if status == "running" else len(harness.store.entries("d1")))


@pytest.mark.parametrize("status", ["running", "failed"])
def test_a_row_that_is_ahead_of_its_journal_is_not_believed(build: Build, status: str) -> None:
    """As a core leaves it that died between the two."""
    harness = _house(build)
    _ended(harness, status)
    [row] = harness.store.rows(["d1"])
    ahead = row._replace(status=DeploymentStatus.CANCELLED, ended=harness.clock.now(), entry=row.entry + 1, due=None)
    harness.store.write_views([ahead])
    assert read_fact(harness.store, "d1").status == status


def test_replies_that_came_after_the_end_do_not_hide_it(build: Build) -> None:
    harness = _house(build)
    _ended(harness, "failed")
    before = read_fact(harness.store, "d1")
    late = harness.store.entries("d1")[-1]
    for number in range(late.number + 1, late.number + 9):
        record = Late(0, 1, "completed")
        [row] = harness.store.rows(["d1"])
        entry = late._replace(number=number, records=(record,))
        harness.store.append([Append(entry, row._replace(entry=number))])
    assert read_fact(harness.store, "d1") == before


def test_a_retry_goes_on_under_a_number_of_its_own(build: Build) -> None:
    harness = _house(build)
    _ended(harness, "failed")
    before = read_fact(harness.store, "d1")
    harness.retry("d1")
    harness.settle()
    after = read_fact(harness.store, "d1")
    assert (after.status, after.entry > before.entry) == ("running", True)


def test_what_never_began_and_what_is_gone_are_told_apart(build: Build) -> None:
    harness = _house(build)
    assert read_fact(harness.store, "d9").status == "missing"
    harness.store.append([Append(Entry("d9", 1, 1, "w", (Void("nothing"),)))])
    assert read_fact(harness.store, "d9").status == "void"


def test_without_its_row_a_deployment_is_read_from_its_first_entry(build: Build) -> None:
    harness = _house(build)
    _ended(harness, "completed")
    harness.store.drop_views(["d1"])
    assert read_fact(harness.store, "d1").status == "completed"


def test_a_release_that_was_written_down_is_built_though_its_message_never_comes_again(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core dies right after the append, on a store that writes rows beside the journal, and the message has expired."""
    monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", False)
    harness = _house(build, True)
    quiet = configured(1, release={})  # with a release playbook it would be due every minute anyway
    for event in (SAID[0], quiet, *SAID[2:-2]):
        _say(harness, event)
        harness.settle()
    _say(harness, release(1))

    def die(name: str, call: int) -> None:
        if name == "append":
            raise Death

    harness.faults.after = die
    with pytest.raises(Death):
        harness.core.turn(0)
    harness.faults.heal()
    harness.boot()
    assert len(_of(harness, r.JobAsked)) == 1
    for _ in range(5):
        harness.wait(61)
    assert [one.value for one in _of(harness, r.Voted)] == ["stable"]
