"""Each row of the table of calls: what a runner calls, and what the gateway does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest.admission import MOST_REFUSALS
from re_gateways.forest.calls import CUT, MAX_PLAN
from re_gateways.forest.gateway import Gateway
from tests.integration.forest.rig import DESTINATION, SECRET, Rig
from tests.integration.forest.runners import Wire, code_of, completion, str_type
from tests.integration.workers.waiting import PATIENCE, until

OK, UNAUTHENTICATED = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED
OVER, INVALID = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT
DENIED, MANY = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED


# RegisterRunner


def test_of_a_runners_id_only_the_name_is_kept_shown_and_logged(
    rig: Rig, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    runner = rig.wire(gateway)
    ack = runner.register(rig.enroll())
    assert (ack.runner_id, ack.accepted) == ("build-1", True)
    rig.begun(runner)
    until(lambda: (row := rig.store.runner("build-1")) and row.connected == gateway.id)
    rows = repr((rig.store.runners(), rig.store.open_releases()))
    assert "build-1" in caplog.text
    assert SECRET not in caplog.text + rows + "".join(rig.lines("d1"))


def test_what_is_known_of_a_runner_is_in_the_store_for_people(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway, "build-1", "forest/flux@1", "acme/x@3", most=7)
    until(lambda: (row := rig.store.runner("build-1")) and row.connected)
    row = rig.store.runner("build-1")
    assert row
    assert (row.capabilities, row.offered) == (("forest/flux@1", "acme/x@3"), 7)
    assert "127.0.0.1" in row.peer
    runner.leave()
    until(lambda: (row := rig.store.runner("build-1")) and not row.connected)


@pytest.mark.parametrize("id", ["build-1", "build-1.wrong", "other", "build-1.", ".", "a b", "", "x" * 65, "other.x"])
def test_an_unknown_runner_is_refused_and_its_stream_ends(rig: Rig, gateway: Gateway, id: str) -> None:
    rig.enroll()
    runner = rig.wire(gateway)
    runner.open()
    runner.say_register(id)
    assert runner.ended() is DENIED


def test_a_revoked_runner_is_refused_with_its_secret_too(rig: Rig, gateway: Gateway) -> None:
    id = rig.enroll()
    rig.store.revoke_runner("build-1", rig.clock.now())
    runner = rig.wire(gateway)
    runner.open()
    runner.say_register(id)
    assert runner.ended() is DENIED


def test_a_refused_runner_that_comes_again_and_again_is_limited_by_its_address(rig: Rig, gateway: Gateway) -> None:
    codes = []
    for _ in range(MOST_REFUSALS + 1):
        runner = Wire(rig.ports[gateway.id])
        runner.open()
        runner.say_register("stranger")
        codes.append(runner.ended())
        runner.close()
    assert codes == [*[DENIED] * MOST_REFUSALS, MANY]
    rig.time.jump(61)
    again = rig.wire(gateway)
    again.open()
    again.say_register("stranger")
    assert again.ended() is DENIED


def test_where_unknown_runners_are_allowed_they_work_and_an_empty_id_gets_one(rig: Rig) -> None:
    gateway = rig.gateway(unknown=True)
    runner = rig.wire(gateway)
    name = runner.register("").runner_id
    assert name.startswith("runner-")
    rig.begun(runner)
    assert rig.wire(gateway).register("any-name").runner_id == "any-name"


@pytest.mark.parametrize("id", ["build-1", "build-1.wrong", "new.secret"])
def test_also_where_unknown_runners_are_allowed_a_name_cannot_be_taken_without_its_secret(rig: Rig, id: str) -> None:
    gateway = rig.gateway(unknown=True)
    rig.enroll()
    runner = rig.wire(gateway)
    runner.open()
    runner.say_register(id)
    assert runner.ended() is DENIED


def test_a_runner_from_a_network_that_is_not_allowed_is_refused(rig: Rig) -> None:
    gateway = rig.gateway(peers=("10.0.0.0/8",))
    runner = rig.wire(gateway)
    runner.open()
    runner.say_register(rig.enroll())
    assert runner.ended() is DENIED


@pytest.mark.parametrize("first", ["heartbeat", "ack", "nothing", "empty", "not a message"])
def test_a_first_message_that_does_not_register_is_an_invalid_argument(rig: Rig, gateway: Gateway, first: str) -> None:
    runner = rig.wire(gateway)
    runner.open()
    says: dict[str, Callable[[], object]] = {
        "heartbeat": runner.beat,
        "ack": lambda: runner.ack("a" * 64, True),
        "nothing": runner.leave,
        "empty": lambda: runner.raw(pb.RunnerMessage()),
        "not a message": lambda: runner.raw(b"\xff\xff\xff"),
    }
    says[first]()
    assert runner.ended() is INVALID


def test_the_acknowledgement_goes_out_at_once(rig: Rig, gateway: Gateway) -> None:
    """Without it a real runner waits for ever: no work is there, and no heartbeat was sent."""
    assert rig.runner(gateway).has_nothing()


def test_a_second_stream_of_a_runner_replaces_the_first_and_its_end_changes_nothing(rig: Rig, gateway: Gateway) -> None:
    first = rig.runner(gateway)
    second = rig.runner(gateway)
    assert first.ended() is grpc.StatusCode.ABORTED
    rig.begun(second)


def test_a_runner_that_registers_twice_on_one_stream_is_disconnected(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    runner.say_register(f"build-1.{SECRET}")
    until(lambda: not runner.has_nothing())
    assert runner.ended() is not None


# WorkAssignment


def test_an_assignment_comes_after_the_grant_with_ids_of_the_engine(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    work = runner.assignment()
    assert rig.status(deployment) == "started"
    assert (work.release_id, work.release_intent_id) == (f"{deployment}/0/1", deployment)
    to = work.destination
    assert (to.name, to.environment, to.organisation) == ("dest1", "dev", "acme")
    assert dict(to.metadata) == DESTINATION["metadata"]
    assert str_type(to.type) == "forest/flux@1"
    assert work.mode == pb.RELEASE_MODE_DEPLOY


def test_a_type_without_a_version_is_sent_with_that_of_the_chosen_runner(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway, "build-1", "forest/flux@7")
    rig.deploy(parameters={"type": "forest/flux"})
    assert str_type(runner.assignment().destination.type) == "forest/flux@7"


def test_of_a_token_of_32_bytes_only_the_digest_is_stored(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    token = runner.assignment().release_token
    row = rig.row(deployment)
    assert row.token == hashlib.sha256(bytes.fromhex(token)).hexdigest()
    assert len(bytes.fromhex(token)) == 32
    assert token not in repr(row)


def test_a_token_lives_for_the_timeout_of_the_step_and_a_grace(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy(timeout=100_000)
    work = runner.assignment()
    row = rig.row(deployment)
    assert row.expires and row.assigned
    assert 100_000_000 < row.expires - row.assigned <= 100_000_000 + 3_600_000
    rig.time.jump(104_000)
    assert code_of(lambda: runner.fetch(work.release_token)) is UNAUTHENTICATED


def test_one_release_is_out_at_a_runner_that_offers_more(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway, most=4)
    first = rig.begun(runner)
    second = rig.deploy()
    until(lambda: rig.status(second) == "dispatched")
    runner.complete(first.release_token)
    assert runner.assignment().release_intent_id == second


def test_a_runner_that_works_in_parallel_by_its_enrolment_gets_several(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway, parallel=2)
    one, two = rig.begun(runner), rig.begun(runner)
    runner.complete(two.release_token)
    runner.complete(one.release_token)
    assert [rig.end(work.release_intent_id).status for work in (one, two)] == ["completed"] * 2


def test_an_acknowledgement_counts_as_the_begin(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    runner.ack(runner.assignment().release_token, True)
    rig.awaits_status(deployment, "running")


def test_work_that_is_handed_back_goes_to_another_runner_and_never_back(rig: Rig, gateway: Gateway) -> None:
    first, second = rig.runner(gateway, "one"), None
    deployment = rig.deploy()
    first.ack(first.assignment().release_token, False)
    until(lambda: "one" in rig.row(deployment).excluded)
    second = rig.runner(gateway, "two")
    work = rig.begun(second, deployment)
    second.complete(work.release_token)
    assert rig.result(deployment)["runner"] == "two"
    assert first.has_nothing()


def test_another_runners_acknowledgement_changes_nothing(rig: Rig, gateway: Gateway) -> None:
    other = rig.runner(gateway, "other", "acme/x@1")
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    token = runner.assignment().release_token
    other.ack(token, False)
    other.beat()
    runner.fetch(token)
    assert rig.row(deployment).runner == "build-1"


# Get…


def test_a_runner_gets_the_files_of_its_environment_the_annotation_and_the_project(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    rig.deploy()
    token = runner.assignment().release_token
    assert runner.fetch(token) == {"dev/dest1/forest/flux@1/10.yaml": "kind: A\n"}
    spec = list(runner.stub.GetSpecFiles(pb.GetSpecFilesRequest(release_token=token)))
    assert [(one.file_name, one.file_content) for one in spec] == [("spec.yaml", "s")]
    annotation = runner.stub.GetReleaseAnnotation(pb.GetReleaseAnnotationRequest(release_token=token))
    assert (annotation.slug, annotation.context_title, annotation.reference_commit_sha) == ("s-1", "A title", "abc")
    assert annotation.source_username == "ann"
    assert annotation.created_at.endswith("Z")
    project = runner.stub.GetProjectInfo(pb.GetProjectInfoRequest(release_token=token))
    assert (project.organisation, project.project) == ("acme", "shop")


_GETS: dict[str, Callable[[Wire, str], object]] = {
    "files": lambda runner, token: list(runner.stub.GetReleaseFiles(pb.GetReleaseFilesRequest(release_token=token))),
    "spec": lambda runner, token: list(runner.stub.GetSpecFiles(pb.GetSpecFilesRequest(release_token=token))),
    "annotation": lambda runner, token: runner.stub.GetReleaseAnnotation(
        pb.GetReleaseAnnotationRequest(release_token=token)
    ),
    "project": lambda runner, token: runner.stub.GetProjectInfo(pb.GetProjectInfoRequest(release_token=token)),
    "completion": lambda runner, token: runner.complete(token),
    "logs": lambda runner, token: _log_one(runner, token),
}


def _log_one(runner: Wire, token: str) -> None:
    runner.stub.PushLogs(iter([pb.PushLogRequest(release_token=token, line="x")]))


@pytest.mark.parametrize("call", _GETS)
@pytest.mark.parametrize("token", ["", "x", "00" * 32, "é", "a" * 63, "b" * 100_000])
def test_what_is_no_living_token_is_unauthenticated(rig: Rig, gateway: Gateway, call: str, token: str) -> None:
    runner = rig.runner(gateway)
    assert code_of(lambda: _GETS[call](runner, token)) is UNAUTHENTICATED


@pytest.mark.parametrize("call", [name for name in _GETS if name not in ("completion", "logs")])
def test_once_the_release_is_over_its_token_opens_nothing(rig: Rig, gateway: Gateway, call: str) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.complete(work.release_token)
    assert code_of(lambda: _GETS[call](runner, work.release_token)) is OVER


@pytest.mark.parametrize("call", _GETS)
def test_once_the_release_is_cancelled_its_token_opens_nothing(rig: Rig, gateway: Gateway, call: str) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    rig.cancel(work.release_intent_id)
    until(lambda: rig.row(work.release_intent_id).end)
    assert code_of(lambda: _GETS[call](runner, work.release_token)) is OVER


def _refused(rig: Rig, gateway: Gateway, **parameters: Any) -> str:
    """What is said of a step for which no runner is asked."""
    runner = rig.runner(gateway)
    step = rig.end(rig.deploy(parameters=parameters))
    assert step.status.value == "failed"
    assert runner.has_nothing()
    return step.message or ""


def test_a_missing_artifact_is_found_before_a_runner_hears_of_it(rig: Rig, gateway: Gateway) -> None:
    assert "has no artifact 'nothing'" in _refused(rig, gateway, artifact="nothing")


def test_an_artifact_of_another_group_is_not_found(rig: Rig, gateway: Gateway) -> None:
    rig.push("theirs", group="ops")
    assert "the group 'web' has no artifact 'theirs'" in _refused(rig, gateway, artifact="theirs")


def test_a_file_that_is_too_large_is_found_before_a_runner_hears_of_it(rig: Rig, gateway: Gateway) -> None:
    rig.push("large", {"deployment": {"dev/x": "x" * (4 * 1024 * 1024)}})
    assert "cannot be sent to a runner" in (said := _refused(rig, gateway, artifact="large"))
    assert "dev/x" in said.replace("~1", "/")


def test_an_artifact_without_files_for_the_environment_is_found_before_a_runner_hears_of_it(
    rig: Rig, gateway: Gateway
) -> None:
    said = _refused(rig, gateway, destination={"name": "x", "environment": "staging"})
    assert "no deployment files for the environment 'staging'; it has dev, prod" in said


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("type", "flux", "no connected worker accepts type 'flux' now"),
        ("destination", {"name": "x"}, "environment"),
        ("destination", {"name": "x", "environment": "dev", "metadata": {"a": 1}}, "expected metadata 'a'"),
        ("destination", {"name": "x", "environment": "dev", "more": 1}, "unknown key 'more'"),
        ("mode", "try", "mode"),
        ("project", "", "expected 1 to 200 characters"),
    ],
)
def test_a_parameter_that_does_not_fit_fails_the_step(
    rig: Rig, gateway: Gateway, name: str, value: Any, says: str
) -> None:
    assert says in _refused(rig, gateway, **{name: value})


# PushLogs


def test_lines_become_output_of_the_step_while_it_runs(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "on stdout", "stdout")
    logs.line(work.release_token, "on stderr", "stderr")
    logs.line(work.release_token, "elsewhere", "of another name", at=253_402_300_799_000)
    until(lambda: rig.shows(work.release_intent_id, "elsewhere"))
    assert [line for line in rig.lines(work.release_intent_id) if not line.startswith("[")] == [
        "on stdout",
        "on stderr",
        "elsewhere",
    ]
    assert rig.status(work.release_intent_id) == "started"


def test_the_token_of_each_message_says_which_release_it_belongs_to(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway, parallel=2)
    one, two = rig.begun(runner), rig.begun(runner)
    logs = runner.logs()
    for number, work in enumerate((one, two, one)):
        logs.line(work.release_token, f"line {number}")
    until(lambda: rig.shows(one.release_intent_id, "line 2") and rig.shows(two.release_intent_id, "line 1"))
    assert not rig.shows(two.release_intent_id, "line 0")
    logs.line("c" * 64, "of no release")
    assert logs.code() is UNAUTHENTICATED


def test_a_long_line_is_cut_and_one_of_several_lines_divided(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "x" * 100_000)
    logs.line(work.release_token, "one\ntwo")
    until(lambda: rig.shows(work.release_intent_id, "two"))
    lines = rig.lines(work.release_intent_id)
    assert lines[-2:] == ["one", "two"]
    assert len(lines[-3]) < 17_000
    assert lines[-3].endswith("(cut)")


def test_late_lines_are_taken_for_ten_seconds_after_the_completion(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "before")
    runner.complete(work.release_token)
    rig.end(work.release_intent_id)
    logs.line(work.release_token, "after")
    until(lambda: rig.shows(work.release_intent_id, "after"))
    rig.time.jump(11)
    logs.line(work.release_token, "too late")
    assert logs.code() is OVER
    assert not rig.shows(work.release_intent_id, "too late")


def test_logs_that_are_closed_after_the_completion_change_nothing(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "x")
    runner.complete(work.release_token)
    logs.half_close()
    assert rig.end(work.release_intent_id).status.value == "completed"


# CompleteRelease


def test_a_failure_fails_the_step_with_the_runners_words(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.complete(work.release_token, "destination prepare failed")
    step = rig.end(work.release_intent_id)
    assert (step.status.value, step.message) == ("failed", "destination prepare failed")


def test_a_completion_that_was_answered_is_in_the_store(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.complete(work.release_token)
    end = rig.row(work.release_intent_id).end
    assert end
    assert (end["kind"], end["outcome"]) == ("completion", "success")


@pytest.mark.parametrize("outcome", [0, 3, 99])
def test_an_outcome_that_is_none_is_an_invalid_argument(rig: Rig, gateway: Gateway, outcome: int) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    request = pb.CompleteReleaseRequest(release_token=work.release_token, outcome=outcome)  # type: ignore[arg-type]
    assert code_of(lambda: runner.stub.CompleteRelease(request)) is INVALID
    runner.complete(work.release_token)


def test_an_equal_repetition_is_fine_and_another_one_is_not(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    assert [runner.complete_code(work.release_token) for _ in range(2)] == [OK, OK]
    assert runner.complete_code(work.release_token, "no") is OVER
    rig.end(work.release_intent_id)
    assert runner.complete_code(work.release_token) is OK


def test_two_completions_at_once_are_one(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    codes: list[grpc.StatusCode] = []
    errors = (None, "failed")
    threads = [
        threading.Thread(target=lambda one=one: codes.append(runner.complete_code(work.release_token, one)))
        for one in errors
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(code.name for code in codes) == ["FAILED_PRECONDITION", "OK"]


def test_a_completion_without_any_call_before_counts(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    runner.complete(runner.assignment().release_token)
    assert rig.result(deployment)["outcome"] == "success"


def test_the_plan_of_the_runner_is_the_result(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner, parameters={"mode": "plan"})
    assert work.mode == pb.RELEASE_MODE_PLAN
    runner.complete(work.release_token, plan="+ one thing")
    assert rig.result(work.release_intent_id) == {"outcome": "success", "runner": "build-1", "plan": "+ one thing"}


def test_without_a_plan_the_log_is_the_result(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner, parameters={"mode": "plan"})
    logs = runner.logs()
    logs.line(work.release_token, "10.yaml | 2 ++")
    until(lambda: rig.shows(work.release_intent_id, "10.yaml"))
    runner.stub.CompleteRelease(completion(work.release_token))
    logs.half_close()
    assert rig.result(work.release_intent_id)["plan"] == "10.yaml | 2 ++"


def test_a_long_plan_is_cut(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner, parameters={"mode": "plan"})
    runner.complete(work.release_token, plan="x" * (MAX_PLAN + 1000))
    row = rig.row(work.release_intent_id).end or {}
    assert row["plan"] == "x" * MAX_PLAN + CUT
    assert rig.end(work.release_intent_id).status.value == "completed"
