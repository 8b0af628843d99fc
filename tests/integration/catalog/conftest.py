"""What tests of the catalogue get: this machine as the host, through its real shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from re_workers.catalog.families import workers
from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.direct import DirectRunner
from re_workers.sdk import Change
from re_workers.testing import Result, plan, run

#: runs a step on the host
Act = Callable[..., Result]


@pytest.fixture
def machine(tmp_path: Path) -> DirectRunner:
    """This machine, with records in a directory of the test's."""
    return DirectRunner(LocalChannel("here"), str(tmp_path / "records"))


@pytest.fixture
def act(machine: DirectRunner) -> Act:
    """Runs a step of the catalogue, and fails where it does."""

    def perform(name: str, parameters: Mapping[str, Any] | None = None, fails: bool = False, **how: Any) -> Result:
        (worker,) = (one for one in workers() if one.command == name.partition(":")[0])
        result = run(worker, name, parameters, host=how.pop("host", machine), **how)
        assert (result.status == "failed") == fails, (result.message, result.output)
        return result

    return perform


@pytest.fixture
def foresee(machine: DirectRunner) -> Callable[..., Change]:
    """What a step would change."""

    def foreseen(name: str, parameters: Mapping[str, Any]) -> Change:
        (worker,) = (one for one in workers() if one.command == name.partition(":")[0])
        return plan(worker, name, parameters, host=machine)

    return foreseen
