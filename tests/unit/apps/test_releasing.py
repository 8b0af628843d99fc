"""Versions of an app: from a push to the decision, one at a time, and back."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps.state import MOST_PENDING, MOST_VERSIONS, wanted
from re_core.apps.values import ConfigRef, Status
from re_core.jobs.times import ASK_AFTER, GIVE_UP_AFTER, LOOK_AFTER
from tests.apps import EU, KEY, US, Shop, build, configure, payload, shown


def test_a_push_is_a_version_that_is_released_in_each_zone_in_order() -> None:
    shop = Shop()
    answer = shop.answer(build(1))
    assert (answer.accepted, answer.version, answer.broadcast_id) == (True, 1, "push-1")
    assert shop.state.versions[1].status is Status.PENDING
    [asked] = shop.records(r.JobAsked)
    assert (asked.version, tuple(asked.zones), asked.epoch) == (1, (EU, US), shop.state.entry)
    shop.prepare()
    assert shop.last.status == "building"
    shop.step(e.Built, **payload(1))
    assert shop.last.status == "deploying"
    assert shop.step(e.Commit).reason == "not-ready: v1 is not ready in eu, us"
    shop.step(e.Ready, EU)
    assert shop.step(e.Commit).reason == "not-ready: v1 is not ready in us"
    assert wanted(shop.state, EU) is None
    shop.step(e.Ready, US)
    shop.step(e.Commit)
    assert (shop.state.current, shop.last.status) == (1, Status.SUCCEEDED)
    assert shop.state.formation == {"web": 1, "worker": 0}
    shop.fact("completed")
    assert shop.state.active == 0


def test_what_a_zone_has_to_run_follows_from_the_decision_alone() -> None:
    shop = Shop()
    shop.push(1)
    found = wanted(shop.state, US)
    assert found is not None
    assert (found.version, found.digest, found.generation) == (1, f"{1:064x}", 1)
    assert found.epoch == shop.state.entry
    assert wanted(shop.state, "mars") is None
    shop.send(build(2))
    shop.ready()
    again = wanted(shop.state, US)
    assert again is not None
    assert (again.version, again.epoch > found.epoch) == (1, True)


def test_other_pushes_wait_and_come_in_their_order() -> None:
    shop = Shop(build(1), build(2), build(3))
    assert (shop.state.active, shop.state.pending) == (1, (2, 3))
    shop.release()
    assert (shop.state.active, shop.state.pending) == (2, (3,))
    assert [type(one) for one in shop.entries[-1].records] == [r.JobEnded, r.JobAsked]
    shop.fact("failed", "the step dploy:Build failed: no Procfile")
    assert shop.state.versions[2].why == "the step dploy:Build failed: no Procfile"
    assert (shop.state.active, shop.state.current) == (3, 1)
    shop.release()
    assert (shop.state.current, shop.state.active) == (3, 0)


def test_a_push_that_comes_again_is_answered_as_before() -> None:
    shop = Shop(build(1), build(2))
    again = shop.answer(build(1, note="another"))
    assert (again.accepted, again.version, again.broadcast_id) == (True, 1, "push-1")
    assert [one.version for one in shop.records(r.Queued)] == [1, 2]


def test_a_push_without_a_broadcast_id_is_known_by_its_request() -> None:
    shop = Shop()
    one = e.Build("artifact:web/x", request="r-7")
    assert [shop.answer(one).version, shop.answer(one).version] == [1, 1]
    assert shop.answer(one._replace(request="r-8")).version == 2


def test_only_so_many_versions_wait() -> None:
    shop = Shop(*map(build, range(1, MOST_PENDING + 2)))
    assert shop.refused(build(99)) == "too-many"
    assert shop.refused(configure("", "c1")) == ""
    shop.release()
    assert shop.refused(build(99)) == ""
    assert shop.refused(configure("c1", "c2")) == "too-many"
    assert shop.state.config == ConfigRef("c1", ("GREETING",)), "what was refused changed the config"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (build(1)._replace(archive=""), "bad-message"),
        (build(1)._replace(archive="x" * 3_000), "bad-message"),
        (build(1)._replace(commit="HEAD"), "bad-message"),
        (build(1)._replace(broadcast_id="with space"), "bad-message"),
        (build(1)._replace(note="x" * 501), "bad-message"),
        (e.Rollback(), "nothing-runs"),
        (e.Rollback(1), "unknown-version"),
        (e.Restart(), "nothing-runs"),
        (e.Scale({"web": 1}), "nothing-runs"),
        (e.RunCommand("ls"), "nothing-runs"),
        (e.Zones([]), "bad-message"),
        (e.Zones(["eu", "eu"]), "bad-message"),
        (e.Zones(["../eu"]), "bad-message"),
        (e.Prepared(1, "job"), "unknown-version"),
        (e.Ran(1, "job", 0), "unknown-run"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(event: Any, code: str) -> None:
    shop = Shop()
    before = shown(shop.state)
    assert shop.refused(event) == code
    assert shown(shop.state) == before


# -- steps -----------------------------------------------------------------------------------------


def test_a_step_of_another_deployment_changes_nothing() -> None:
    shop = Shop(build(1))
    shop.ready()
    for event in (
        e.Prepared(1, "other"),
        e.Built(1, "other", **payload(1)),
        e.Ready(1, "other", EU),
        e.Commit(1, "other"),
        e.Switched(1, "other", EU),
        e.Commit(1, ""),
    ):
        assert shop.refused(event) == "not-yours"


def test_a_version_that_waits_belongs_to_no_deployment() -> None:
    shop = Shop(build(1), build(2))
    assert shop.refused(e.Prepared(2, "")) == "not-yours"
    assert shop.refused(e.Prepared(2, shop.job.id)) == "not-yours"


def test_each_step_may_be_repeated() -> None:
    shop = Shop()
    shop.push(1)
    job = shop.last.job
    before = len(shop.entries)
    for event in (
        e.Prepared(1, job),
        e.Built(1, job, **payload(1)),
        e.Ready(1, job, EU),
        e.Commit(1, job),
        e.Switched(1, job, EU),
    ):
        assert shop.refused(event) == ""
    assert len(shop.entries) == before


def test_a_second_payload_of_one_version_is_refused() -> None:
    shop = Shop(build(1))
    shop.prepare()
    shop.step(e.Built, **payload(1))
    assert shop.step(e.Built, **payload(2)).reason.startswith("differs: v1 has the payload")
    assert shop.step(e.Built, **payload(1)).reason == ""


@pytest.mark.parametrize(
    "more",
    [
        {"processes": {}},
        {"processes": {f"t{n}": "x" for n in range(21)}},
        {"processes": {"we b": "x"}},
        {"processes": {"web": "x" * 20_000}},
        {"build_env": {"A": "x" * 5_000}},
        {"digest": "../etc"},
    ],
)
def test_a_payload_that_is_too_large_or_misnamed_is_refused(more: dict[str, Any]) -> None:
    shop = Shop(build(1))
    shop.prepare()
    assert shop.step(e.Built, **payload(1, **more)).reason.startswith("bad-message")


def test_a_zone_that_the_version_is_not_released_in_is_refused() -> None:
    shop = Shop(build(1))
    shop.prepare()
    shop.step(e.Built, **payload(1))
    assert shop.step(e.Ready, "mars").reason.startswith("unknown-zone")


# -- how a job ends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("failed", "eu: web.1 did not listen"),
        ("cancelled", "cancelled by ann"),
        ("completed", "its deployment ended without a release"),
        ("missing", "the journal of its deployment is gone"),
    ],
)
def test_a_job_that_ends_before_the_decision_fails_its_version(status: str, why: str) -> None:
    shop = Shop()
    shop.push(1)
    shop.send(build(2))
    shop.ready()
    shop.fact(status, why)
    assert (shop.last.status, shop.last.why, shop.last.stage) == (Status.FAILED, why, "deploy")
    assert (shop.state.current, shop.state.active) == (1, 0)
    assert shop.refused(e.Commit(2, shop.last.job)) == "over"
    assert shop.refused(e.Ready(2, shop.last.job, EU)) == "over"


@pytest.mark.parametrize("status", ["failed", "cancelled", "missing"])
def test_a_job_that_ends_badly_after_the_decision_changes_nothing_of_its_version(status: str) -> None:
    shop = Shop(build(1), build(2))
    shop.ready()
    shop.step(e.Commit)
    shop.fact(status, "a check of the settings failed")
    assert (shop.state.versions[1].status, shop.state.current, shop.state.active) == (Status.SUCCEEDED, 1, 2)


def test_a_deployment_that_is_refused_fails_its_version_with_the_reason() -> None:
    shop = Shop(build(1), build(2))
    shop.created(False, reason="refused", detail="no worker accepts part build")
    assert (shop.state.versions[1].status, shop.state.versions[1].stage) == (Status.FAILED, "prepare")
    assert shop.state.versions[1].why == "no worker accepts part build"
    assert shop.state.active == 2


def test_what_never_began_is_asked_for_under_another_id_in_the_same_zones() -> None:
    shop = Shop(build(1))
    first = shop.job.id
    shop.send(e.Zones([US]))
    shop.fact("void")
    assert (shop.job.turn, shop.job.id != first, shop.job.zones) == (2, True, (EU, US))
    assert shop.refused(e.Prepared(1, first)) == "not-yours"
    shop.release()
    assert shop.state.leaving == (EU,)
    assert wanted(shop.state, EU) is None


def test_a_zone_that_was_ready_for_an_earlier_turn_is_not_for_the_next() -> None:
    shop = Shop(build(1))
    shop.ready()
    shop.fact("void")
    assert shop.step(e.Commit).reason == "not-ready: v1 is not ready in eu, us"


def test_an_answer_that_expired_is_that_of_what_never_began() -> None:
    shop = Shop(build(1))
    shop.created(False, reason="expired")
    assert shop.job.turn == 2


def test_one_that_has_to_wait_is_asked_for_again_and_given_up_after_a_day() -> None:
    shop = Shop(build(1))
    shop.created(False, reason="refused", detail="locked", holder="d9")
    assert shop.wait(31).effects == (e.AskDeployment(shop.job.id),)
    assert shop.job.turn == 2
    shop.now += GIVE_UP_AFTER
    shop.created(False, reason="refused", detail="locked", holder="d9")
    assert shop.last.why == "it could not begin within 24 hours: locked"


def test_what_was_not_answered_is_asked_for_again_and_what_was_is_looked_at() -> None:
    shop = Shop(build(1))
    job = shop.job.id
    assert shop.wait(ASK_AFTER / 1_000).effects == (e.AskDeployment(job), e.Look(job))
    assert e.AskDeployment(job) in shop.send(build(1)).effects, "a repetition does not mend what a crash has cut off"
    shop.fact("missing")
    assert e.AskDeployment(job) in shop.decision.effects
    shop.created()
    assert shop.wait(LOOK_AFTER / 1_000).effects == (e.Look(job),)


# -- rollback --------------------------------------------------------------------------------------


def _two_versions() -> Shop:
    shop = Shop()
    shop.push(1)
    shop.send(configure("", "c1"))
    shop.release()
    return shop


def test_a_rollback_is_a_version_of_the_payload_and_the_config_of_the_one_before() -> None:
    shop = Shop()
    shop.push(1)
    shop.push(2)
    assert shop.answer(e.Rollback(user="ann")).version == 3
    shop.release()
    assert shop.records(r.Built)[-1].version == 2, "a rollback is not built"
    assert (shop.last.payload, shop.last.commit) == (shop.state.versions[1].payload, f"{1:040x}")
    assert shop.last.note == "Rollback to v1"
    assert shop.answer(e.Rollback(user="ann", request="r2")).version == 4
    assert shop.last.of == 2, "the one before that differs from what runs"


def test_a_rollback_makes_its_config_the_newest() -> None:
    shop = _two_versions()
    shop.send(e.Rollback(1))
    shop.release()
    assert (shop.last.config, shop.state.config) == ("", ConfigRef())


def test_a_rollback_leaves_a_config_that_was_set_since() -> None:
    shop = _two_versions()
    shop.send(e.Rollback(1), configure("c1", "c2"))
    shop.release()
    assert shop.state.config.id == "c2"
    shop.release()
    assert (shop.last.config, shop.last.payload) == ("c2", shop.state.versions[1].payload)


def test_what_cannot_come_back_is_named_with_what_can() -> None:
    shop = _two_versions()
    shop.send(build(3))
    shop.fact("failed", "no")
    assert shop.send(e.Rollback(3)).reason == "not-deployable: v3 failed and never ran; succeeded: v2, v1"
    assert shop.send(e.Rollback(2)).reason == "same: v2 is what shop runs"
    assert shop.send(e.Rollback(12)).reason == "unknown-version: release 12 of shop not found"
    shop.send(build(4))
    assert shop.send(e.Rollback(4)).reason == "not-deployable: v4 is pending; succeeded: v2, v1"


def test_there_is_nothing_to_go_back_to_before_the_first_version() -> None:
    shop = Shop()
    shop.push(1)
    assert shop.refused(e.Rollback()) == "not-deployable"


def test_old_versions_keep_their_number_and_status_and_what_runs_stays_whole() -> None:
    shop = Shop()
    shop.push(1)
    shop.push(2)
    for n in range(3, MOST_VERSIONS + 10):
        shop.send(build(n))
        shop.fact("failed", "no")
    assert len(shop.state.versions) == MOST_VERSIONS
    assert 2 in shop.state.versions, "what runs was forgotten"
    assert shop.state.old[1] == "succeeded"
    assert shop.refused(e.Rollback(1)) == "payload-gone"
    assert shop.send(e.Rollback(3)).reason.startswith("not-deployable: v3 failed")
    assert shown(shop.folded()) == shown(shop.state)


def test_ids_of_jobs_are_those_of_the_app_the_version_and_the_turn() -> None:
    one, other = Shop(build(1)), Shop(build(1))
    assert one.job.id == other.job.id
    assert (len(one.job.id), KEY.startswith("app/")) == (26, True)
    two = Shop(build(1), build(2))
    two.release()
    assert two.job.id not in (one.job.id, two.state.versions[1].job)
