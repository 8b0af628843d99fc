"""The directory of the masters' sockets: short, for its owner alone, and empty of what a killed process left. Must not know hosts."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from pathlib import Path

import psutil

from re_core.errors import OperatorError

#: names the directory to a master, in its environment: by this the next process finds those that a killed one left
OWNED = "RE_SSH_MASTERS"
#: bytes of a path that a socket may have, and those that ssh adds to it while it makes one
_MOST, _ADDED = 107, 17
#: characters of a socket's name
_NAME = 16

_log = logging.getLogger(__name__)


def make(engine: str) -> Path:
    """The directory of this engine's, or worker's, masters. Raises OperatorError."""
    places = _places(engine)
    for place in places:
        if len(os.fsencode(place)) + 1 + _NAME + _ADDED <= _MOST and _make(place):
            return place
    raise OperatorError(f"no directory for the sockets of ssh: neither of {', '.join(map(str, places))} can be used")


def end_left(engine: str) -> int:
    """End the masters that a dead process of this name left, before anything is asked of a host; how many.

    `engine`: as of `make`; no living process has the name. What was killed while it made its first connection, `tidy` ends.
    """
    return sum(tidy(place) for place in _places(engine) if _is_own(place) and any(place.iterdir()))


def _places(engine: str) -> list[Path]:
    name = hashlib.sha256(engine.encode()).hexdigest()[:8]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    places = [Path(runtime) / f"re-{name}"] if runtime.startswith("/") else []
    return [*places, Path(f"/tmp/re-{os.geteuid()}-{name}")]  # noqa: S108 - made for its owner alone, and checked


def _make(place: Path) -> bool:
    try:
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    if not _is_own(place):
        return False
    place.chmod(0o700)
    return True


def _is_own(place: Path) -> bool:
    try:
        about = place.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()


def tidy(directory: Path) -> int:
    """End the masters that a killed process left there; how many. No other process may use the directory now."""
    left = [process for process in psutil.process_iter() if _is_owned(process, str(directory))]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(left, timeout=2.0)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    for path in directory.iterdir():
        with contextlib.suppress(OSError):
            path.unlink()
    if left:
        _log.warning("ended %s connections that a killed worker had left", len(left), extra={"action": "end_masters"})
    return len(left)


def _is_owned(process: psutil.Process, directory: str) -> bool:
    try:
        return process.uids().effective == os.geteuid() and process.environ().get(OWNED) == directory
    except (psutil.Error, OSError):
        return False
