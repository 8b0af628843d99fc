"""Releases from their step to their result, with runners that behave as the real one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest.gateway import Gateway
from tests.integration.forest.rig import SECRET, Rig
from tests.integration.forest.runners import SerialRunner
from tests.integration.workers.waiting import PATIENCE, until

_Print = Callable[[str], None]


class _Work:
    """Work that waits for the test."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, me: SerialRunner, work: pb.WorkAssignment, files: Mapping[str, str], line: _Print) -> None:
        line("begun")
        self.begun.set()
        assert self.go.wait(PATIENCE)
        line("done")


def _fails(me: SerialRunner, work: pb.WorkAssignment, files: Mapping[str, str], line: _Print) -> None:
    raise RuntimeError("invalid flux destination metadata: missing field cluster_name")


def test_a_release_runs_at_a_runner_and_its_step_completes(rig: Rig, gateway: Gateway) -> None:
    runner = rig.serial(gateway, work=lambda me, work, files, line: line(f"applied {sorted(files)}"))
    deployment = rig.deploy()
    assert rig.result(deployment) == {"outcome": "success", "runner": "build-1"}
    assert runner.calls == [
        "PushLogs",
        "GetReleaseFiles",
        "GetSpecFiles",
        "GetReleaseAnnotation",
        "GetProjectInfo",
        "CompleteRelease",
    ]
    until(lambda: rig.shows(deployment, "applied ['dev/dest1/forest/flux@1/10.yaml']"))


def test_a_release_that_its_handler_fails_fails_with_its_words(rig: Rig, gateway: Gateway) -> None:
    rig.serial(gateway, work=_fails)
    deployment = rig.deploy()
    step = rig.end(deployment)
    assert (step.status.value, step.message) == (
        "failed",
        "invalid flux destination metadata: missing field cluster_name",
    )
    until(lambda: rig.shows(deployment, "ERROR: invalid flux"))


def test_releases_for_a_serial_runner_run_one_after_the_other(rig: Rig, gateway: Gateway) -> None:
    runner = rig.serial(gateway)
    deployments = [rig.deploy() for _ in range(5)]
    assert [rig.result(one)["outcome"] for one in deployments] == ["success"] * 5
    assert sorted(runner.done) == sorted(f"{one}/0/1" for one in deployments)
    assert runner.dropped == []


def test_a_runner_whose_stream_breaks_finishes_its_release_and_registers_again(rig: Rig, gateway: Gateway) -> None:
    work = _Work()
    runner = rig.serial(gateway, work=work)
    deployment = rig.deploy()
    assert work.begun.wait(PATIENCE)
    thief = rig.wire(gateway)  # another stream with its id ends its own
    assert thief.register(f"build-1.{SECRET}").accepted
    thief.leave()
    work.go.set()
    assert rig.result(deployment)["outcome"] == "success"
    until(lambda: runner.registrations == 2)
    assert rig.result(rig.deploy())["outcome"] == "success"


def test_a_runner_that_is_stopped_loses_its_release(rig: Rig, gateway: Gateway) -> None:
    """Its stream and its logs end at one moment, as they do where a connection breaks: it could still complete."""
    work = _Work()
    runner = rig.serial(gateway, work=work)
    deployment = rig.deploy()
    assert work.begun.wait(PATIENCE)
    until(lambda: rig.shows(deployment, "begun"))
    runner.terminate()
    work.go.set()
    runner.stop()
    assert runner.done == []
    rig.time.pass_seconds(60)
    assert rig.status(deployment) == "started"
    rig.time.until(lambda: rig.status(deployment) != "started", 90)
    assert rig.status(deployment) == "lost"


def test_lines_are_live(rig: Rig, gateway: Gateway) -> None:
    work = _Work()
    rig.serial(gateway, work=work)
    deployment = rig.deploy()
    until(lambda: rig.shows(deployment, "begun"))
    assert rig.status(deployment) == "started"
    work.go.set()
    assert rig.result(deployment)["outcome"] == "success"
    until(lambda: rig.shows(deployment, "done"))


def test_a_plan_without_a_text_of_its_own_is_the_log(rig: Rig, gateway: Gateway) -> None:
    rig.serial(gateway, work=lambda me, work, files, line: line(" 1 file changed"))
    deployment = rig.deploy(parameters={"mode": "plan"})
    assert rig.result(deployment)["plan"] == " 1 file changed"


def test_releases_are_shared_among_runners(rig: Rig, gateway: Gateway) -> None:
    runners = [rig.serial(gateway, f"r{number}") for number in range(4)]
    deployments = [rig.deploy() for _ in range(12)]
    assert {rig.result(one)["outcome"] for one in deployments} == {"success"}
    assert sum(len(one.done) for one in runners) == 12


def test_a_release_of_a_damaged_artifact_fails_and_names_it(rig: Rig, gateway: Gateway) -> None:
    rig.serial(gateway)
    rig.damage()
    failed = rig.end(rig.deploy())
    assert failed.status.value == "failed"
    assert str(failed.message).startswith("artifact web/shop-1 is damaged")


def test_a_release_whose_artifact_is_missing_leaves_its_runner_free(rig: Rig, gateway: Gateway) -> None:
    rig.serial(gateway)
    failed = rig.end(rig.deploy(parameters={"artifact": "shop-9"}))
    assert (failed.status.value, failed.message) == (
        "failed",
        "the group 'web' has no artifact 'shop-9'; store it with rectl artifacts push",
    )
    assert rig.result(rig.deploy()) == {"outcome": "success", "runner": "build-1"}
