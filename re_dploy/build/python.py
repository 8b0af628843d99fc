"""Finds the Python that requirements of apps are installed for. Must not know builds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

#: where others than the builder's own are looked for
_PLACES = ("/usr/local/bin", "/usr/bin")

#: seconds that one may take to say what it is
_TIMEOUT = 20.0

_ABOUT = "import sys, pip; print('%d.%d' % sys.version_info[:2])"


class Python(NamedTuple):
    """One that has pip."""

    #: absolute
    path: str
    #: `3.13`
    version: str


def find(may_enter: Callable[[Path], bool] = lambda directory: True) -> Python | None:
    """The builder's own, or the first of the system that has pip and whose directory the builds' user `may_enter`."""
    for path in _candidates():
        real = Path(path).resolve()
        if not os.access(path, os.X_OK) or not may_enter(Path(path).parent) or not may_enter(real.parent):
            continue
        try:
            said = subprocess.run([path, "-I", "-c", _ABOUT], capture_output=True, timeout=_TIMEOUT, check=True)
        except (OSError, subprocess.SubprocessError):
            continue
        return Python(path, said.stdout.decode("ascii", "replace").strip())
    return None


def _candidates() -> Iterator[str]:
    yield sys.executable
    for place in _PLACES:
        yield f"{place}/python3"
