"""What tests of runs on hosts get."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.runs import HostRuns
from tests.integration.hosts.rig import SHELLS, ThroughShell


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Where the records are."""
    return tmp_path / "records"


@pytest.fixture
def local(records: Path) -> HostRuns:
    """This machine."""
    return HostRuns(LocalChannel(), str(records))


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, records: Path, tmp_path: Path) -> HostRuns:
    """This machine, through each of the shells that it has."""
    return HostRuns(ThroughShell(tmp_path / "bin", request.param), str(records))
