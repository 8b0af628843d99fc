"""A thread that takes turns until it is stopped. Must not know what a turn does."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from re_core.backoff import Backoff
from re_core.errors import ReleaseEngineError, TransientError
from re_core.ports import ThreadFigures

#: seconds between two tries while the store or the bus is away: the first pause, and the longest
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

#: seconds for which a failure is believed to last while nothing shows that it is over
REMEMBERED = 5.0

_log = logging.getLogger(__name__)


class PollingThread:
    """Calls `turn` again and again on a thread of its own."""

    def __init__(self, name: str, turn: Callable[[], object], on_fatal: Callable[[Exception], None]) -> None:
        """`on_fatal` is called, on the thread, with the reason why it cannot go on: an operator must act."""
        self._turn = turn
        self._on_fatal = on_fatal
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        #: when a turn failed last, and what it waits for
        self._failed: tuple[float, str] | None = None
        #: when a turn went well last, or none was due yet; seconds of the monotonic clock
        self._went_well = time.monotonic()
        #: reason of an error -> turns that failed by it; there are a handful
        self._errors: Counter[str] = Counter()

    @property
    def trouble(self) -> str:
        """What it waits for; empty where the last turn went well, or none has failed for REMEMBERED seconds.

        Cleared after a while, because a turn that finds nothing to do proves nothing: a later turn has to try again.
        """
        return self.failure(REMEMBERED)

    def failure(self, within: float) -> str:
        """Why the last turn that had something to do failed, in the last `within` seconds; empty where it did not."""
        failed = self._failed
        return failed[1] if failed and time.monotonic() - failed[0] < within else ""

    @property
    def name(self) -> str:
        """What it was called."""
        return self._thread.name

    @property
    def figures(self) -> ThreadFigures:
        """Whether it keeps up."""
        return ThreadFigures(time.monotonic() - self._went_well, dict(self._errors))

    @property
    def alive(self) -> bool:
        """Whether it still takes turns."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def request_stop(self) -> None:
        """No further turn begins; the one under way ends by itself."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Wait for the last turn; False where it did not end in `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def pause(self, seconds: float) -> None:
        """For a turn that has nothing to do: returns early when the thread is stopped."""
        self._stop.wait(seconds)

    def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not self._stop.is_set():
            try:
                if self._turn():
                    self._failed = None
                self._went_well = time.monotonic()
                backoff.reset()
            except TransientError as error:
                wait = backoff.next()
                self._errors[error.reason] += 1
                _log.warning("%s; trying again in %.1f s", error, wait, extra={"action": "wait_and_retry"})
                self._failed = (time.monotonic(), str(error))
                self._stop.wait(wait)
            except ReleaseEngineError as error:
                _log.critical("%s", error, extra={"action": "cannot_go_on"})
                self._on_fatal(error)
                return
            except Exception as error:
                # a bug: the deliveries of this turn come again after a restart, and must not spin the thread meanwhile
                _log.critical("this is a bug: %r", error, exc_info=error, extra={"action": "bug"})
                self._on_fatal(error)
                return
