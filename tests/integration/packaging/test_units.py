"""The systemd units: systemd's own check, and that they allow what our processes need."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from re_core.process import CANNOT
from re_core.runtime.settings import load
from tests.architecture.tree import ROOT

UNITS = sorted((ROOT / "packaging" / "systemd").iterdir())

#: of the agent of a zone, which needs no engine and leaves its apps running
ZONE = ROOT / "packaging" / "systemd" / "re-dploy-zone.service"
#: of all that need an engine
ENGINE = [path for path in UNITS if path != ZONE]

#: where the units expect the programs
INSTALLED = "/opt/release-engine/.venv/bin"


class Unit(RawConfigParser):
    """Keys keep their case; the last of several counts."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, delimiters=("=",))
        self.optionxform = str  # type: ignore[assignment]  # as configparser documents it
        self.read_string(path.read_text())


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong(path: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        if os.environ.get("CI") == "true" and Path("/etc/debian_version").exists():
            pytest.fail("systemd-analyze is missing in CI: install the package systemd")
        pytest.skip("no systemd-analyze: install the package systemd")
    name = path.name.replace("@", "@1")
    # any program that is there: whether ours are is not the unit's matter
    (tmp_path / name).write_text(path.read_text().replace(f"{INSTALLED}/re-", "/bin/true re-"))
    ran = subprocess.run([program, "verify", tmp_path / name], capture_output=True, text=True, timeout=60)
    said = [line for line in (ran.stdout + ran.stderr).splitlines() if str(tmp_path) in line or name in line]
    assert (ran.returncode, said) == (0, [])


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.name)
def test_a_unit_starts_a_program_of_ours_again_unless_somebody_must_act(path: Path) -> None:
    service = Unit(path)["Service"]
    program = service["ExecStart"].split()[0]
    assert program.removeprefix(INSTALLED + "/") == path.name.partition(".")[0].partition("@")[0]
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert int(service["RestartPreventExitStatus"]) == CANNOT
    assert int(service["TimeoutStopSec"]) >= load({}).stop_timeout * 2
    assert service["User"] != "root"
    assert service["NoNewPrivileges"] == "yes"


def test_what_waits_for_its_servers_is_not_killed_for_it() -> None:
    """The front end is ready at once; the others say READY=1 when broker and store are there."""
    for path in ENGINE:
        service = Unit(path)["Service"]
        assert ("TimeoutStartSec" not in service) is (path.name == "re-rest.service")
        assert service.get("TimeoutStartSec", "infinity") == "infinity"


def test_apps_go_on_when_the_unit_of_their_agent_stops() -> None:
    service = Unit(ZONE)["Service"]
    assert service["KillMode"] == "process"
    assert (service["Restart"], int(service["RestartPreventExitStatus"])) == ("always", CANNOT)
    assert service["ExecStart"].startswith(f"{INSTALLED}/re-dploy zone --config ")
