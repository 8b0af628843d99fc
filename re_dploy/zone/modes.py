"""Modes of places that apps cannot open, kept as they were: Landlock does not keep the owner's programs from chmod. Must not know apps."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

_log = logging.getLogger(__name__)

#: entries of one directory that are looked at
MOST = 1000

#: rights of others than the owner
_OTHERS = 0o077

_MENDED = {"action": "modes_mended"}


class Modes:
    """Of some places, and of what lies directly in those that are directories. For one thread."""

    def __init__(self, places: Collection[Path]) -> None:
        """Remember them as they are now."""
        self._places = tuple(dict.fromkeys(path.resolve() for path in places))
        self._known: dict[str, int] = {}
        self.mend()

    def mend(self) -> list[str]:
        """Take from others the rights that they have got since a place was seen first, with a warning; the places."""
        known, mended = {}, []
        for path, mode in self._now():
            first = known[path] = self._known.get(path, mode & _OTHERS)
            if mode & _OTHERS & ~first:
                try:
                    Path(path).chmod(mode & ~(_OTHERS & ~first))
                except OSError:  # it is gone, or is not this user's, so that no app has changed it either
                    continue
                mended.append(path)
        self._known = known
        for path in mended:
            _log.warning("other users had got rights to %s: a program of this user gave them", path, extra=_MENDED)
        return mended

    def _now(self) -> Iterator[tuple[str, int]]:
        for place in self._places:
            yield from _mode(place)
            try:
                with os.scandir(place) as entries:
                    for entry in islice(entries, MOST):
                        if not entry.is_symlink():
                            yield from _mode(Path(entry.path))
            except OSError:  # no directory, or none that can be read
                continue


def _mode(path: Path) -> Iterator[tuple[str, int]]:
    try:
        yield str(path), stat.S_IMODE(path.lstat().st_mode)
    except OSError:
        return
