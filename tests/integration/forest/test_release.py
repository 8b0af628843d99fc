"""A release from its step to its result, with a runner that behaves as the real one."""

from __future__ import annotations

from re_gateways.forest.gateway import Gateway
from tests.integration.forest.rig import Rig


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
