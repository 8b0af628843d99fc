"""The apps that a center looks after: found in the index, followed by their journals. Must not know what is done with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from re_core import ports
from re_core.apps.names import app_key
from re_core.apps.state import State
from re_core.usecases.apps.reader import AppReader

#: seconds for which the list of apps is believed
FRESH = 1.0


class AppList:
    """Thread-safe."""

    def __init__(self, rows: ports.AppRows, reader: AppReader, time: Callable[[], float]) -> None:
        self._rows, self._reader, self._time = rows, reader, time
        self._lock = threading.Lock()
        #: id -> what ends the following
        self._followed: dict[str, AbstractContextManager[None]] = {}
        self._looked = float("-inf")

    def states(self) -> list[State]:
        """All apps that have begun, those that are gone too, as they were read last. Raises StoreUnavailable."""
        with self._lock:
            if self._time() - self._looked >= FRESH:
                self._refresh()
            ids = list(self._followed)
        states = [self._reader.state(id) for id in ids]
        return [state for state in states if state.registered]

    def close(self) -> None:
        """Follow none any more."""
        with self._lock:
            followed, self._followed = self._followed, {}
        for one in followed.values():
            one.__exit__(None, None, None)

    def _refresh(self) -> None:
        there = {row.id for row in self._rows.apps()}
        for id in [id for id in self._followed if id not in there]:
            self._followed.pop(id).__exit__(None, None, None)
        for id in there - set(self._followed):
            following = self._reader.journals.follow(app_key(id), _nothing)
            following.__enter__()
            self._followed[id] = following
        self._looked = self._time()


def _nothing() -> None:
    """The loops that read the states are quick enough to find the news by themselves."""
