"""A node as a dependent: what it builds of what it receives, and when it votes."""

from __future__ import annotations

import pytest

from re_core.cdpm import events as e
from re_core.cdpm import machine
from re_core.cdpm import records as r
from re_core.cdpm.asking import GIVE_UP_AFTER, LOOKS
from re_core.cdpm.state import MOST_DEPENDENCIES, MOST_PENDING, MOST_SEEN, awaited_votes
from re_core.cdpm.values import DependentStatus, JobStatus, Stability
from re_core.deployment.machine import Verdict
from tests.pipelines import BEGINNING, DEP, FILE, OWN, UPSTREAM, Run, configured, release, subscribed


def _skipped(run: Run) -> str:
    why: str = run.records(r.Received)[-1].skipped
    return why


def test_a_release_is_built_by_the_configured_playbook_with_its_fields_as_values() -> None:
    commit = {"commit": {"id": "ABCDEF12", "title": "$(reboot)"}}
    run = Run(
        subscribed(),
        release(1, artifacts=["https://x.example/a.gem"], deployable=commit, chain=["https://a.example#7"]),
    )
    assert run.decision.effects[0] == e.AskDeployment(run.job.id)
    assert (run.job.playbook_id, run.job.user, run.job.source) == ("try", "cdpm:inception/own", f"release {UPSTREAM}#1")
    assert run.job.dynamic == {
        "release_id": "1",
        "release_version": "1.1",
        "release_ref": "v1",
        "release_url": UPSTREAM,
        "release_project": "",
        "release_repo_url": "",
        "release_commit": "ABCDEF12",
        "release_artifacts": "https://x.example/a.gem",
        "release_dependency": DEP,
        "cdpm_chain": f"https://a.example#7 {UPSTREAM}#1",
    }


def test_a_dependency_may_have_a_playbook_of_its_own() -> None:
    run = Run(
        configured(2, trials={"playbook": "inception/try", "for": {DEP: "inception/next"}}), subscribed(), release(1)
    )
    assert run.job.playbook_id == "next"


def test_the_same_release_again_changes_nothing_and_asks_again_for_its_build() -> None:
    run = Run(subscribed(), release(1))
    again = run.send(release(1))
    assert (again.verdict, again.records) == (Verdict.REPEATED, ())
    assert again.effects == (e.AskDeployment(run.job.id),)


def test_a_release_of_the_same_number_that_was_made_later_is_another_one() -> None:
    run = Run(subscribed(), release(1))
    run.fact("completed")
    run.send(release(1)._replace(created_at="2023-11-15T00:00:00Z"))
    assert len(run.records(r.JobAsked)) == 2


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (release(5, chain=[f"{OWN}#3"]), "the nodes form a cycle"),
        (release(5, chain=["https://a.example#1"] * 17), "17 releases led to it"),
        (release(5, chain="no"), "chain"),
        (release(5, chain=["a b"]), "chain"),
        (release(5, new_version="1; reboot"), "its version is"),
        (release(5, ref="-x"), "its ref is"),
        (release(5, ref="a..b"), "its ref is"),
        (release(5, artifacts=["https://u:p@x.example/"]), "address of an artifact"),
        (release(5, artifacts=["file:///etc/passwd"]), "address of an artifact"),
        (release(5, artifacts="x"), "artifacts"),
        (release(5, artifacts=["https://x.example/" + "a" * 470] * 9), "characters"),
        (release(5, project_details={"name": "a\nb"}), "name of the project"),
        (release(5, project_details={"repo_url": "https://x.example/$(id)`"}), "address of the repository"),
        (release(5, deployable={"commit": {"id": "xyz"}}), "its commit is"),
        (release(5)._replace(id="a b"), "its id is"),
        (release(5)._replace(created_at="yesterday"), "no time"),
        (release(1), "older"),
    ],
)
def test_what_is_not_built_is_received_with_its_reason(event: e.ReleaseReceived, why: str) -> None:
    run = Run(subscribed(), release(2))
    run.fact("completed")
    run.send(event)
    assert why in _skipped(run)
    assert run.dep.status is DependentStatus.SUBSCRIBED
    assert len(run.records(r.JobAsked)) == 1


