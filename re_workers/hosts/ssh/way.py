"""One way to one host: all that tells connections apart, and the client's options for it. Pure."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from re_workers.hosts.port import BadHost

#: what the client is given as a destination. It may become part of a shell's line in a ProxyCommand of ssh_config
_ADDRESS = re.compile(r"[A-Za-z0-9_.:%-]{1,255}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,127}\$?")

#: policies for host keys: one that is known; an unknown one is stored, a changed one refused; one of those that the inventory names
STRICT, TRUST_FIRST, PINNED = "strict", "trust-first", "pinned"

#: seconds between two questions of a client to a server that is silent, and how many of them stay without answer
_ALIVE, _ALIVE_COUNT = 5, 3


class Way(NamedTuple):
    """How a host is reached. Empty: what ssh_config says."""

    #: for people
    host: str
    address: str
    port: int | None = None
    user: str = ""
    #: path of a private key
    identity: str = ""
    host_key: str = STRICT
    #: `ssh-ed25519 AAAA…`: those that are trusted beside the files of known hosts, or, of PINNED, in place of them
    host_keys: tuple[str, ...] = ()
    jump: Way | None = None
    connect_timeout: float = 10.0
    #: another ssh_config than the user's
    config: str = ""

    @property
    def digest(self) -> str:
        """Tells connections apart; names for people do not count."""
        said = (*self._replace(host="", jump=None), self.jump.digest if self.jump else "")
        return hashlib.sha256(repr(said).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    @property
    def crowd(self) -> str:
        """What dials share that a server or a gateway on the way counts together: the jump host, or the range of addresses."""
        if self.jump is not None:
            return self.jump.digest
        numbers = self.address.split(".")
        if len(numbers) == 4 and all(one.isdigit() for one in numbers):
            return ".".join(numbers[:3])
        return self.address

    def check(self) -> None:
        """Raises BadHost for what would not be an address or a user to ssh."""
        if not _ADDRESS.fullmatch(self.address) or self.address.startswith("-"):
            advice = "give the host an address: of letters, digits and . : _ -"
            raise BadHost(f"{self.host}: {self.address!r} is no address for ssh; {advice}")
        if self.user and not _USER.fullmatch(self.user):
            raise BadHost(f"{self.host}: {self.user!r} is no user for ssh")
        if self.host_key == PINNED and not self.host_keys:
            raise BadHost(f"{self.host}: host_key is pinned, and host_keys names no key")
        if self.jump is not None:
            self.jump.check()

    def by_hand(self) -> str:
        """The command with which a person can try the same."""
        more = [*(["-F", self.config] if self.config else []), *(["-p", str(self.port)] if self.port else [])]
        more += [*(["-i", self.identity] if self.identity else []), *(["-l", self.user] if self.user else [])]
        jump = ["-J", self.jump.address] if self.jump is not None else []
        return shlex.join(["ssh", "-v", *more, *jump, self.address, "true"])


def master(way: Way, socket: str, known: str = "", more_known: Sequence[str] = (), jump_socket: str = "") -> list[str]:
    """The arguments of a client that connects, opens nothing, and lets others open sessions over `socket`.

    `known`: a file with `way.host_keys`; `more_known`: further files of known hosts that are there; `jump_socket`: of the master of
    the host through which it is reached.
    """
    options = {
        "ControlMaster": "yes",
        "ControlPath": _plain(socket),
        "ControlPersist": "no",
        "BatchMode": "yes",
        # so that it says when it is logged in
        "LogLevel": "VERBOSE",
        "ConnectTimeout": str(max(1, round(way.connect_timeout))),
        "ServerAliveInterval": str(_ALIVE),
        "ServerAliveCountMax": str(_ALIVE_COUNT),
        "ClearAllForwardings": "yes",
        "RemoteCommand": "none",
        "RequestTTY": "no",
        "PermitLocalCommand": "no",
        **_trust(way, known, more_known),
    }
    if way.jump is not None:
        # it can only use the connection that is there: without one it would dial by itself, past every cap
        through = f"ssh -F none -S {_plain(jump_socket)} -o ProxyCommand=false -W '[%h]:%p'"
        options["ProxyCommand"] = f"{through} {way.jump.address}"
    return [*_base(way), "-N", "-T", *_options(options), "--", way.address]


def client(way: Way, socket: str) -> list[str]:
    """The arguments of a client that opens a session over a master, and cannot connect by itself; the command follows."""
    options = {"ControlMaster": "no", "ControlPath": _plain(socket), "ProxyCommand": "false", "RequestTTY": "no"}
    return [*_base(way), "-T", *_options({**options, "BatchMode": "yes", "RemoteCommand": "none"}), "--", way.address]


def _base(way: Way) -> list[str]:
    found = ["ssh", *(["-F", way.config] if way.config else [])]
    found += [] if way.port is None else ["-p", str(way.port)]
    found += ["-l", way.user] if way.user else []
    found += ["-i", way.identity] if way.identity else []
    return found


def _trust(way: Way, known: str, more_known: Sequence[str]) -> dict[str, str]:
    """ssh_config's own files of known hosts stay in force, but for PINNED."""
    if way.host_key == PINNED:
        only = {"UserKnownHostsFile": _quoted(_plain(known)), "GlobalKnownHostsFile": "/dev/null"}
        return {**only, "StrictHostKeyChecking": "yes", "VerifyHostKeyDNS": "no", "UpdateHostKeys": "no"}
    found = {"StrictHostKeyChecking": "accept-new" if way.host_key == TRUST_FIRST else "yes"}
    ours = [one for one in (known, *more_known) if one]
    if ours:
        system = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
        found["GlobalKnownHostsFile"] = " ".join((*map(_quoted, ours), *system))
    return found


def _options(options: dict[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _plain(path: str) -> str:
    """Of a path in an option: no token of ssh's."""
    return path.replace("%", "%%")


def _quoted(path: str) -> str:
    """Of one path in a list."""
    return f'"{path}"'
