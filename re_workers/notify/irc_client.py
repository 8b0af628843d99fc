"""Keeps us on IRC: one thread, one link after another, without end, and work done on the link that is up.

Must not know notices. The thread starts with the first work, since an engine that never sends on IRC need not
be there; from then on it stays, reconnecting with jittered, growing waits for as long as it takes.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from re_core.backoff import Backoff
from re_workers.notify.irc_link import QUIET, IrcLink
from re_workers.notify.irc_token_bucket import TokenBucket
from re_workers.notify.irc_wakeup import Stopped, Wakeup
from re_workers.notify.settings import IrcSettings

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: seconds between two attempts to connect: the first, and what doubling them stops at
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0

#: seconds to wait for the thread at the end; it may be in the middle of connecting
_PATIENCE = 5.0


class _Job(NamedTuple):
    work: Callable[[IrcLink], Any]
    result: Future[Any]


class IrcClient:
    """Does work on a connection that it keeps. `clock` gives monotonic seconds, `chance` numbers in [0, 1)."""

    def __init__(
        self,
        settings: IrcSettings,
        pace: Callable[[], TokenBucket] = TokenBucket,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        quiet: float = QUIET,
    ) -> None:
        self._settings = settings
        self._pace = pace
        self._clock = clock
        self._chance = chance
        self._quiet = quiet
        self._bell = Wakeup()
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._thread: threading.Thread | None = None
        self._closed = False

    def do(self, work: Callable[[IrcLink], T]) -> T:
        """What `work` returns, done on the link by the client's thread; waits for a connection being made.

        Raises OSError when there is no connection, when it is lost meanwhile, or when the client is closed;
        while the client waits to try again that is at once. Lets the work's own exceptions through.
        """
        job = _Job(work, Future())
        with self._lock:
            if self._closed:
                raise Stopped("the IRC handler is closed")
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="irc", daemon=True)
                self._thread.start()
        self._bell.ring()
        result: T = job.result.result()
        return result

    def close(self) -> None:
        """Leave the network; work that waits or is under way ends with Stopped."""
        with self._lock:
            first, self._closed = not self._closed, True
        if not first:
            return
        self._bell.stop()
        if self._thread:
            self._thread.join(_PATIENCE)
        if not (self._thread and self._thread.is_alive()):
            self._bell.close()

    def _run(self) -> None:
        error: OSError = Stopped("the IRC handler is closed")
        try:
            self._stay()
        except Stopped:
            pass
        except BaseException as bug:
            error = OSError(f"the IRC thread has died: {bug!r}")
            raise
        finally:
            with self._lock:
                self._closed = True
            self._fail_all(error)

    def _stay(self) -> None:
        backoff = Backoff(FIRST_WAIT, LONGEST_WAIT, self._chance)
        while True:
            since = self._clock()
            try:
                self._serve()
            except Stopped:
                raise
            except OSError as error:
                # A server that lets us in and throws us out at once is as little to be hurried as one that is down.
                if self._clock() - since >= LONGEST_WAIT:
                    backoff.reset()
                self._wait(backoff.next(), error)

    def _serve(self) -> None:
        link = IrcLink(self._settings, self._bell, self._pace(), self._clock, self._quiet)
        _log.info("connected as %s", link.nick, extra={"action": "irc_connected"})
        try:
            while True:
                while self._jobs:
                    self._do_next(link)
                link.listen()
        finally:
            link.close()

    def _do_next(self, link: IrcLink) -> None:
        job = self._jobs.popleft()
        try:
            job.result.set_result(job.work(link))
        except OSError as error:
            job.result.set_exception(error)
            raise
        except Exception as error:
            job.result.set_exception(error)

    def _wait(self, seconds: float, error: OSError) -> None:
        _log.warning(
            "no connection to %s:%d: %s; next attempt in %.1f s",
            *(self._settings.host, self._settings.port, error, seconds),
            extra={"action": "irc_disconnected"},
        )
        until = self._clock() + seconds
        self._fail_all(error)
        while (left := until - self._clock()) > 0:
            self._bell.wait(None, left)
            self._fail_all(error)

    def _fail_all(self, error: OSError) -> None:
        while self._jobs:
            self._jobs.popleft().result.set_exception(error)