def test_a_release_of_another_ref_than_was_subscribed_to_is_not_built() -> None:
    run = Run(e.Subscribed(DEP, "s1", "v1"), release(1, ref="v2"))
    assert "its ref is 'v2'" in _skipped(run)


def test_without_a_playbook_nothing_is_built() -> None:
    run = Run(configured(2, trials={}), subscribed(), release(1))
    assert "no playbook" in _skipped(run)


def test_what_waits_is_not_built_where_the_playbook_was_taken_away() -> None:
    run = Run(subscribed(), release(1), release(2), configured(2, trials={}))
    run.fact("completed")
    assert [one.id for one in run.records(r.Passed)] == [2]
    assert run.dep.pending == ()


def test_the_newest_release_replaces_one_that_waits() -> None:
    run = Run(subscribed(), release(1), release(2), release(3))
    assert [(one.id, one.why) for one in run.records(r.Passed)] == [(2, "a newer release came")]
    run.fact("completed")
    assert run.job.release == 3
    assert run.dep.status is DependentStatus.BUILDING


def test_all_releases_are_built_in_order_where_the_document_says_so() -> None:
    run = Run(
        configured(2, trials={"playbook": "inception/try", "builds": "all"}), subscribed(), *map(release, (1, 2, 3))
    )
    for n in (1, 2, 3):
        assert run.job.release == n
        run.fact("completed")
    assert [one.id for one in run.records(r.Voted)] == [1, 2, 3]


def test_only_so_many_releases_wait() -> None:
    run = Run(configured(2, trials={"playbook": "inception/try", "builds": "all"}), subscribed())
    for n in range(MOST_PENDING + 2):
        run.send(release(1)._replace(id=n))
    assert len(run.dep.pending) == MOST_PENDING
    assert f"{MOST_PENDING} releases wait" in _skipped(run)
    assert len(run.dep.seen) == MOST_SEEN


def test_a_storm_of_releases_builds_so_many_an_hour_and_then_the_newest() -> None:
    run = Run(configured(2, trials={"playbook": "inception/try", "most_per_hour": 2}), subscribed())
    for n in range(1, 6):
        run.send(release(n))
        if run.job.status is JobStatus.ASKED:
            run.fact("completed")
    assert [one.id for one in run.records(r.JobAsked)] == [1, 2]
    assert [one.id for one in run.dep.pending] == [5]
    first = run.dep.starts[0]
    run.now = first + 3_600_000
    run.wait(1)
    assert run.records(r.JobAsked)[-1].id == 5


@pytest.mark.parametrize(
    ("ends", "votes", "stands"),
    [
        (["failed"], [], Stability.INITIAL),
        (["completed"], ["stable"], Stability.VOTE_STABLE),
        (["completed", "completed"], ["stable", "stable"], Stability.VOTE_STABLE),
        (["completed", "failed"], ["stable", "unstable"], Stability.VOTE_UNSTABLE),
        (["completed", "failed", "failed"], ["stable", "unstable", "unstable"], Stability.VOTE_UNSTABLE),
        (["completed", "failed", "completed"], ["stable", "unstable", "stable"], Stability.VOTE_STABLE),
        (["completed", "cancelled"], ["stable"], Stability.VOTE_STABLE),
    ],
)
def test_how_builds_end_becomes_votes(ends: list[str], votes: list[str], stands: Stability) -> None:
    run = Run(subscribed())
    for n, status in enumerate(ends, 1):
        run.send(release(n))
        run.fact(status)
    assert [one.value for one in run.records(r.Voted)] == votes
    assert run.dep.stability is stands


def test_the_end_the_opinion_the_vote_and_the_next_build_are_one_entry() -> None:
    run = Run(subscribed(), release(1), release(2))
    run.fact("completed")
    kinds = [type(one) for one in run.entries[-1].records]
    assert kinds == [r.JobEnded, r.StabilityChanged, r.Voted, r.JobAsked]


def test_a_dependency_that_does_not_designate_this_node_gets_no_vote() -> None:
    run = Run(subscribed(), release(1, major=False))
    run.fact("completed")
    assert run.records(r.Voted) == []
    assert run.dep.stability is Stability.INITIAL


def test_another_deployment_says_nothing_of_a_dependency() -> None:
    run = Run(subscribed(), release(1))
    run.fact("completed")
    before = len(run.entries)
    run.fact("failed", deployment="someone-s", playbook_id="try")
    run.fact("failed", deployment=run.job.id, entry=9)
    assert len(run.entries) == before


