"""The workers of a process reach the hosts of an inventory, and this machine where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from re_core.runtime.settings import load
from re_workers.hosts.facts import no_secret
from re_workers.hosts.on_channel import OnChannel
from re_workers.hosts.port import BadHost
from re_workers.sdk import Worker
from re_workers.worker_selection import surroundings, workers
from tests.integration.hosts.farm import run
from tests.services.recipe import Place
from tests.services.sshd import running


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Worker]:
    """The worker `command`, as every process has it."""
    settings = load({"RE_DATA_DIR": str(tmp_path / "data"), "RE_STEP_USER": "root" if os.geteuid() == 0 else ""})
    settings.data_dir.mkdir()
    with closing(surroundings(settings, f"reach {tmp_path}")) as hosts:
        yield next(one for one in workers(settings, "", (), hosts=hosts) if one.command == "command")


@pytest.mark.service("sshd")
def test_a_host_of_the_inventory_is_reached_over_ssh(command: Worker, sshd: Place, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    with running(sshd, tmp_path / "host", "web1") as host:
        row = host.row(records=f"{host.seen}/records")
        reached = command.reach("web1", {"web1": row}, no_secret)
        assert isinstance(reached, OnChannel)
        assert run(reached, 'echo "${SSH_CONNECTION:+over ssh}"') == (0, b"over ssh\n")


def test_a_host_that_no_inventory_has_is_this_machine_with_its_confinement(command: Worker, tmp_path: Path) -> None:
    reached = command.reach("web1", {}, no_secret)
    assert isinstance(reached, OnChannel)
    assert run(reached, "echo here")[1] == b"here\n"
    (record,) = (tmp_path / "data" / "runs").iterdir()
    assert (record / "out").read_text() == "here\n"


def test_a_runner_that_is_not_installed_is_said(command: Worker) -> None:
    with pytest.raises(BadHost, match="has no runner 'telnet'"):
        command.reach("web1", {"web1": {"runner": "telnet"}}, no_secret)
