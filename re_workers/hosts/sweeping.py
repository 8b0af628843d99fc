"""Removes records of runs from their hosts once the journal has the outcomes of their attempts. Must not know how a host is reached.

It is done a while later, for all attempts of a host at once: what a session costs the host is more than the removal. What is forgotten
here, because a worker dies or a host is away, goes by the age of the record (HostRuns.tidy).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

from re_workers.hosts.port import HostError, RunKey

#: seconds between the word of a journal and the removal, and those that the removals of an end take
SWEEP_AFTER, FAREWELL = 30.0, 3.0
#: attempts whose hosts are remembered, and hosts whose removals wait
MOST_ATTEMPTS, MOST_HOSTS = 10_000, 4096

_log = logging.getLogger(__name__)


class Swept(Protocol):
    """A host, as one user there."""

    @property
    def host(self) -> str:
        """Its name."""
        ...

    def sweep(self, keys: Iterable[RunKey]) -> int:
        """See HostRunner."""
        ...


class Sweeper:
    """Of one process; to be closed. Thread-safe."""

    def __init__(self, after: float = SWEEP_AFTER) -> None:
        """`after`: seconds."""
        self._after = after
        self._lock, self._closing = threading.Lock(), threading.Event()
        #: attempt -> what tells a host and user apart -> the host
        self._ran: OrderedDict[str, dict[str, Swept]] = OrderedDict()
        #: the same host -> attempts whose records may go
        self._due: OrderedDict[str, tuple[Swept, list[RunKey]]] = OrderedDict()
        self._thread: threading.Thread | None = None

    def note(self, identity: str, host: Swept, attempt: str) -> None:
        """The attempt has a record there."""
        with self._lock:
            self._ran.setdefault(attempt, {})[identity] = host
            self._ran.move_to_end(attempt)
            while len(self._ran) > MOST_ATTEMPTS:
                self._ran.popitem(last=False)

    def kept(self, attempt: str) -> None:
        """Its outcome is in the journal. Returns at once."""
        with self._lock:
            for identity, host in self._ran.pop(attempt, {}).items():
                _, keys = self._due.setdefault(identity, (host, []))
                keys.append(RunKey(attempt, host.host))
            while len(self._due) > MOST_HOSTS:
                self._due.popitem(last=False)
            if self._due and self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Remove what is due, as far as that takes no longer than FAREWELL."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(FAREWELL)

    def _run(self) -> None:
        """Until there is nothing left to remove."""
        while True:
            self._closing.wait(self._after)
            until = time.monotonic() + FAREWELL
            while (found := self._next()) is not None:
                self._sweep(*found)
                if self._closing.is_set() and time.monotonic() > until:
                    return
            with self._lock:
                if not self._due:
                    self._thread = None
                    return

    def _next(self) -> tuple[Swept, list[RunKey]] | None:
        with self._lock:
            return self._due.popitem(last=False)[1] if self._due else None

    @staticmethod
    def _sweep(host: Swept, keys: list[RunKey]) -> None:
        try:
            host.sweep(keys)
        except HostError as error:
            _log.info(
                "%s: records of runs stay until they are old: %s", host.host, error, extra={"action": "host_records"}
            )
        except Exception:  # a runner may be any package's; those of other hosts go on
            _log.exception("%s: records of runs stay until they are old", host.host, extra={"action": "host_records"})