@pytest.mark.parametrize("ends", ["refused", "vanished"])
def test_a_build_without_a_result_has_no_vote_and_its_reason_is_shown(ends: str) -> None:
    run = Run(subscribed(), release(1))
    if ends == "refused":
        run.answer(False, reason="unknown-playbook", detail="there is none")
        assert (run.job.status, run.job.why) == (JobStatus.REFUSED, "there is none")
    else:
        run.answer()
        run.fact("missing", entry=0)
        assert (run.job.status, run.job.result) == (JobStatus.ENDED, "vanished")
    assert run.records(r.Voted) == []
    assert run.dep.status is DependentStatus.SUBSCRIBED


def test_a_build_goes_on_when_the_dependency_is_left_and_its_end_is_no_vote() -> None:
    for leaves in (e.Leave(DEP), e.NotSubscribed(DEP, "over"), FILE._replace(digest="d2", dependencies={})):
        run = Run(subscribed(), release(1), release(2), leaves)
        assert [one.id for one in run.records(r.Passed)] == [2]
        run.fact("completed")
        assert run.records(r.JobEnded) == [r.JobEnded(run.job.id, "completed")]
        assert run.records(r.Voted) == []


def test_a_dependency_at_another_address_is_another_one() -> None:
    run = Run(
        subscribed(), release(1), FILE._replace(digest="d2", dependencies={DEP: "https://moved.example/cdpm.yml"})
    )
    assert run.dep.status is DependentStatus.INITIAL
    run.send(subscribed("s9"))
    run.fact("completed")
    assert run.records(r.Voted) == []


def test_a_dependency_that_an_operator_left_is_joined_again_only_by_an_operator() -> None:
    run = Run(subscribed(), e.Leave(DEP))
    assert run.send(subscribed("s2")).reason.startswith("left")
    run.send(e.Join(DEP))
    run.send(subscribed("s2"))
    assert run.dep.status is DependentStatus.SUBSCRIBED


def test_a_release_of_a_dependency_that_is_not_subscribed_to_or_unknown_is_refused() -> None:
    assert Run(release(1)).decision.reason.startswith("not-subscribed")
    assert Run(release(1)._replace(dependency="x")).decision.reason.startswith("unknown-dependency")


def test_a_refusal_that_a_link_hears_every_hour_is_recorded_once() -> None:
    run = Run(*[e.NotSubscribed(DEP, "not-listed")] * 3)
    assert len(run.records(r.NotJoined)) == 1
    assert run.dep.why == "not-listed"


def test_votes_are_awaited_in_order_until_they_are_answered() -> None:
    run = Run(subscribed())
    assert awaited_votes(run.state, "x") == ()
    for n in (1, 2, 3):
        run.send(release(n))
        run.fact("completed")
    run.send(subscribed("s2"))
    assert [(one.id, one.subscription) for one in awaited_votes(run.state, DEP)] == [(1, "s2"), (2, "s2"), (3, "s2")]
    for n, status in ((1, 200), (2, 403)):
        said = e.VoteAnswered(DEP, n, release(n).created_at, status, "no")
        run.send(said)
        assert run.send(said).verdict is Verdict.REPEATED
    assert [one.id for one in awaited_votes(run.state, DEP)] == [3]
    assert (len(run.records(r.VoteDelivered)), len(run.records(r.VoteRefused))) == (1, 1)
    run.send(e.Leave(DEP))
    assert awaited_votes(run.state, DEP) == ()


def test_a_job_that_is_held_up_waits_longer_each_time_and_is_given_up_after_a_day() -> None:
    run = Run(subscribed(), release(1))
    waits = []
    while run.job.status is not JobStatus.REFUSED:
        run.answer(False, reason="refused", detail="busy", holder="d0")
        if run.job.status is JobStatus.POSTPONED:
            waits.append(run.job.until - run.now)
            assert machine.due(run.state, run.now) == min(run.job.until, run.now + 60_000)
            run.wait(waits[-1] / 1_000)
    assert waits[:6] == [30_000, 60_000, 120_000, 240_000, 480_000, 600_000]
    assert sum(waits) >= GIVE_UP_AFTER
    assert "within 24 hours" in run.job.why
    turns = [one.turn for one in run.records(r.JobAsked)]
    assert turns == list(range(1, len(turns) + 1))
    assert len({one.job for one in run.records(r.JobAsked)}) == len(turns)
    assert len(run.state.jobs) == 1


