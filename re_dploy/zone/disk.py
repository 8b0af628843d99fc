"""The directory of a zone: what is in it, and how it is written. Must not know processes and sockets.

    lock zone.json secret.key ports.json router/ incoming/
    apps/<app>/ app.json env/<version>.sealed orders/<digest>.lines releases/<version>-<digest>/ current log log.1 ps/<instance>/

What stands in a file is there whole or not at all: it is written beside, synced, and renamed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from re_core.errors import BadSettings, OperatorError
from re_core.wire import strict_json
from re_dploy.zone import state
from re_dploy.zone.state import App, Instance

_log = logging.getLogger(__name__)

#: seconds that a second agent waits for the first one to go
WAIT = 40.0

#: lines of one order that are kept, and bytes of all of them
MAX_LINES, MAX_LINES_BYTES = 5_000, 2 * 1024 * 1024

#: characters of one line
MAX_LINE = 4_096

#: what a directory that is not whole yet begins with
PARTIAL = ".tmp-"


class ZoneDisk:
    """The whole directory, held by one agent at a time."""

    def __init__(self, directory: Path, zone: str, wait: float = WAIT) -> None:
        """Make it where it is missing. Raises OperatorError: another agent has it, it is another zone's, or it cannot be written."""
        self.dir = directory
        try:
            for name in ("", "apps", "incoming", "router"):
                make_directory(directory / name)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperatorError(f"the zone's directory {directory} cannot be used: {error}") from error
        try:
            self._hold(wait)
            self.id = self._identify(zone)
            self.seal = Seal(directory / "secret.key")
        except BaseException:
            self.close()
            raise
        for path in (directory / "incoming").iterdir():
            path.unlink()
        for path in (directory / "apps").glob(f"{PARTIAL}*"):
            remove_tree(path)

    def apps(self) -> list[str]:
        """Names of those that have a directory."""
        there = (self.dir / "apps").iterdir()
        return sorted(path.name for path in there if path.is_dir() and not path.name.startswith(PARTIAL))

    def app(self, name: str) -> AppDisk:
        """An app's part. It is made where it is missing."""
        return AppDisk(self.dir / "apps" / name, name, self.seal, f"{self.id}/{name}")

    def drop(self, name: str) -> Path:
        """Have an app no more; what it left is there, and is to be removed. Raises OSError."""
        left = self.dir / "apps" / f"{PARTIAL}{name}-{secrets.token_hex(4)}"
        (self.dir / "apps" / name).rename(left)
        return left

    def free(self) -> int:
        """Bytes that may still be written."""
        return shutil.disk_usage(self.dir).free

    def close(self) -> None:
        """Let go of it. Twice is the same as once."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _hold(self, wait: float) -> None:
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    holder = os.pread(self._lock, 20, 0).decode(errors="replace") or "?"
                    raise OperatorError(
                        f"{self.dir} is in use by the agent with process id {holder}; stop it"
                    ) from None
                time.sleep(0.05)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _identify(self, zone: str) -> str:
        path = self.dir / "zone.json"
        if path.exists():
            told = read_json(path)
            if told.get("name") != zone:
                raise OperatorError(f"{self.dir} belongs to the zone {told.get('name')!r}, not to {zone!r}")
            return str(told["id"])
        id = secrets.token_hex(12)
        write(path, {"v": 1, "name": zone, "id": id})
        return id


class Seal:
    """Closes the environments of apps with a key that stands in a file of the zone."""

    def __init__(self, path: Path) -> None:
        """The key is made where there is none. Raises BadSettings."""
        if not path.exists():
            write_bytes(path, Fernet.generate_key() + b"\n")
        try:
            self._fernet = Fernet(path.read_bytes().strip())
        except (OSError, ValueError) as error:
            raise BadSettings(f"{path}: expected the zone's key, which only its agent can read: {error}") from None

    def close(self, value: Any, about: str) -> bytes:
        """Sealed, for one purpose."""
        return self._fernet.encrypt(hashlib.sha256(about.encode()).digest() + strict_json.dumps(value).encode())

    def open(self, sealed: bytes, about: str) -> Any:
        """The value. Raises OperatorError where it was not sealed here, or for another purpose."""
        try:
            opened = self._fernet.decrypt(sealed)
        except InvalidToken:
            raise OperatorError(f"the environment of {about} cannot be opened: secret.key was replaced") from None
        mark = hashlib.sha256(about.encode()).digest()
        if not opened.startswith(mark):
            raise OperatorError(f"the environment of {about} belongs elsewhere: the zone's directory was changed")
        return json.loads(opened[len(mark) :])


class AppDisk:
    """What is stored of one app."""

    def __init__(self, directory: Path, name: str, seal: Seal, about: str) -> None:
        self.dir = directory
        self._name = name
        self._seal = seal
        self._about = about
        for part in ("", "env", "orders", "releases", "ps"):
            make_directory(directory / part)
        for path in self.releases.glob(f"{PARTIAL}*"):
            remove_tree(path)

    @property
    def releases(self) -> Path:
        """Where releases are unpacked to."""
        return self.dir / "releases"

    def load(self, before: App) -> App:
        """What is known of it; `before`: of the app of this name that was removed. Raises OperatorError for a file of another's."""
        path = self.dir / "app.json"
        if not path.exists():
            return self._lost(before)
        try:
            return state.read(read_json(path))
        except (KeyError, TypeError, ValueError) as error:
            raise OperatorError(
                f"{path} cannot be read: {error}; bring it back from a backup, or remove it: what runs of {self._name} here "
                "ends then, and the engine starts it again"
            ) from None

    def _lost(self, before: App) -> App:
        """Where instances are there and app.json is not, numbers go on behind all that can have been given."""
        begun = max((one.n for one in self.instances().values()), default=0)
        if begun < before.next:
            return before
        return before._replace(next=begun + 1, revision=max(before.revision, int(time.time())))

    def save(self, app: App) -> None:
        """Store what is known. Raises OSError."""
        write(self.dir / "app.json", state.document(app))

    def save_env(self, version: int, env: Mapping[str, Mapping[str, str]]) -> None:
        """Store the environment of a version, sealed. Raises OSError."""
        groups = {group: dict(values) for group, values in env.items()}
        write_bytes(self._env(version), self._seal.close(groups, f"{self._about}/{version}"))

    def env(self, version: int) -> dict[str, dict[str, str]]:
        """The environment of a version; empty where its order had none. Raises OperatorError."""
        try:
            sealed = self._env(version).read_bytes()
        except FileNotFoundError:
            return {}
        env: dict[str, dict[str, str]] = self._seal.open(sealed, f"{self._about}/{version}")
        return env

    def drop_env(self, keep: frozenset[int] = frozenset()) -> None:
        """Remove the environments of all versions but these."""
        for path in (self.dir / "env").iterdir():
            if path.name.split(".")[0] not in map(str, keep):
                path.unlink(missing_ok=True)

    def say(self, order: str, text: str, place: tuple[int, int] = (0, 0)) -> None:
        """Add a line to an order's; `place`: where it stands in the log of the order's release command."""
        path = self._lines(order)
        with suppress(OSError):  # a full disk must not stop what the order does
            if path.exists() and path.stat().st_size > MAX_LINES_BYTES:
                return
            with path.open("ab") as file:
                file.write(json.dumps([text[:MAX_LINE], *place]).encode() + b"\n")

    def lines(self, order: str, after: int, most: int) -> tuple[list[str], int]:
        """Lines of an order behind a number, and the number of the last of them."""
        lines = [str(one[0]) for one in self._said(order)[after : after + most]]
        return lines, after + len(lines)

    def place(self, order: str) -> tuple[int, int]:
        """Up to where the log of an order's release command stands in its lines."""
        return max(((one[1], one[2]) for one in self._said(order)), default=(0, 0))

    def drop_lines(self, keep: frozenset[str]) -> None:
        """Remove the lines of all orders but these."""
        kept = {self._lines(order).name for order in keep}
        for path in (self.dir / "orders").iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def begin(self, instance: Instance) -> Path:
        """The directory of an instance that is about to be started. Raises OSError."""
        path = self.dir / "ps" / instance.dir
        remove_tree(path)
        make_directory(path)
        make_directory(path / "tmp")
        write(path / "spec.json", state.instance_document(instance))
        return path

    def instances(self) -> dict[Path, Instance]:
        """Those that have a directory. What has no spec.json was never started, and is removed."""
        found = {}
        for path in sorted((self.dir / "ps").iterdir()):
            try:
                found[path] = state.read_instance(read_json(path / "spec.json"))
            except (OSError, ValueError, KeyError, TypeError):
                remove_tree(path)
        return found

    def point_to(self, release: str) -> None:
        """Have the link `current` name a release, for people; an empty name removes it."""
        link, new = self.dir / "current", self.dir / ".current"
        with suppress(OSError):
            new.unlink(missing_ok=True)
            if not release:
                link.unlink(missing_ok=True)
                return
            new.symlink_to(Path("releases") / release)
            new.replace(link)

    def _env(self, version: int) -> Path:
        return self.dir / "env" / f"{version}.sealed"

    def _lines(self, order: str) -> Path:
        return self.dir / "orders" / f"{hashlib.sha256(order.encode()).hexdigest()[:24]}.lines"

    def _said(self, order: str) -> list[list[Any]]:
        try:
            raw = self._lines(order).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        said = []
        for line in raw[:MAX_LINES]:
            with suppress(ValueError):  # cut off by a full disk
                said.append(json.loads(line))
        return said


