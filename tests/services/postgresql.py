"""A real PostgreSQL with a user and a password, on loopback. Must not know what the tests store in it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services.places import InServiceRoot
from tests.services.recipe import Place, Recipe
from tests.services.server import LOOPBACK, Server, free_ports
from tests.services.service_root import run

RECIPE = Recipe(
    name="postgresql",
    variable="RE_TEST_POSTGRESQL_URL",
    program="initdb",
    packages=("postgresql-18",),
    user="postgres",
    # it waits for its clients on SIGTERM; on SIGINT it sends them away
    ends_by=signal.SIGINT,
)

#: where Debian keeps its programs
_DEBIAN = "/usr/lib/postgresql/18/bin"
PASSWORD = "pässword of the shop's"


def named(url: str) -> str:
    """The server of a URL, `postgresql+psycopg://…`, whose user may create databases."""
    return url


@contextmanager
def running(place: Place, data: Path) -> Iterator[str]:
    """A server on a free port, its files in `data`: its URL, without the password. Raises Unavailable."""
    (port,) = free_ports(1)
    seen, where = place.seen(data), f"{_DEBIAN}/" if isinstance(place, InServiceRoot) else ""
    (data / "password").write_text(PASSWORD)
    (data / "password").chmod(0o644)
    data.parent.chmod(0o711)  # its user is another one than ours, and has a password to get in
    options = ["--auth=scram-sha-256", f"--pwfile={seen}/password", "--username=shop", "--encoding=UTF8", "--no-sync"]
    run(_argv(place, [f"{where}initdb", *options, f"--pgdata={seen}/db"], data))
    listening = ["-h", LOOPBACK, "-p", str(port), "-k", "", "-F"]
    argv = _argv(place, [f"{where}postgres", "-D", f"{seen}/db", *listening], data)
    with Server(
        argv, [port], data / "log", ends_by=RECIPE.ends_by, signaller=place.deliver, ready=lambda: _is_ready(data)
    ):
        yield f"postgresql+psycopg://shop@{LOOPBACK}:{port}/postgres"


def _argv(place: Place, command: Sequence[str], data: Path) -> list[str]:
    """PostgreSQL refuses to run as root: on this machine it is the user of the package, else one without rights."""
    if os.geteuid() == 0 and not isinstance(place, InServiceRoot):
        name = next((one for one in ("postgres", "nobody") if _exists(one)), "nobody")
        user = pwd.getpwnam(name)
        program = shutil.which(command[0]) or command[0]
        command = [
            "setpriv",
            f"--reuid={user.pw_uid}",
            f"--regid={user.pw_gid}",
            "--clear-groups",
            program,
            *command[1:],
        ]
    return place.argv(RECIPE, command, data)


def _exists(name: str) -> bool:
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


def _is_ready(data: Path) -> bool:
    """The last line of its lock file is its state."""
    return (data / "db/postmaster.pid").read_text().splitlines()[-1].strip() == "ready"
