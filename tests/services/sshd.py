"""A real OpenSSH server: a host that a playbook releases to. Must not know what is released."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.services.recipe import Place, Recipe
from tests.services.server import LOOPBACK, Server, free_ports
from tests.services.service_root import run
from tests.services.unavailable import Unavailable

RECIPE = Recipe(
    name="sshd",
    # a host of another owner is no place for what the tests release
    variable="",
    program="sshd",
    # the shells are those of users that log in
    packages=("openssh-server", "sudo", "tcsh", "fish"),
    user="root",
)

#: SHLVL: from 2 on bash leaves out the rc files of the user who runs the tests
_CONFIGURATION = """
Port {port}
ListenAddress {host}
HostKey {data}/host_key
PidFile none
AuthorizedKeysFile {data}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
SetEnv TEST_DATA={data} SHLVL=5
{more}
"""


class SshHost(NamedTuple):
    """A running server, and how a client gets in."""

    port: int
    #: A client's configuration in which the host has the asked name; `ssh -F`.
    client_config: Path
    #: What the server keeps its files in, as this machine sees it.
    data: Path
    #: The same as the server's shells see it.
    seen: str
    #: Its public key, as an inventory has it.
    key: str
    #: The server, to be killed and started again.
    server: Server

    def row(self, **more: Any) -> dict[str, Any]:
        """What a plan says of it."""
        trusted = {"host_key": "pinned", "host_keys": [self.key], "identity": str(self.data / "client_key")}
        return {"address": LOOPBACK, "port": self.port, "user": "root", **trusted, **more}


@contextmanager
def running(
    place: Place, data: Path, name: str, more: str = "", addresses: Sequence[str] = (), port: int = 0
) -> Iterator[SshHost]:
    """A server on a free port of its own, reachable as `name` with a key in `data`. Raises Unavailable.

    `more`: further lines of its configuration; `addresses`: where it listens beside the usual one; `port`: one that is known to be free.
    """
    port = port or free_ports(1)[0]
    seen = place.seen(data)
    key = configure(data, seen, port, name, "\n".join((*(f"ListenAddress {one}" for one in addresses), more)))
    # the server's own helper processes need the directory, and refuse to be called by a relative path
    command = [
        "sh",
        "-c",
        f'mkdir -p /run/sshd && exec "$(command -v sshd || echo /usr/sbin/sshd)" -D -e -f {seen}/sshd_config',
    ]
    with Server(place.argv(RECIPE, command, data), [port], data / "log", signaller=place.deliver) as server:
        yield SshHost(port, data / "ssh_config", data, seen, key, server)


def configure(data: Path, seen: str, port: int, name: str, more: str = "") -> str:
    """Write keys and configurations of server and client into `data`; the server's public key. Raises Unavailable.

    `seen`: what the server's shells call `data`.
    """
    _require_client()
    for key in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", data / key], check=True)
    shutil.copyfile(data / "client_key.pub", data / "authorized_keys")
    (data / "sshd_config").write_text(_CONFIGURATION.format(port=port, host=LOOPBACK, data=seen, more=more))
    known = (data / "host_key.pub").read_text().split()
    (data / "known_hosts").write_text(f"[{LOOPBACK}]:{port} {known[0]} {known[1]}\n")
    (data / "ssh_config").write_text(
        f"Host {name}\n  HostName {LOOPBACK}\n  Port {port}\n  User root\n  IdentityFile {data}/client_key\n"
        f"  IdentitiesOnly yes\n  UserKnownHostsFile {data}/known_hosts\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
    )
    return f"{known[0]} {known[1]}"


def _require_client() -> None:
    if shutil.which("ssh") and shutil.which("ssh-keygen"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable("no ssh: install openssh-client")
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "openssh-client"])