def make_directory(path: Path) -> None:
    """Make it and those above it, where they are missing, so that users of apps can enter them whatever the umask is. Raises OSError."""
    for parent in (*reversed(path.parents), path):
        if not parent.exists():
            parent.mkdir(exist_ok=True)
            parent.chmod(0o711)
    if os.geteuid() == 0:  # only then there are such users, and one that is there already may be closed to them
        path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o111)


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a file by this JSON. Raises OSError."""
    write_bytes(path, json.dumps(value).encode())


def write_bytes(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file, or make it. After a crash it is the old one or the new one. Raises OSError."""
    new = path.with_name(f"{PARTIAL}{path.name}")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(file, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(file)
    new.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file. Raises OSError, ValueError."""
    told = json.loads(path.read_bytes())
    if not isinstance(told, dict):
        raise ValueError("expected an object")
    return told


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is in it, also where it is read-only. What cannot be removed stays, and is logged."""

    def writable(function: Any, name: str, error: Any) -> None:
        with suppress(OSError):
            Path(name).parent.chmod(0o700)
            if not Path(name).is_symlink():  # what it leads to is none of this
                Path(name).chmod(0o700)
            function(name)

    if path.exists():
        shutil.rmtree(path, onerror=writable)
        if path.exists():
            _log.warning("%s cannot be removed", path, extra={"action": "zone_leftover"})
