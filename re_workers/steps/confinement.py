"""Where programs of steps run: as which user, out of reach of which files, with which variables. Must not know steps.

A token that may store a playbook may have a program run, and shall not become the engine by that: token, store, settings,
environment and memory of the engine stay its own. Two means, both where both are there: another user, which takes
root, and Landlock, which takes Linux 5.13. What neither keeps back is in `gaps`, for people.
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import json
import logging
import os
import pwd
import site
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from re_core.errors import BadSettings
from re_core.runtime.prctl import prctl
from re_workers.steps import confined, landlock

#: variables of the engine's that its programs get: user and place, language, and the way out to the network.
#: Of proxies the small and the large spelling are in use
PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "TERM", "TMPDIR", "LANG", "LANGUAGE", "LC_*"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)

#: begins the names of the engine's own variables, some of which are secret
OWN = "RE_"

#: packages of this program
_PACKAGES = ("dploylib", "re_client", "re_core", "re_dploy", "re_gateways", "re_rest", "re_up", "re_workers")

#: the user of programs where root started the engine and no setting says otherwise
NOBODY = "nobody"

#: below it are builds and releases of apps, where they run as another user than the engine's: out of reach of whatever else runs
#: as that user. In the directory above it root alone can make something
APART = Path("/var/lib/re-dploy")

#: prctl: is a capability within reach of what this thread starts, and: no more
_CAPBSET_READ, _CAPBSET_DROP = 23, 24
#: what root itself is not given, since each is a way around Landlock (linux/capability.h): read by handle, load modules,
#: raw devices, trace, administer, make devices, watch, load programs into the kernel
_DROPPED = (2, 16, 17, 19, 21, 27, 38, 39)

_log = logging.getLogger(__name__)


class User(NamedTuple):
    """The user of programs."""

    name: str
    id: int
    group: int
    groups: tuple[int, ...]
    home: str
    shell: str

    def may_enter(self, directory: Path) -> bool:
        """Whether it can use a directory, as far as owners and modes say."""
        return all(self._may(one, 1) for one in (directory, *directory.parents)) and directory.is_dir()

    def may_read(self, path: Path) -> bool:
        """The same of a file or a directory, and its content."""
        return path.exists() and self._may(path, 4) and all(self._may(one, 1) for one in path.parents)

    def _may(self, place: Path, right: int) -> bool:
        if self.id == 0:
            return True
        try:
            about = place.stat()
        except OSError:
            return False
        if about.st_uid == self.id:
            return bool(about.st_mode & right << 6)
        if about.st_gid in (self.group, *self.groups):
            return bool(about.st_mode & right << 3)
        return bool(about.st_mode & right)


class Confinement:
    """Starts programs. To be shared between threads."""

    def __init__(
        self,
        hidden: Collection[Path] = (),
        fixed: Collection[Path] = (),
        user: str = "",
        isolation: str = "auto",
        passed: Sequence[str] = (),
    ) -> None:
        """`hidden` is out of their reach, and what runs as the engine's user cannot change `fixed`.

        `user`: the programs' user; empty is the engine's, or `nobody` where that is root's. `isolation` is `auto` (what the machine
        has), `required` (all of it, or none starts) or `off`. `passed`: further variables, by name or `PREFIX_*`.
        Raises BadSettings.
        """
        self._user = _user(user, isolation)
        self._landlock = isolation != "off" and landlock.version() > 0
        others = [APART] if self.user is not None else []
        self._hidden = frozenset(str(path.resolve()) for path in (*hidden, *others))
        self._fixed = frozenset(map(str, writable(fixed) if self.user is None else ()))
        self._passed = (*PASSED, *passed)
        #: ways to the engine's secrets that stay open, as texts
        self.gaps = tuple(_gaps(self._user, self._landlock, isolation, sorted(self._hidden)))
        if isolation == "required" and self.gaps:
            raise BadSettings(f"step_isolation is required, and {self.gaps[0]}")

    @property
    def user(self) -> User | None:
        """Whom programs run as, where it is another user than the engine's."""
        return None if self._user is None or self._user.id == os.geteuid() else self._user

    @property
    def hidden(self) -> frozenset[Path] | None:
        """What is out of their reach; None where nothing is kept from them by Landlock."""
        return frozenset(map(Path, self._hidden)) if self._landlock else None

    @property
    def kept(self) -> frozenset[Path]:
        """What no step shall reach, whether or not programs are kept from it."""
        return frozenset(map(Path, self._hidden))

    @property
    def fixed(self) -> frozenset[Path]:
        """What programs can read and not change, since they run as the engine's user, who can."""
        return frozenset(map(Path, self._fixed))

    def announce(self) -> None:
        """Say in the log what stays open."""
        for gap in self.gaps:
            _log.warning("%s; see docs/how-to/confine-programs.md", gap, extra={"action": "not_confined"})

    def hint(self, last_lines: Iterable[str]) -> str:
        """What to say to the author of a program that failed with these last lines; empty where it was not for this."""
        denied = any("ermission denied" in line for line in last_lines)
        if not denied or not (self._landlock or self._user):
            return ""
        who = f"as {self._user.name}" if self._user is not None else "as the engine's user"
        return f"[programs of steps run {who}, without access to the engine's files: docs/how-to/confine-programs.md]"

    def environment(self) -> dict[str, str]:
        """What programs inherit. None of the engine's own variables is among it, whatever the settings say."""
        found = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(OWN) and any(fnmatch.fnmatchcase(name, one) for one in self._passed)
        }
        if self._user is not None and self._user.id != os.geteuid():
            user = self._user
            found |= {"HOME": user.home, "USER": user.name, "LOGNAME": user.name, "SHELL": user.shell}
        return found

    def directory(self) -> str:
        """Where programs start that were given no directory: the engine's own, if they can use it."""
        try:
            here = Path.cwd()
        except FileNotFoundError:
            here = Path("/")
        home = Path(self._user.home if self._user is not None else os.environ.get("HOME", "/"))
        return next((str(one) for one in (here, home) if self._is_usable(one.resolve())), "/")

    def start(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """subprocess.Popen, confined. Raises OSError, ValueError, subprocess.SubprocessError."""
        if self._user is not None and self._user.id != os.geteuid():
            how |= {"user": self._user.id, "group": self._user.group, "extra_groups": self._user.groups}
        if not self._landlock:
            return subprocess.Popen(argv, **how)
        as_root = (os.geteuid() if self._user is None else self._user.id) == 0
        return start_restricted(argv, lambda: landlock.restrict(self._hidden, self._fixed), as_root, **how)

    def prefix(self) -> list[str]:
        """A program that confines itself as `start` does and becomes a shell; the file of its script follows (confined.py).

        Empty where there is nothing to confine. For what is started by a process that is not confined itself.
        """
        user = self.user
        if user is None and not self._landlock:
            return []
        as_root = (os.geteuid() if self._user is None else self._user.id) == 0
        settings = {
            "landlock": self._landlock,
            "hidden": sorted(self._hidden),
            "fixed": sorted(self._fixed),
            "dropped": _DROPPED if as_root else (),
            "user": None if user is None else (user.id, user.group, user.groups),
        }
        return [sys.executable, "-I", "-S", "-B", confined.__file__, json.dumps(settings)]

    def _is_usable(self, directory: Path) -> bool:
        if self._landlock and any(directory.is_relative_to(one) for one in self._hidden):
            return False
        return os.access(directory, os.X_OK) if self._user is None else self._user.may_enter(directory)


def apart(data_dir: Path) -> Path:
    """Where the engine with this data directory keeps what the user of its programs must enter, to whom the data directory is closed."""
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    return APART / digest


def code() -> list[Path]:
    """What this program runs when it starts the next time: its packages, those that they use, and the Python that runs them."""
    found = [importlib.util.find_spec(name) for name in _PACKAGES]
    places = [Path(place) for one in found if one is not None for place in one.submodule_search_locations or ()]
    if sys.prefix != sys.base_prefix:
        places.append(Path(sys.prefix))
    if site.ENABLE_USER_SITE:
        places.append(Path(site.getusersitepackages()))
    return [*places, Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("platstdlib"))]


