"""A release in the memory of the gateway that answers for it: its row, and what was seen of its runner since.

Any thread may call. Must not know streams, the store, or what is concluded.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core.rows import Release
from re_gateways.forest.judge import Evidence, HalfClosed
from re_gateways.forest.sessions import Sessions

#: characters of lines that wait for the step's thread; the stream of logs is read no further meanwhile
MAX_WAITING = 256 * 1024

#: characters of the log that are kept for a plan without a text of its own
MAX_LOG = 256 * 1024

#: what the log of a release begins with whose beginning another gateway had, and ends with where it is longer
MISSING, CUT = "[the lines from before a gateway took the release over are in the step's output]", "… (cut)"

#: lines of the end of the log that a failure repeats, and characters of them
TAIL, MAX_TAIL = 3, 600


class Order(NamedTuple):
    """What the playbook says."""

    type: str
    organisation: str
    project: str
    destination: Mapping[str, Any]
    artifact: str
    mode: str


class ReleaseProgress:
    """One release."""

    def __init__(self, row: Release, order: Order, time: Callable[[], float]) -> None:
        self.row = row
        self.order = order
        self._time = time
        self._lock = threading.Lock()
        #: set when there is something for the step's thread to look at
        self.wake = threading.Event()
        self.began = time()
        #: no runner has it since then
        self.waits_since = self.began
        self.assigned = self.began
        self.called: float | None = self.began if row.called is not None else None
        self.active = self.began
        self.held_by = 0
        #: generation of the session that was sent the assignment; 0 where another gateway sent it
        self.sent_to = 0
        self.logs = 0
        self.half_closed: HalfClosed | None = None
        self.completing = 0
        self.cancelled = self.began if _is_cancelled(row) else None
        #: since when its row has its end
        self.ended: float | None = None
        #: the token of its assignment, where this gateway made it, and whether the runner was sent it
        self.secret = ""
        self.sent = False
        #: the runner that the sessions counts it for, and why that has it no more
        self.held = ""
        self.why = ""
        #: earlier attempts of the step are out of the way; runners that handed any of them back
        self.cleared = False
        self.excluded: frozenset[str] = frozenset()
        #: since when an earlier attempt is awaited
        self.clearing: float | None = None
        #: another gateway had lines of its log
        self.partial = False
        #: exceptions that no code expected
        self.mistakes = 0
        self._lines: deque[str] = deque()
        self._size = 0
        self._log: list[str] = []
        self._log_size = 0
        self._tail: deque[str] = deque(maxlen=TAIL)

    def learn(self, row: Release, generation: int = 0) -> None:
        """The row as it is now, or was at some time; `generation`: of the session that its runner has now, 0 for none."""
        with self._lock:
            if row.version <= self.row.version:
                return
            before, self.row = self.row, row
            if row.token != before.token:
                self._begin(row)
            if row.called is not None and self.called is None:
                self.called = self.active = self._time()
                self.held_by = generation
            if self.cancelled is None and _is_cancelled(row):
                self.cancelled = self._time()
            if self.ended is None and row.status in ("ended", "reported"):
                self.ended = self._time()
        self.wake.set()

    def _begin(self, row: Release) -> None:
        """Another runner has it, or none."""
        self.assigned = self.active = self._time()
        self.called, self.held_by, self.half_closed = None, 0, None
        if not row.token:
            self.waits_since = self._time()

    # logs

    def opened(self) -> None:
        """A stream of its logs has begun."""
        with self._lock:
            self.logs += 1
            self.half_closed = None
            self.active = self._time()

    def closed(self, generation: int, half_closed: bool) -> None:
        """A stream of its logs has ended, while its runner had the session of that generation; `half_closed`: by the runner."""
        with self._lock:
            self.logs -= 1
            if half_closed and not self.logs:
                self.half_closed = HalfClosed(self._time(), generation)
        self.wake.set()

    def line(self, text: str) -> None:
        """A line of the runner."""
        with self._lock:
            self.active = self._time()
            self._lines.append(text)
            self._size += len(text) + 1
            self._tail.append(text)
            if self._log_size < MAX_LOG:
                self._log.append(text)
                self._log_size += len(text) + 1
        self.wake.set()

    @property
    def full(self) -> bool:
        """The step's thread has not taken the lines yet; no more shall be read."""
        return self._size >= MAX_WAITING

    def take_lines(self) -> list[str]:
        """The lines since the last time, for the step's thread."""
        with self._lock:
            lines = list(self._lines)
            self._lines.clear()
            self._size = 0
        return lines

    def tail(self, redact: Callable[[str], str]) -> str:
        """How its log ends; `redact` gets whole lines, since a cut can divide what it looks for."""
        return redact("\n".join(self._tail))[-MAX_TAIL:]

    def log(self) -> str:
        """Its log from the beginning, as far as it is kept; it says what is missing."""
        with self._lock:
            before = [MISSING] if self.partial else []
            behind = [CUT] if self._log_size >= MAX_LOG else []
            return "\n".join([*before, *self._log, *behind])

    # completions

    def arrives(self) -> None:
        """A completion has come and is not stored yet."""
        with self._lock:
            self.completing += 1

    def arrived(self) -> None:
        """It is stored, or refused."""
        with self._lock:
            self.completing -= 1
        self.wake.set()

    def evidence(self, sessions: Sessions, calm: float) -> Evidence:
        """For the judge. `calm`: since when this process has not paused."""
        session = sessions.session(self.row.runner)
        gone = None if session else sessions.gone_since(self.row.runner)
        if self.called is None and (session is None or session.generation != self.sent_to):
            # the stream that it was sent on is no more, and what a runner has not read of it is lost
            gone = max(self.assigned, session.began if session else gone or 0.0)
        with self._lock:
            return Evidence(
                assigned=self.assigned,
                idle=sessions.idle_since(self.row.runner, self.row.id),
                called=self.called,
                active=self.active,
                held_by=self.held_by,
                session=session.view() if session else None,
                gone=gone,
                logs=self.logs,
                half_closed=self.half_closed,
                completing=self.completing > 0,
                cancelled=self.cancelled,
                calm=calm,
            )


class ReleasesInProgress:
    """Those that this gateway answers for. Thread-safe."""

    def __init__(self) -> None:
        self._in_progress: dict[str, ReleaseProgress] = {}

    def __len__(self) -> int:
        return len(self._in_progress)

    def add(self, progress: ReleaseProgress) -> None:
        """From now on it is known."""
        self._in_progress[progress.row.id] = progress

    def remove(self, progress: ReleaseProgress) -> None:
        """Its step has ended in this process."""
        if self._in_progress.get(progress.row.id) is progress:
            del self._in_progress[progress.row.id]

    def get(self, id: str) -> ReleaseProgress | None:
        """That of an attempt."""
        return self._in_progress.get(id)

    def all(self) -> list[ReleaseProgress]:
        """In no order."""
        return list(self._in_progress.values())


def _is_cancelled(row: Release) -> bool:
    return row.end is not None and row.end["kind"] == "cancelled"
