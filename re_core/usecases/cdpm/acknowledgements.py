"""What subscribers have acknowledged, written down for all of them at once. Any thread. Must not know messages.

Each row for itself would be a commit for each subscriber and release, beside those of the journal. What a process that dies has not
written is sent once more.
"""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from re_core import ports
from re_core.errors import ReleaseEngineError
from re_core.rows import Position

#: seconds between two commits
PAUSE = 0.5

_log = logging.getLogger(__name__)


class _Store(ports.Pipelines, Protocol):
    """The part of a store that is needed."""


class Acknowledgements:
    """One thread, from the first acknowledgement until `close`."""

    def __init__(self, store: _Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: dict[str, Position] = {}
        self._bell, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, position: Position) -> None:
        """It is stored soon; the newest of a subscription counts."""
        with self._lock:
            self._waiting[position.id] = position
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="cdpm-acks", daemon=True)
                self._thread.start()
        self._bell.set()

    def close(self) -> None:
        """Store what waits."""
        self._closed.set()
        self._bell.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(PAUSE * 4)
        self._write()

    def _run(self) -> None:
        while not self._closed.wait(PAUSE):
            self._bell.wait()
            self._bell.clear()
            self._write()

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            self._store.save_positions(list(waiting.values()))
        except ReleaseEngineError as error:
            _log.info("cannot store what subscribers have: %s", error, extra={"action": "wait_and_retry"})
            with self._lock:
                self._waiting = {**waiting, **self._waiting}
            self._bell.set()
