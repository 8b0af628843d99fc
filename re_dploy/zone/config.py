"""What the configuration of a zone says, apart from its sockets: the section `general`. Must not know what becomes of it."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from re_core.errors import BadSettings
from re_dploy.wire import Limits
from re_dploy.wire.names import ADDRESS, ZONE
from re_dploy.zone.supervise import GRACE, User

#: bytes that must be free for an order to be accepted, unless the configuration says otherwise
MIN_FREE = 1024 * 1024 * 1024

_KEYS = (
    *("zone", "directory", "address", "ports", "python", "cargo_root", "cargo_hosts", "center", "reload"),
    *("users", "user", "limits", "backend", "at_stop", "grace", "min_free", "hidden", "isolation"),
)

#: processes of one instance, unless the configuration says otherwise: an app that forks without end takes no host with it
MAX_PROCESSES = 512
_RANGE = re.compile("([0-9]{1,5})-([0-9]{1,5})")


class ZoneConfig(NamedTuple):
    """How one zone runs apps."""

    zone: str
    directory: Path
    #: under which others reach its processes
    address: str = "127.0.0.1"
    ports: tuple[int, int] = (5000, 5999)
    #: the Python of apps; empty: what the PATH has
    python: str = ""
    #: below which `file:` cargo is
    cargo_root: Path | None = None
    #: the socket to the center's `cargo.fetch`, as dploylib's sockets are configured; None: no `dploy:` cargo
    center: Mapping[str, Any] | None = None
    #: argv that has the proxy read its table again
    reload: tuple[str, ...] = ()
    #: of apps, one each
    users: tuple[User, ...] = ()
    #: of all apps, where `users` is empty; None: the agent's own
    user: User | None = None
    #: whether apps end with the agent
    ends_apps: bool = False
    #: seconds between TERM and KILL
    grace: float = GRACE
    min_free: int = MIN_FREE
    #: further places out of reach of apps
    hidden: tuple[Path, ...] = ()
    #: refuse to start where apps cannot be kept apart
    is_required: bool = False
    #: from which `https:` cargo comes, with their port where it is not 443
    cargo_hosts: tuple[str, ...] = ()
    #: what one instance of an app may have, whatever an order says
    limits: Limits = Limits(processes=MAX_PROCESSES)
    #: whether each instance has a control group of systemd's
    in_scopes: bool = False


def read(general: Mapping[str, Any]) -> ZoneConfig:
    """The section `general`. Raises BadSettings, which names the key."""
    unknown = sorted(str(key) for key in general if key not in _KEYS)
    if unknown:
        raise BadSettings(f"general: unknown key {unknown[0]!r}; there are {', '.join(_KEYS)}")
    zone = _text(general, "zone")
    if not ZONE.fullmatch(zone):
        raise BadSettings(f"general.zone: expected a letter, then up to 29 letters, digits and hyphens, found {zone!r}")
    address = _text(general, "address", "127.0.0.1")
    if not ADDRESS.fullmatch(address):
        raise BadSettings(f"general.address: expected an address, found {address!r}")
    center = general.get("center")
    if center is not None and not isinstance(center, Mapping):
        raise BadSettings("general.center: expected uri and curve, as a socket has them")
    return ZoneConfig(
        zone,
        Path(_text(general, "directory")).absolute(),
        address,
        _ports(_text(general, "ports", "5000-5999")),
        _python(_text(general, "python", "")),
        Path(root).resolve() if (root := _text(general, "cargo_root", "")) else None,
        center,
        _texts(general, "reload"),
        tuple(_user("users", name) for name in _texts(general, "users")),
        _user("user", name) if (name := _text(general, "user", "")) else None,
        _word(general, "at_stop", ("leave", "end")) == "end",
        _number(general, "grace", GRACE),
        int(_number(general, "min_free", MIN_FREE)),
        tuple(Path(path) for path in _texts(general, "hidden")),
        _word(general, "isolation", ("auto", "required")) == "required",
        _texts(general, "cargo_hosts"),
        _limits(general),
        _word(general, "backend", ("plain", "systemd")) == "systemd",
    )


def _limits(general: Mapping[str, Any]) -> Limits:
    value = general.get("limits", {})
    if not isinstance(value, Mapping) or not set(value) <= set(Limits._fields):
        raise BadSettings(f"general.limits: expected numbers of {', '.join(Limits._fields)}, found {value!r}")
    given = {"processes": MAX_PROCESSES, **value}
    for name, one in given.items():
        if isinstance(one, bool) or not isinstance(one, int) or one < 0:
            raise BadSettings(f"general.limits.{name}: expected a whole number, 0 for none, found {one!r}")
    return Limits(**given)


def _text(general: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = general.get(key, default)
    if not isinstance(value, str):
        raise BadSettings(f"general.{key}: expected text, found {'nothing' if value is None else repr(value)}")
    return value


def _texts(general: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = general.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadSettings(f"general.{key}: expected a list of texts")
    return tuple(value)


def _word(general: Mapping[str, Any], key: str, words: tuple[str, ...]) -> str:
    value = general.get(key, words[0])
    if value not in words:
        raise BadSettings(f"general.{key}: expected {' or '.join(words)}, found {value!r}")
    return str(value)


def _number(general: Mapping[str, Any], key: str, default: float) -> float:
    value = general.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadSettings(f"general.{key}: expected a number from 0, found {value!r}")
    return value


def _ports(text: str) -> tuple[int, int]:
    if (found := _RANGE.fullmatch(text)) is None:
        raise BadSettings(f"general.ports: expected FIRST-LAST, found {text!r}")
    return int(found[1]), int(found[2])


def _python(path: str) -> str:
    if path and shutil.which(path) is None:
        raise BadSettings(f"general.python: {path} cannot be executed")
    return path


def _user(key: str, name: str) -> User:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise BadSettings(f"general.{key}: this machine has no user {name!r}") from None
    if os.geteuid() != 0:
        raise BadSettings(f"general.{key}: only root can start programs as other users")
    if entry.pw_uid == 0:
        raise BadSettings(
            f"general.{key}: apps do not run as root by name; leave `{key}` out to run them as the agent's user"
        )
    return User(entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))
