"""Whose each broadcast is: ids of the versions of all apps, so that one is found at once. Must not know what is broadcast."""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left, insort
from typing import NamedTuple, Self

from re_core.apps.state import State
from re_core.apps.values import Version

#: ids that two apps have, of which that is said
MOST_DOUBLED = 1_000

_log = logging.getLogger(__name__)


class Place(NamedTuple):
    """A version that is kept."""

    #: when it was asked for: of two versions with one id the older one has it
    at: int
    app: str
    number: int
    group: str

    @classmethod
    def of(cls, state: State, version: Version) -> Self:
        """Of a version of the app."""
        return cls(version.at, state.id, version.number, state.group)


class Places:
    """Thread-safe; one thread calls `learn` and `forget`.

    Of two apps with one id it is the one's that had it first, as the claims of ids have it since there are any.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: id -> the versions that have it, the first one first
        self._places: dict[str, list[Place]] = {}
        #: all ids, sorted, so that those with a prefix stand together
        self._ids: list[str] = []
        #: app -> the ids of its versions
        self._of_app: dict[str, dict[str, Place]] = {}
        #: ids of two apps of which was said so
        self._doubled: set[str] = set()

    def get(self, id: str) -> Place | None:
        """Which version has it."""
        with self._lock:
            found = self._places.get(id)
            return found[0] if found else None

    def groups(self, prefix: str) -> set[str]:
        """Groups of all ids that begin so."""
        groups = set()
        with self._lock:
            at = bisect_left(self._ids, prefix)
            while at < len(self._ids) and self._ids[at].startswith(prefix):
                groups.add(self._places[self._ids[at]][0].group)
                at += 1
        return groups

    def learn(self, state: State) -> None:
        """The versions of an app are these now."""
        new = {version.broadcast_id: Place.of(state, version) for version in reversed(state.versions.values())}
        self._change(state.id, new)
        for id in new:
            if self._places[id][0].app != state.id:
                self._warn(id, state)

    def forget(self, app: str) -> None:
        """The app is gone."""
        self._change(app, {})

    def _change(self, app: str, new: dict[str, Place]) -> None:
        old = self._of_app.pop(app, {})
        if new:
            self._of_app[app] = new
        with self._lock:
            for id in old.keys() - new.keys():
                self._places[id].remove(old[id])
                if not self._places[id]:
                    del self._places[id], self._ids[bisect_left(self._ids, id)]
            for id in new.keys() - old.keys():
                if id not in self._places:
                    insort(self._ids, id)
                insort(self._places.setdefault(id, []), new[id])

    def _warn(self, id: str, late: State) -> None:
        if id not in self._doubled and len(self._doubled) < MOST_DOUBLED:
            self._doubled.add(id)
            text = "a version of %s has the broadcast id of an older version: it is not broadcast"
            _log.warning(text, late.name, extra={"action": "broadcast_doubled"})
