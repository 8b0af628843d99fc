"""Turns a consumer on its own thread until it is stopped, and through its stopping. Must not know what turns.

Whatever a turn raises is waited out: the bus may be away, and one mistake must not end a command for good.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol

from re_core.backoff import Backoff
from re_core.errors import ReleaseEngineError

_log = logging.getLogger(__name__)

#: seconds that a turn waits where nothing happens
IDLE = 5.0

#: seconds between two tries where the bus is away: at first, and at most
BACKOFF, MAX_BACKOFF = 0.2, 5.0

#: seconds between two turns without work; a bus that was closed lets none of them wait
BREATH = 0.02

#: seconds between two looks at a stopping consumer, and at most between two where the bus is away
LOOK, MAX_LOOK = 0.2, 1.0

#: seconds at the end of a stop for steps that were cancelled; at most half of what the stop may take
LAST_WORDS = 10.0


class Turning(Protocol):
    """What a loop turns."""

    def turn(self, timeout: float) -> int:
        """Wait up to `timeout` seconds for something to do, and do it."""
        ...

    def wake(self) -> None:
        """Make a turn that waits return; from any thread."""
        ...

    def drain(self) -> None:
        """Begin nothing more."""
        ...

    def abandon(self, reason: str) -> None:
        """Cancel all that runs."""
        ...

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing is unsent."""
        ...

    def unsent(self) -> list[str]:
        """Ids of what could not be said yet; from any thread."""
        ...

    def close(self) -> None:
        """Let go of the bus."""
        ...


class PollingThread:
    """One consumer and its thread."""

    def __init__(self, name: str, turning: Turning) -> None:
        self._turning = turning
        self._stop = threading.Event()
        self._deadline = self._last_words = 0.0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to turn."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take nothing more, and be over in that time: running steps may end, then they are cancelled; returns at once."""
        self._deadline = time.monotonic() + seconds
        self._last_words = min(LAST_WORDS, seconds / 2)
        self._stop.set()
        self._turning.wake()

    def join(self) -> None:
        """Wait until it has stopped, little longer than the time that it was given. Then it is left alone.

        One that was never started is closed.
        """
        if self._thread.ident is None:
            self._turning.close()
            return
        self._thread.join(max(0.0, self._deadline - time.monotonic()) + MAX_LOOK)
        if self._thread.is_alive():
            self._complain()

    def _run(self) -> None:
        backoff = Backoff(BACKOFF, MAX_BACKOFF)
        while not self._stop.is_set():
            handled = self._turn(IDLE)
            if handled is None:
                self._stop.wait(backoff.next())
                continue
            backoff.reset()
            if not handled:
                self._stop.wait(BREATH)
        try:
            self._turning.drain()
            self._until(self._deadline - self._last_words)
            self._turning.abandon("the worker is stopping")
            self._until(self._deadline)
            if not self._turning.idle:
                self._complain()
        finally:
            self._turning.close()

    def _until(self, deadline: float) -> None:
        backoff = Backoff(2 * BREATH, MAX_LOOK)
        while not self._turning.idle and (left := deadline - time.monotonic()) > 0:
            handled = self._turn(min(LOOK, left))
            if handled is None:
                time.sleep(min(left, backoff.next()))
                continue
            backoff.reset()
            if not handled:
                time.sleep(min(left, BREATH))

    def _complain(self) -> None:
        unsent = self._turning.unsent()
        what = f"not sent: {', '.join(unsent[:20])}" if unsent else "a step still runs"
        _log.error("%s did not stop in time; %s", self._thread.name, what, extra={"action": "left_behind"})

    def _turn(self, timeout: float) -> int | None:
        """What the turn says; None where it raised."""
        try:
            return self._turning.turn(timeout)
        except ReleaseEngineError as error:
            _log.warning("%s waits: %s", self._thread.name, error, extra={"action": "bus_away"})
        except Exception:
            _log.exception("%s failed", self._thread.name, extra={"action": "loop_error"})
        return None