def test_what_can_never_begin_gets_another_id_and_what_runs_never_does() -> None:
    run = Run(subscribed(), release(1))
    before = run.job.id
    run.answer(False, reason="expired")
    assert run.job.id != before
    run.fact("void")
    assert run.job.turn == 3
    run.answer()
    run.send(e.Created(before, True))
    assert [run.job.status, run.job.turn] == [JobStatus.ACCEPTED, 3]
    run.fact("completed", deployment=before)
    assert run.job.status is JobStatus.ACCEPTED


def test_a_question_is_repeated_with_growing_pauses_until_it_is_answered() -> None:
    run = Run(configured(2, release={}), subscribed(), release(1))
    asked, times = run.now, []
    for _ in range(8):
        due = machine.due(run.state, run.now)
        assert due is not None
        times.append((due - asked) // 1_000)
        assert run.wait((due - run.now) / 1_000).effects[-2:] == (e.AskDeployment(run.job.id), e.Look(run.job.id))
    assert times == [10, 20, 40, 80, 160, 320, 640, 1240]
    run.answer()
    assert machine.due(run.state, run.now) == run.now + 60_000
    assert run.wait(60).effects == (e.Look(run.job.id),)


def test_a_timer_looks_at_so_many_jobs_at_most() -> None:
    many = {f"dep{n}": f"https://d{n}.example/cdpm.yml" for n in range(LOOKS + 20)}
    run = Run(FILE._replace(digest="d2", dependencies=many))
    for name in many:
        run.send(e.Subscribed(name, "s"), release(1)._replace(dependency=name))
    looks = [one for one in run.wait(3_600).effects if isinstance(one, e.Look)]
    assert len(looks) == LOOKS


def test_a_file_that_names_too_many_is_refused_whole() -> None:
    many = {f"dep{n}": f"https://d{n}.example/cdpm.yml" for n in range(MOST_DEPENDENCIES + 1)}
    run = Run(FILE._replace(digest="d2", dependencies=many))
    assert run.decision.reason.startswith("too-many")
    assert list(run.state.dependencies) == [DEP]
    assert Run(FILE._replace(digest="d2", majors=["x"] * 65)).decision.reason.startswith("too-many")


def test_events_of_a_pipeline_that_does_not_exist_or_was_removed_are_refused() -> None:
    assert Run(subscribed(), beginning=()).decision.reason.startswith("unknown-pipeline")
    run = Run(subscribed(), release(1), e.Remove())
    assert run.send(release(2)).reason.startswith("removed")
    assert run.send(e.Remove()).verdict is Verdict.REPEATED
    assert run.wait(90_000).effects == ()
    assert machine.due(run.state, run.now) is None


def test_a_node_is_registered_once_and_its_document_only_goes_forward() -> None:
    run = Run()
    for same in BEGINNING:
        assert run.send(same).verdict is Verdict.REPEATED
    assert run.send(e.Register("inception", "other", OWN)).reason.startswith("conflict")
    run.send(configured(3))
    assert run.send(configured(2, refs=[])).reason.startswith("stale")
    assert run.send(configured(3, refs=[])).reason.startswith("stale")


@pytest.mark.parametrize("file", [e.FileRead("d2", {"me": OWN}), e.FileRead("d2", {}, {OWN: "me"}, [OWN])])
def test_a_file_that_names_the_node_itself_is_refused(file: e.FileRead) -> None:
    run = Run(file)
    assert run.decision.reason.startswith("own-file")
    assert run.state.digest == "d1"


def test_a_release_of_a_clock_that_is_ahead_is_not_built_and_stands_in_the_way_of_no_other() -> None:
    run = Run(subscribed())
    run.send(release(1)._replace(created_at="2099-01-01T00:00:00.000Z"))
    [received] = run.records(r.Received)
    assert "ahead" in received.skipped
    run.send(release(2))
    assert [one.skipped for one in run.records(r.Received)][1:] == [""]
    assert run.dep.status is DependentStatus.BUILDING
