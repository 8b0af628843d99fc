"""What tests of runs on hosts get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.runs import HostRuns
from tests.integration.hosts.farm import Farm
from tests.integration.hosts.rig import SHELLS, ThroughShell
from tests.services.recipe import Place
from tests.services.sshd import SshHost, running


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


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """The connections of one worker."""
    with closing(Farm(tmp_path / "worker")) as found:
        yield found


@pytest.fixture(scope="module")
def web1(sshd: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    """A real ssh server of these tests."""
    with running(sshd, tmp_path_factory.mktemp("web1"), "web1") as host:
        yield host
