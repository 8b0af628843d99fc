"""Users of a real ssh server with login shells that are no sh: they work, or what to do is said before anything begins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.port import Run, ShellSilent
from re_workers.hosts.runs import HostRuns
from re_workers.hosts.surroundings import Surroundings
from re_workers.steps.confinement import Confinement
from tests.integration.hosts.farm import STOP, Farm, run
from tests.integration.hosts.rig import Heard, key
from tests.services.guests import guest_of
from tests.services.recipe import Place


@pytest.mark.service("sshd")
def test_a_user_of_fish_is_reached_as_any_other(farm: Farm, sshd: Place) -> None:
    with guest_of(sshd, "/usr/bin/fish", needs=()) as guest:
        runner = farm.runner({"web1": guest.row()})
        found = run(runner, r"""printf '%s\n' "it's" '\\' "$A"; exit 4""", env={"A": r"a'b\\c"})
        assert found == (4, b"it's\n" + rb"\\" + b"\n" + rb"a'b\\c" + b"\n")
        assert farm.said == []


@pytest.mark.service("sshd")
def test_a_user_of_tcsh_is_refused_with_what_to_do(farm: Farm, sshd: Place) -> None:
    with guest_of(sshd, "/bin/tcsh", needs=()) as guest:
        with pytest.raises(ShellSilent, match=r"the login shell of web1 is csh or tcsh.*chsh -s /bin/sh"):
            run(farm.runner({"web1": guest.row()}), "true")
        assert guest.there("ls", f"/home/{guest.name}/.re").returncode != 0, "nothing has begun"


class Logind(LocalChannel):
    """This machine as the user `deploy`, with a systemd that answers as one does which ends what a session leaves."""

    def __init__(self, directory: Path) -> None:
        super().__init__("web1", env={**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"})
        directory.mkdir()
        for name, answer in (("id", "deploy"), ("busctl", "b true")):
            (directory / name).write_text(f"#!/bin/sh\necho {answer}\n")
            (directory / name).chmod(0o755)


def test_a_host_that_ends_what_a_session_leaves_is_named_once(tmp_path: Path) -> None:
    said: list[str] = []
    around = Surroundings(tmp_path / "worker", Confinement(isolation="off"), say=said.append)
    runs = HostRuns(
        Logind(tmp_path / "bin"), str(tmp_path / "records"), notice=lambda one: around.notice("web1", "web1", one)
    )
    runs.run(Run(key(), "true"), Heard(), STOP)
    for _ in range(2):
        runs.tidy()
    (warning,) = said
    assert warning.startswith("web1: systemd ends what runs when a connection is lost")
    assert "loginctl enable-linger deploy" in warning
