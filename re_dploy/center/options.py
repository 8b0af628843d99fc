"""What a center is set up with, and the files that say so. Must not know what it does.

Five sockets stand on ports that follow each other, from that of the address on: request, in, out, history, fetch; those of a zone
likewise: deploy, stop, control, status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from re_core.errors import BadSettings
from re_core.usecases.authorization import Binding, Principal
from re_dploy.wire.names import ZONE

#: sockets of the center, and of a zone, in the order of their ports
CENTER_SOCKETS = ("request", "in", "out", "history", "fetch")
ZONE_SOCKETS = ("deploy", "stop", "control", "status")

#: zones that a center looks after, and keys of clients
MOST_ZONES, MOST_CLIENTS = 64, 1_000
#: bytes of a file
MOST_BYTES = 1024 * 1024

_TCP = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5}|\*)")
_KEY = re.compile(r"[!-~]{40}")


class ZoneOptions(NamedTuple):
    """One zone."""

    #: socket -> URI
    addresses: Mapping[str, str]
    #: its public key; empty: unencrypted
    key: str = ""


class Options(NamedTuple):
    """A center."""

    #: socket -> URI
    listen: Mapping[str, str]
    #: file of the center's own keys; None: zones are asked unencrypted
    key_file: Path | None
    zones: Mapping[str, ZoneOptions]
    #: public key -> who asks under it
    clients: Mapping[str, Principal]
    #: who asks: the center's own sockets are unencrypted then; None: that is known by their keys
    plain: Principal | None = None
    #: seconds that a zone may be silent before a release gives up on it
    zone_wait: float = 120.0
    #: seconds that the engine is waited for
    timeout: float = 10.0


def spread(uri: str, sockets: Sequence[str], what: str) -> dict[str, str]:
    """The addresses of the sockets, on ports that follow each other; each on a free one where the port is `*`. Raises BadSettings."""
    found = _TCP.fullmatch(uri)
    if found is None:
        raise BadSettings(f"{what}: expected tcp://HOST:PORT, found {uri[:200]!r}")
    host, port = found[1], found[2]
    if port == "*":
        return dict.fromkeys(sockets, f"tcp://{host}:*")
    first = int(port)
    if not 0 < first <= 65_536 - len(sockets):
        raise BadSettings(f"{what}: {len(sockets)} ports from {first} on are needed, and there are 65535")
    return {name: f"tcp://{host}:{first + place}" for place, name in enumerate(sockets)}


def read_zones(path: Path, plain: bool = False) -> dict[str, ZoneOptions]:
    """The file of zones: `<name>: {uri: tcp://HOST:PORT, key: <public key>}`. Raises BadSettings.

    Orders have configs in clear, so one without a key has to be on this machine; `plain`: or anywhere, as the settings have it.
    """
    zones = {}
    for name, given in _entries(path, MOST_ZONES).items():
        where = f"{path}: {name}"
        if not ZONE.fullmatch(name):
            raise BadSettings(f"{where}: a zone is named by a lower-case letter, then letters, digits and hyphens")
        uri, key = _text(given, "uri", where), _public(given.get("key", ""), where)
        addresses = spread(uri, ZONE_SOCKETS, f"{where}.uri")
        if not (key or plain or is_loopback(uri.removeprefix("tcp://"))):
            raise BadSettings(
                f"{where}: key is missing, and {uri} is on another host: write the public key of its agent (docs/how-to/run-zones.md)"
            )
        zones[name] = ZoneOptions(addresses, key)
    return zones


def read_clients(path: Path) -> dict[str, Principal]:
    """The file of clients: `<public key>: {user: NAME, groups: [NAME, …]}`. Raises BadSettings."""
    clients = {}
    for key, given in _entries(path, MOST_CLIENTS).items():
        where = f"{path}: {key[:8]}…"
        groups = given.get("groups")
        if not isinstance(groups, list) or not groups or not all(isinstance(one, str) and one for one in groups):
            raise BadSettings(f"{where}: groups: expected a list of names of groups")
        bindings = tuple(Binding("member", group) for group in groups)
        clients[_public(key, where)] = Principal(_text(given, "user", where), bindings)
    return clients


def is_loopback(address: str) -> bool:
    """Whether `HOST:PORT` is on this machine."""
    return address.rpartition(":")[0].strip("[]") in ("127.0.0.1", "::1", "localhost")


def _entries(path: Path, most: int) -> dict[str, Mapping[str, Any]]:
    try:
        with path.open("rb") as file:
            document = yaml.safe_load(file.read(MOST_BYTES)) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: {error}") from None
    if not isinstance(document, dict) or len(document) > most:
        raise BadSettings(f"{path}: expected at most {most} entries")
    for name, given in document.items():
        if not isinstance(name, str) or not isinstance(given, dict):
            raise BadSettings(f"{path}: {str(name)[:60]}: expected keys and values")
    return document


def _text(given: Mapping[str, Any], key: str, where: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value:
        raise BadSettings(f"{where}: {key} is missing")
    return value


def _public(key: Any, where: str) -> str:
    if key != "" and (not isinstance(key, str) or not _KEY.fullmatch(key)):
        raise BadSettings(f"{where}: expected a public key of 40 characters; dploylib keys makes one")
    return str(key)
