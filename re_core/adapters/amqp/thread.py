"""The one thread that touches pika. Must not know what is done on it.

pika: "All other methods must be called from the connection's thread"; add_callback_threadsafe is the only way in.
Each call of it wakes the loop with a system call, so work that comes while the loop is awake rides along.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from pika.adapters.select_connection import IOLoop

#: seconds that the thread may take to end
ENDING = 5.0

_log = logging.getLogger(__name__)


class IoThread:
    """Runs what it is given, in order, between two looks at the sockets."""

    def __init__(self, name: str, on_bug: Callable[[], None]) -> None:
        """`on_bug` is called, on the thread, after any exception there: the state cannot be trusted any more."""
        self.loop = IOLoop()
        self._on_bug = on_bug
        self._posted: deque[Callable[[], None]] = deque()
        self._woken = False
        self._stopping = False
        #: the thread has ended: the caller of `post` runs what it posts
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def post(self, work: Callable[[], None]) -> None:
        """From any thread: do this soon, in the order of posting."""
        self._posted.append(work)
        if self._ended:
            self._work()
        elif not self._woken:
            self._woken = True
            self.loop.add_callback_threadsafe(self._work)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """On the thread: do this then."""
        self.loop.call_later(seconds, lambda: self._guarded(work))

    def stop(self) -> None:
        """From any other thread: what is posted already is done first."""
        self.post(self._end)
        self._thread.join(ENDING)
        self._ended = not self._thread.is_alive()
        if self._ended:
            self._work()

    def _end(self) -> None:
        self._stopping = True
        self.loop.stop()

    def _run(self) -> None:
        while not self._stopping:
            try:
                self.loop.start()
            except Exception as error:
                self._bug(error)
        self.loop.close()

    def _work(self) -> None:
        # before the look at the queue: a later `post` wakes the loop again
        self._woken = False
        for _ in range(len(self._posted)):
            try:
                work = self._posted.popleft()
            except IndexError:
                # the thread has ended, and another caller was faster
                return
            self._guarded(work)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self._bug(error)

    def _bug(self, error: Exception) -> None:
        _log.critical("this is a bug: %r", error, exc_info=error, extra={"action": "bug"})
        self._on_bug()
