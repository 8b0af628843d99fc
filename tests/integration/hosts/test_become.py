"""Another user on a host, by a real sudo, for a real user who logs in."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from re_workers.hosts.port import ENDED, HostRunner, Run, RunKey, SudoRefused
from tests.integration.hosts.farm import Farm, run
from tests.integration.hosts.rig import Beside
from tests.services.recipe import Place
from tests.services.sshd import RECIPE, SshHost, running

pytestmark = pytest.mark.service("sshd")

#: writes rules of sudo for the user who logs in
Allow = Callable[[str], None]

#: the password of the user who logs in: of this test alone, for a user who is gone after it
PASSWORD = secrets.token_urlsafe(12)


class Guest(NamedTuple):
    """A user of the host who logs in."""

    host: SshHost
    name: str

    def row(self, **more: object) -> dict[str, object]:
        return self.host.row(user=self.name, **more)


@pytest.fixture(scope="module")
def guest(sshd: Place) -> Iterator[Guest]:
    if os.geteuid() != 0:
        pytest.skip("only root can add a user")
    # no directory of pytest's: the user reads the keys
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield from _guest(sshd, Path(directory))


def _guest(sshd: Place, data: Path) -> Iterator[Guest]:
    name = f"re-test-{os.getpid()}"

    def there(*command: str, feed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(sshd.argv(RECIPE, command, data), input=feed, capture_output=True, text=True)

    if there("sh", "-c", "command -v sudo && command -v useradd && command -v chpasswd").returncode:
        pytest.skip("the host has no sudo")
    try:
        assert there("useradd", "-m", "-s", "/bin/sh", name).returncode == 0
        assert there("chpasswd", feed=f"{name}:{PASSWORD}\n").returncode == 0
        with running(sshd, data, "web1") as host:
            yield Guest(host, name)
    finally:
        there("rm", "-f", f"/etc/sudoers.d/{name}")
        there("userdel", "-r", name)


@pytest.fixture
def allow(guest: Guest, sshd: Place) -> Iterator[Allow]:
    """Writes rules of sudo for the guest."""

    def write(rules: str) -> None:
        file = f"/etc/sudoers.d/{guest.name}"
        text = "".join(f"{line.format(guest=guest.name)}\n" for line in rules.splitlines())
        command = sshd.argv(RECIPE, ["sh", "-c", f"cat >{file}; chmod 440 {file}"], guest.host.data)
        subprocess.run(command, input=text, text=True, check=True)

    yield write
    write("")


def _runner(farm: Farm, guest: Guest, become: dict[str, str] | None, password: str = "") -> HostRunner:
    return farm.runner({"web1": guest.row(become=become)}, secret=lambda name: {"sudo": password}[name])


def test_a_run_is_the_other_users_with_its_record_and_its_home(farm: Farm, guest: Guest, allow: Allow) -> None:
    allow("{guest} ALL=(ALL) NOPASSWD: ALL")
    runner = _runner(farm, guest, {"user": "root"})
    assert run(runner, 'id -un; echo "$HOME"; echo "$A"', env={"A": "it's"}) == (0, b"root\n/root\nit's\n")
    assert runner.look(RunKey("d/0/1", "web1")).state == ENDED
    beside = Beside(runner, Run(RunKey("d/1/1", "web1"), "echo ready; sleep 600"))
    beside.heard.until(b"ready\n")
    beside.stop.set()
    assert beside.end().code == 143
    assert runner.sweep([RunKey("d/0/1", "web1"), RunKey("d/1/1", "web1")]) == 2
    assert run(_runner(farm, guest, None), "id -un") == (0, f"{guest.name}\n".encode())
    assert farm.runner({"web1": guest.row()}, user="root").facts().user == "root"


@pytest.mark.parametrize("rules", ["{guest} ALL=(ALL) ALL", "{guest} ALL=(ALL) NOPASSWD: ALL"])
def test_a_password_goes_over_a_channel_of_its_own(rules: str, farm: Farm, guest: Guest, allow: Allow) -> None:
    """Also where sudo does not ask for it: then the program must not read it."""
    allow(rules)
    runner = _runner(farm, guest, {"user": "root", "password": "sudo"}, PASSWORD)
    name = f"d/{len(rules)}/1"
    program = f"id -un; cat; env; tr '\\0' ' ' </proc/$PPID/cmdline; grep -rl {PASSWORD[:6]}'{PASSWORD[6:]}' /root/.re"
    code, output = run(runner, program, name, stdin="in\n")
    assert output.startswith(b"root\nin\n")
    assert PASSWORD.encode() not in output
    assert code == 1  # grep found nothing
    assert runner.sweep([RunKey(name, "web1")]) == 1


@pytest.mark.parametrize(
    ("rules", "password", "said"),
    [
        ("{guest} ALL=(ALL) ALL", "", "it wants a password; set become.password"),
        ("{guest} ALL=(ALL) ALL", "wrong", "the password is wrong"),
        ("{guest} ALL=(ALL) NOPASSWD: /bin/true", "", "it wants a password|may not run"),
        ("Defaults:{guest} requiretty\n{guest} ALL=(ALL) NOPASSWD: ALL", "", "it wants a terminal"),
        ("", "right", "may not use sudo"),
    ],
)
def test_what_sudo_refuses_is_said_with_what_to_do(
    rules: str, password: str, said: str, farm: Farm, guest: Guest, allow: Allow
) -> None:
    allow(rules)
    become = {"user": "root", **({"password": "sudo"} if password else {})}
    with pytest.raises(SudoRefused, match=f"web1: sudo: .*({said})"):
        run(_runner(farm, guest, become, password.replace("right", PASSWORD)), "true", "d/9/1")


def test_a_user_who_is_not_there_is_said(farm: Farm, guest: Guest, allow: Allow) -> None:
    allow("{guest} ALL=(ALL) NOPASSWD: ALL")
    with pytest.raises(SudoRefused, match="there is no user no-such-user"):
        run(_runner(farm, guest, {"user": "no-such-user"}), "true")
