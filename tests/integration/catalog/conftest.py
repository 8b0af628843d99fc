"""What tests of the catalogue get: this machine as the host, through its real shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from re_workers.catalog.families import workers
from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.runs import HostRuns
from re_workers.sdk import Change
from re_workers.testing import Result, plan, run

#: runs a step on the host
Act = Callable[..., Result]


@pytest.fixture
def machine(tmp_path: Path) -> HostRuns:
    """This machine, with records in a directory of the test's."""
    return HostRuns(LocalChannel("here"), str(tmp_path / "records"))


@pytest.fixture
def act(machine: HostRuns) -> Act:
    """Runs a step of the catalogue, and fails where it does."""

    def perform(name: str, parameters: Mapping[str, Any] | None = None, fails: bool = False, **how: Any) -> Result:
        (worker,) = (one for one in workers() if one.command == name.partition(":")[0])
        result = run(worker, name, parameters, host=how.pop("host", machine), **how)
        assert (result.status == "failed") == fails, (result.message, result.output)
        return result

    return perform


@pytest.fixture
def foresee(machine: HostRuns) -> Callable[..., Change]:
    """What a step would change."""

    def foreseen(name: str, parameters: Mapping[str, Any]) -> Change:
        (worker,) = (one for one in workers() if one.command == name.partition(":")[0])
        return plan(worker, name, parameters, host=machine)

    return foreseen