def writable(places: Iterable[Path]) -> frozenset[Path]:
    """Real paths of those that this process could change or make."""
    return frozenset(path.resolve() for path in places if os.access(_nearest(path), os.W_OK))


def start_restricted(
    argv: Sequence[str], restrict: Callable[[], object], as_root: bool, **how: Any
) -> subprocess.Popen[bytes]:
    """subprocess.Popen on a thread of its own, on which `restrict` was called before. Raises what either raises.

    `as_root`: the program keeps the user root, so what leads around Landlock is taken from it.
    """

    def restricted() -> subprocess.Popen[bytes]:
        restrict()
        for capability in _DROPPED if as_root else ():
            if prctl(_CAPBSET_READ, capability):
                prctl(_CAPBSET_DROP, capability)
        return subprocess.Popen(argv, **how)

    starting = _Starting(restricted)
    starting.start()
    starting.join()
    if starting.problem is not None:
        raise starting.problem
    assert starting.process is not None  # noqa: S101 - one of the two
    return starting.process


class _Starting(threading.Thread):
    """A restriction is its thread's for good, and what the thread starts inherits it: so each start has its own."""

    def __init__(self, start: Any) -> None:
        super().__init__(name="start of a program", daemon=True)
        self._start_program = start
        self.process: subprocess.Popen[bytes] | None = None
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            self.process = self._start_program()
        except BaseException as problem:
            self.problem = problem


def _user(name: str, isolation: str) -> User | None:
    """None: the engine's own, as it is."""
    if not name:
        if os.geteuid() != 0 or isolation == "off":
            return None
        name = NOBODY
    try:
        entry = pwd.getpwuid(int(name)) if name.isascii() and name.isdigit() else pwd.getpwnam(name)
    except KeyError:
        raise BadSettings(f"step_user: this machine has no user {name!r}") from None
    if os.geteuid() not in (0, entry.pw_uid):
        raise BadSettings(f"step_user is {name!r}, and only root can start programs as another user")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, entry.pw_shell or "/bin/sh")


def _gaps(user: User | None, has_landlock: bool, isolation: str, hidden: Sequence[str]) -> list[str]:
    other = user is not None and user.id != os.geteuid()
    if isolation == "off" and not other:
        return ["step_isolation is off: programs of steps can read the engine's token, store and settings"]
    if not other and not has_landlock:
        return [
            "programs of steps run as the engine's user, and this kernel has no Landlock (Linux 5.13 or newer): they can "
            "read the engine's token, store and settings. Start it as root, with step_user, or allow `command` to no group"
        ]
    if user is not None and user.id == 0:
        return ["step_user is root: Landlock keeps programs from reading secrets, but root can circumvent it"]
    if user is not None and not has_landlock:
        return [
            f"the user {user.name} of programs of steps can read {path}" for path in hidden if user.may_read(Path(path))
        ]
    manager = Path(f"/run/user/{os.geteuid()}/systemd/private")
    if not other and manager.exists():
        return [f"{manager} exists: a program of a step can make systemd start another program that is not confined"]
    return []


def _nearest(path: Path) -> Path:
    """What there is of it."""
    return next(one for one in (path, *path.parents) if one.exists())
