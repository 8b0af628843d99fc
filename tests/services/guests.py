"""A real user of a real ssh server, with a login shell and a password, whom sudo may let become another. Must not know what is tested."""

from __future__ import annotations

import itertools
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.services.recipe import Place
from tests.services.sshd import RECIPE, SshHost, running

_numbers = itertools.count(1)


class Guest(NamedTuple):
    """A user of the host who logs in by key."""

    host: SshHost
    name: str
    #: of this test run alone, for a user who is gone after it
    password: str
    place: Place

    def row(self, **more: object) -> dict[str, object]:
        """What a plan says of the host."""
        return self.host.row(user=self.name, **more)

    def there(self, *command: str, feed: str = "") -> subprocess.CompletedProcess[str]:
        """Run it on the host, as root."""
        return _there(self.place, self.host.data, command, feed)

    def allow(self, rules: str) -> None:
        """Write rules of sudo, in which {guest} is the user; without any there is none."""
        file = f"/etc/sudoers.d/{self.name}"
        text = "".join(f"{line.format(guest=self.name)}\n" for line in rules.splitlines())
        done = self.there("sh", "-c", f"cat >{file}; chmod 440 {file}", feed=text)
        assert done.returncode == 0, done.stderr


@contextmanager
def guest_of(place: Place, shell: str = "/bin/sh", needs: Sequence[str] = ("sudo",)) -> Iterator[Guest]:
    """A new user of a new server. Skips where no user can be added, or the host lacks a program."""
    if os.geteuid() != 0:
        pytest.skip("only root can add a user")
    # no directory of pytest's: the user reads the keys
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        data.chmod(0o755)
        for program in (*needs, "useradd", "chpasswd", shell):
            if _there(place, data, ("sh", "-c", f"command -v {program}")).returncode:
                pytest.skip(f"the host has no {program}")
        yield from _added(place, data, shell)


def _added(place: Place, data: Path, shell: str) -> Iterator[Guest]:
    name, password = f"re-test-{os.getpid()}-{next(_numbers)}", secrets.token_urlsafe(12)
    try:
        assert _there(place, data, ("useradd", "-m", "-s", shell, name)).returncode == 0
        assert _there(place, data, ("chpasswd",), f"{name}:{password}\n").returncode == 0
        with running(place, data, "web1") as host:
            yield Guest(host, name, password, place)
    finally:
        _there(place, data, ("rm", "-f", f"/etc/sudoers.d/{name}"))
        _there(place, data, ("userdel", "-r", name))


def _there(place: Place, data: Path, command: Sequence[str], feed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(place.argv(RECIPE, command, data), input=feed, capture_output=True, text=True, check=False)
