"""Ends a loop's waiting on the bus from another thread, by a word to a queue of its own. Must not know who waits for what."""

from __future__ import annotations

import itertools
import logging
import threading

from re_core.errors import ReleaseEngineError
from re_core.messages import EVENT, Message
from re_core.ports import Bus

_log = logging.getLogger(__name__)

#: what the header `re-event` says
WAKE = "wake"


class Waker:
    """One loop's alarm clock. Between two rounds of the loop it rings once, however often somebody wakes."""

    def __init__(self, bus: Bus, queue: str) -> None:
        self._bus = bus
        self._queue = queue
        self._numbers = itertools.count(1)
        self._rung = False
        self._loop = 0

    def wake(self) -> None:
        """From any thread; on the loop's own it does nothing."""
        if self._rung or threading.get_ident() == self._loop:
            return
        self._rung = True
        id = f"{self._queue}/{next(self._numbers)}"
        try:
            self._bus.publish([Message(self._queue, b"{}", id, headers={EVENT: WAKE}, direct=True)])
        except ReleaseEngineError:  # the loop's waiting ends by itself soon
            _log.debug("could not wake %s", self._queue, extra={"action": "wake_failed"})

    def round(self) -> None:
        """For the loop, when its waiting is over and before it looks at what others left for it."""
        self._loop = threading.get_ident()
        self._rung = False
