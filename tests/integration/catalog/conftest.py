"""What tests of the catalogue get: this machine as the host, through its real shell; and a host that they may change, over real ssh."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from re_workers.catalog.families import workers
from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.direct import DirectRunner
from re_workers.hosts.port import HostRunner
from re_workers.sdk import Change, Worker
from re_workers.steps.command import Command
from re_workers.steps.sql import Sql
from re_workers.testing import Result, plan, run
from tests.integration.hosts.farm import Farm
from tests.services.sshd import SshHost

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
        result = run(worker_of(name), name, parameters, host=how.pop("host", machine), **how)
        assert (result.status == "failed") == fails, (result.message, result.output)
        return result

    return perform


@pytest.fixture
def foresee(machine: DirectRunner) -> Callable[..., Change]:
    """What a step would change."""

    def foreseen(name: str, parameters: Mapping[str, Any], **how: Any) -> Change:
        return plan(worker_of(name), name, parameters, host=machine, **how)

    return foreseen


def worker_of(name: str) -> Worker:
    """The one of a step that acts on hosts."""
    (worker,) = (one for one in (Command(), Sql(), *workers()) if one.command == name.partition(":")[0])
    return worker


class Host(NamedTuple):
    """A Debian host of the tests' own, reached over ssh."""

    server: SshHost
    runner: HostRunner

    @property
    def data(self) -> Path:
        """The directory that it has at `seen`, as this machine sees it."""
        return self.server.data

    @property
    def seen(self) -> str:
        """As the host sees it."""
        return self.server.seen

    def act(self, name: str, parameters: Mapping[str, Any] | None = None, fails: bool = False, **how: Any) -> Result:
        """Run a step there, and fail where it does."""
        result = run(worker_of(name), name, parameters, host=self.runner, **how)
        assert (result.status == "failed") == fails, (result.message, result.output)
        return result

    def foresee(self, name: str, parameters: Mapping[str, Any] | None = None) -> Change:
        """What a step would change there."""
        return plan(worker_of(name), name, parameters, host=self.runner)

    def sh(self, script: str) -> str:
        """What a shell there prints."""
        result = self.act("command:Script", {"script": f"set -e\n{script}"})
        return "\n".join(result.output)


@pytest.fixture(scope="session")
def web1(throwaway: SshHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that a test may change."""
    with closing(Farm(tmp_path_factory.mktemp("worker"))) as farm:
        yield Host(throwaway, farm.runner({"web1": throwaway.row()}))
