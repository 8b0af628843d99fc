"""The last ids that somebody dealt with, so that a copy is recognised. Pure; one thread at a time."""

from __future__ import annotations

from collections import OrderedDict

#: ids remembered; a copy that comes later than this many others is the core's to refuse
REMEMBERED = 10_000


class Seen:
    """A set that forgets what was added longest ago."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._limit = limit

    def __contains__(self, id: str) -> bool:
        return id in self._ids

    def add(self, id: str) -> None:
        """Remember it, if it is an id at all."""
        if id:
            self._ids[id] = None
            if len(self._ids) > self._limit:
                self._ids.popitem(last=False)

    def forget(self, id: str) -> None:
        """It was not dealt with after all."""
        self._ids.pop(id, None)
