"""The apps that a center looks after: found in the index, followed by their journals. Must not know what is done with them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from re_core import ports
from re_core.apps.names import app_key
from re_core.apps.state import State
from re_core.errors import StoreRefused
from re_core.usecases.apps.reader import AppReader

#: seconds for which the list of apps is believed
FRESH = 1.0

_log = logging.getLogger(__name__)


class AppList:
    """Thread-safe."""

    def __init__(self, rows: ports.AppRows, reader: AppReader, time: Callable[[], float]) -> None:
        self._rows, self._reader, self._time = rows, reader, time
        self._lock = threading.Lock()
        #: id -> what ends the following
        self._followed: dict[str, AbstractContextManager[None]] = {}
        self._looked = float("-inf")
        #: ids whose journals could not be read last time
        self._unreadable: set[str] = set()

    def states(self) -> list[State]:
        """All apps that have begun, those that are gone too, as they were read last. Raises StoreUnavailable.

        One whose journal cannot be read is left out, and logged: the others are looked after.
        """
        with self._lock:
            if self._time() - self._looked >= FRESH:
                self._refresh()
            ids = list(self._followed)
        states = [self._state(id) for id in ids]
        return [state for state in states if state is not None and state.registered]

    def close(self) -> None:
        """Follow none any more."""
        with self._lock:
            followed, self._followed = self._followed, {}
        for one in followed.values():
            one.__exit__(None, None, None)

    def _state(self, id: str) -> State | None:
        try:
            state = self._reader.state(id)
        except StoreRefused as error:  # damaged, of a newer engine, or of another kind
            if id not in self._unreadable:
                _log.error("the app %s is not looked after: %s", id, error, extra={"action": "app_unreadable"})
            self._unreadable.add(id)
            return None
        self._unreadable.discard(id)
        return state

    def _refresh(self) -> None:
        there = {row.id for row in self._rows.apps()}
        for id in [id for id in self._followed if id not in there]:
            self._followed.pop(id).__exit__(None, None, None)
        self._unreadable &= there
        for id in there - set(self._followed):
            following = self._reader.journals.follow(app_key(id), _nothing)
            following.__enter__()
            self._followed[id] = following
        self._looked = self._time()


def _nothing() -> None:
    """The loops that read the states are quick enough to find the news by themselves."""
