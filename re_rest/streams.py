"""Watching deployments: when the bus hints at news, the store is read once for all viewers of one. Must not know HTTP.

There is no thread here. Viewers wait on a condition, and whichever of them wakes first when a reading is due reads for
all; so a deployment without viewers costs nothing, and a viewer that is slow to take its events holds nothing up.
A viewer keeps only its position. What a slow one has missed is either still among the recent lines or in the store, and
one that is far behind skips ahead to them; states are whole documents, so that only the newest matters. Where all
viewers want states alone, no line is read. What a step printed is recorded beside the journal: a
state that has just come waits a moment for the output before it, and `Moment.before` says how much goes first.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

from re_core import ports
from re_core.api.answers import Deployment
from re_core.deployment.records import Entry
from re_core.deployment.state import State
from re_core.errors import ReleaseEngineError, TransientError
from re_core.model import ENDED
from re_core.rows import OutputLine
from re_core.usecases import history
from re_core.wire import strict_json
from re_core.wire.messages import Message

#: seconds between two readings of one deployment, at least
TICK = 0.2

#: seconds after which it is read though the bus has said nothing of it: a hint may be lost with a core or a connection.
#: This is a safety net, and finds nothing on most days
NET = 10.0

#: seconds for which it is read at every tick after this process began to listen, or may have missed something: a core that
#: has found no listener believes for a second that there is none
WARM = 3.0

#: readings take at most this share of the time, however long one takes
LOAD = 0.2

#: seconds that the output may be behind the journal: a few milliseconds where the machine is not busy
BEHIND = 0.05

#: lines that are kept for viewers that are nearly up to date
RECENT = 2000

#: lines that a viewer may be behind and still get each; one that is farther behind skips ahead to the recent ones
FAR = 10_000

#: readings without news after the end, before the output is believed to be complete
QUIET_READINGS = 2

#: milliseconds after the end when nothing more is expected of the output at all
SETTLED = 5_000


class Position(NamedTuple):
    """How far a viewer is: the journal entry whose state it has seen, and the last line of output."""

    entry: int = 0
    line: int = 0

    def lacks(self, at: Position) -> bool:
        """Whether a viewer here has not seen all that there is at `at`."""
        return at.entry > self.entry or at.line > self.line

    def joined(self, at: Position) -> Position:
        """The farther of both, in entries and in lines."""
        return Position(max(self.entry, at.entry), max(self.line, at.line))


class Moment(NamedTuple):
    """What a follower knows at one moment."""

    at: Position
    #: the deployment as JSON, written once for all viewers
    document: str
    state: State
    #: the last line of a step that this state says has ended: to be sent before the state
    before: int
    #: nothing more will come, unless it is retried
    over: bool


class Follower:
    """One deployment, read for all its viewers. Thread-safe."""

    def __init__(
        self, store: ports.Store, clock: ports.Clock, id: str, document: Callable[[State, str, int], Deployment]
    ) -> None:
        self._store, self._clock, self._id, self._document = store, clock, id, document
        self._changed = threading.Condition()
        self._reading = False
        #: when it may be read again, and when it is read in any case
        self._next = self._latest = 0.0
        #: something has happened since the last reading
        self._stirred = True
        #: until when the bus may say nothing though something happens
        self._warm_until = 0.0
        self._quiet = 0
        self._idle = 0.0
        self._lines: deque[OutputLine] = deque(maxlen=RECENT)
        self._moment: Moment | None = None
        self.viewers = 0
        #: those of them that want lines
        self.readers = 0
        self.closed = False

    def wait(self, seen: Position, timeout: float) -> Moment | None:
        """What is known, as soon as it is more than `seen`; after `timeout` seconds, or closed, None."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self.closed:
                moment, now = self._moment, time.monotonic()
                # what has ended may go on again: that nothing more comes is believed only while it is fresh
                if moment is not None and (now < self._next if moment.over else seen.lacks(moment.at)):
                    return moment
                if now >= deadline:
                    return None
                due = self._due(now)
                if now >= due and not self._reading:
                    self._read()
                else:
                    self._changed.wait((deadline if self._reading else min(deadline, due)) - now)
        return None

    def stir(self, warm: float = 0.0) -> None:
        """Something happened to it, or may happen without a hint for `warm` seconds. Does not wait for the store."""
        with self._changed:
            self._stirred = True
            self._warm_until = max(self._warm_until, time.monotonic() + warm)
            self._changed.notify_all()

    def _due(self, now: float) -> float:
        """When it is read next."""
        ended = self._moment is not None and self._moment.state.status in ENDED
        # that nothing more comes after an end, no hint says
        soon = self._stirred or ended or now < self._warm_until
        return self._next if soon else max(self._next, self._latest)

    def lines(self, after: int, upto: int) -> Iterator[OutputLine]:
        """The lines above `after`, up to and with `upto`."""
        while after < upto:
            with self._changed:
                known = bool(self._lines) and self._lines[0].number <= after + 1
                page = [line for line in self._lines if after < line.number <= upto] if known else []
            page = page or [line for line in self._store.output(self._id, after, RECENT) if line.number <= upto]
            if not page:
                return
            yield from page
            after = page[-1].number

    def close(self) -> None:
        """Wake every viewer for the end."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _read(self) -> None:
        """With the lock held on entry and on return, and let go while the store is asked."""
        self._reading, self._stirred, before, begun = True, False, self._moment, time.monotonic()
        self._changed.release()
        try:
            moment, lines, more = self._ask(before)
        except BaseException:
            more = False
            raise
        finally:
            self._changed.acquire()
            now = time.monotonic()
            self._reading, self._next = False, now + (0 if more else max(TICK, (now - begun - self._idle) / LOAD))
            self._latest, self._stirred = now + NET, self._stirred or more
            self._changed.notify_all()
        self._remember(lines)
        self._moment = moment

    def _remember(self, lines: list[OutputLine]) -> None:
        """Keep the last ones, without a hole between them: RECENT at most, and about as many characters as a page has."""
        if lines and self._lines and lines[0].number != self._lines[-1].number + 1:
            self._lines.clear()
        self._lines.extend(lines)
        size = sum(len(line.text) for line in self._lines)
        while size > ports.OUTPUT_PAGE and len(self._lines) > 1:
            size -= len(self._lines.popleft().text)

    def _ask(self, before: Moment | None) -> tuple[Moment, list[OutputLine], bool]:
        """What is known now, the lines that are new, and whether there are more of them already."""
        now = self._clock.now()
        if before is None:
            state, line = history.read(self._store, self._id), 0
            entries: list[Entry] = []
        else:
            state, line = before.state, before.at.line
            entries = self._store.entries(self._id, state.entry)
            history.advance(state, entries)
        self._idle = BEHIND if entries else 0.0
        if entries:
            self._let_output_come()
        last = max(line, self._store.last_line(self._id))
        lines = self._store.output(self._id, max(line, last - RECENT), RECENT) if self.readers and last > line else []
        at = Position(state.entry, lines[-1].number if lines else last)
        same = None if entries else before
        document = same.document if same else strict_json.dumps(self._document(state, self._id, now))
        self._quiet = self._quiet + 1 if before is not None and at == before.at else 0
        over = self._is_over(state, now) and at.line >= last
        printed = [line.number for line in lines if _has_ended(state, line)]
        moment = Moment(at, document, state, max([before.before if before else 0, *printed[-1:]]), over)
        return moment, lines, at.line < last

    def _let_output_come(self) -> None:
        time.sleep(BEHIND)

    def _is_over(self, state: State, now: int) -> bool:
        """The output is recorded beside the journal, so its last lines may come a little after the end."""
        if state.status not in ENDED or state.ended is None:
            return False
        return self._quiet >= QUIET_READINGS or now - state.ended > SETTLED


def _has_ended(state: State, line: OutputLine) -> bool:
    step = None if line.step is None else state.steps.get(line.step)
    return step is not None and step.ended_at is not None


class Streams:
    """The followers of all deployments that have viewers."""

    def __init__(
        self,
        store: ports.Store,
        clock: ports.Clock,
        document: Callable[[State, str, int], Deployment],
        seats: int,
        bus: ports.Bus,
    ) -> None:
        """`seats` is how many may watch at one time."""
        self._store, self._clock, self._document, self._bus = store, clock, document, bus
        self._listening = threading.Lock()
        #: ends the listening, while there are viewers
        self._stop_listening: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._seats = self._free = seats
        self._followers: dict[str, Follower] = {}
        self._closed = False

    @contextmanager
    def watch(self, id: str, lines: bool = True) -> Iterator[Follower]:
        """The deployment's follower, until its last viewer has left. `lines`: this one wants what is printed too."""
        with self._lock:
            follower = self._followers.setdefault(id, Follower(self._store, self._clock, id, self._document))
            follower.viewers += 1
            follower.readers += lines
            follower.closed = follower.closed or self._closed
        try:
            self._listen(follower)
            yield follower
        finally:
            with self._lock:
                follower.viewers -= 1
                follower.readers -= lines
                if not follower.viewers:
                    self._followers.pop(id, None)
            self._listen_no_longer()

    def _listen(self, follower: Follower) -> None:
        """With the first viewer, and as long as there is one; without a bus the store is read at every tick."""
        # not under the other lock: the bus calls `_on_message` under one of its own
        with self._listening:
            try:
                if self._stop_listening is None:
                    self._stop_listening = self._bus.listen(self._on_message)
            except ReleaseEngineError:
                follower.stir(inf)
                return
        follower.stir(WARM)

    def _listen_no_longer(self) -> None:
        with self._listening:
            if self._stop_listening is not None and not self._followers:
                stop, self._stop_listening = self._stop_listening, None
                stop()

    def _on_message(self, message: Message | None) -> None:
        """Called by a thread of the bus, for every deployment; most have no viewers here."""
        if message is None:
            for follower in list(self._followers.values()):
                follower.stir(WARM)
        elif (one := self._followers.get(message.correlation_id)) is not None:
            one.stir()

    def sit(self) -> None:
        """Take a seat; the caller must `leave`. Raises TransientError where none is free."""
        with self._lock:
            if not self._free:
                raise TransientError(
                    f"{self._seats} live viewers are connected, the most that RE_HTTP_THREADS allows; try again"
                )
            self._free -= 1

    def leave(self) -> None:
        """Give the seat back."""
        with self._lock:
            self._free += 1

    def watched(self) -> int:
        """How many deployments are watched."""
        with self._lock:
            return len(self._followers)

    def close(self) -> None:
        """End every stream, those that come later too."""
        with self._lock:
            self._closed = True
            followers = list(self._followers.values())
        for follower in followers:
            follower.close()
