"""The SSH server of the tests is a real one: a client with the key gets in, one that expects another host does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.services.recipe import Place
from tests.services.sshd import running


def test_a_client_with_the_key_runs_a_command(sshd: Place, tmp_path: Path) -> None:
    with running(sshd, tmp_path, "web1.test.example") as host:
        argv = ["ssh", "-F", str(host.client_config), "web1.test.example", f"echo here > {host.seen}/mark; id -un"]
        assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "root\n"
        assert (host.data / "mark").read_text() == "here\n"


def test_a_host_with_another_key_is_refused(sshd: Place, tmp_path: Path) -> None:
    with running(sshd, tmp_path, "web1.test.example") as host:
        known = tmp_path / "known_hosts"
        known.write_text(known.read_text().replace("AAAAC3", "AAAAC3NzaC1lZDI1NTE5AAAAIJ")[:-1] + "\n")
        argv = ["ssh", "-F", str(host.client_config), "web1.test.example", "true"]
        assert subprocess.run(argv, capture_output=True, text=True).returncode == 255
