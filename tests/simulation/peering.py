"""The net between pipelines: connections, posts, and what becomes of what is sent over them. Must not know what is said.

Envelopes are left out: a frame arrives as it was sent, or as one whose signature does not fit, which stands for all that a peer
refuses to read.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from re_core.errors import TransientError

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

#: kind of fault -> how many of it one seed may have, and how likely it is at each occasion; see faults.KINDS
WIRE: Mapping[str, tuple[int, float]] = {
    "frame refused": (4, 0.05),
    "frame repeated": (4, 0.05),
    "frame late": (4, 0.08),
    "connection cut": (4, 0.04),
    "post lost": (2, 0.1),
    "answer to a post lost": (2, 0.1),
    "hint lost": (6, 0.2),
    # of the world
    "peers away": (2, 1),
    "watchers gone": (1, 0.1),
    "two hold the links": (2, 1),
}

WIRE_LASTING: Mapping[str, tuple[int, int]] = {
    "frame late": (500, 70_000),
    "peers away": (5_000, 120_000),
    "two hold the links": (5_000, 60_000),
}

#: milliseconds that a frame takes
LATENCY = (0, 1, 40)

#: codes of close frames (docs/cdpm.md)
LOST, REPLACED, ENDED, REFUSED = 1006, 4000, 4001, 4003


class Away(TransientError):
    """The peer cannot be reached, or has not answered."""


class Mailbox:
    """What arrives at one place; an actor wakes for it (see Actor)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: list[tuple[int, int, Any]] = []
        #: way that it came -> when the last that was sent on it arrives
        self._last: dict[object, int] = {}
        self._numbers = itertools.count()
        #: whether something has arrived
        self.signal = False
        self._subscription = self

    def put(self, what: Any, late: int = 0, way: object = None) -> None:
        """It arrives behind all that was sent before it on the same way."""
        at = max(self._world.time.now + self._world.random.choice(LATENCY) + late, self._last.get(way, 0))
        if way is not None:
            self._last[way] = at
        heapq.heappush(self._waiting, (at, next(self._numbers), what))
        self._world.at(at, self._look)

    def take(self) -> Any:
        """The next; None where nothing has arrived."""
        self._look()
        if not self.signal:
            return None
        what = heapq.heappop(self._waiting)[2]
        self._look()
        return what

    def clear(self) -> None:
        self._waiting.clear()
        self.signal = False

    def _look(self) -> None:
        self.signal = bool(self._waiting) and self._waiting[0][0] <= self._world.time.now


class Frame(NamedTuple):
    """A message on a connection."""

    #: None: the receiver refuses to read it
    message: Any
    line: Line


class Line:
    """One connection, from the process of a link to that of a session."""

    def __init__(self, wire: Wire, link: Process, to_link: Mailbox, session: Process, to_session: Mailbox) -> None:
        self._wire, self._to_link, self._to_session = wire, to_link, to_session
        self.ends = link, session
        #: why it is closed; 0 while it is open
        self.code = 0
        #: the subscription that it is of, once that was said
        self.subscription = ""

    def to_link(self, message: Any) -> None:
        self._send(self._to_link, message)

    def to_session(self, message: Any) -> None:
        self._send(self._to_session, message)

    def close(self, code: int) -> None:
        """Both ends find it closed; what was sent before may still arrive at the session, and at the link does not matter."""
        self.code = self.code or code

    def _send(self, box: Mailbox, message: Any) -> None:
        faults = self._wire.world.faults
        if self.code:
            raise Away(f"the connection is closed: {self.code}")
        if faults.strike("connection cut"):
            if faults.random.random() < 0.5:
                box.put(Frame(message, self), 0, self)
            self.close(LOST)
            raise Away("the connection is cut")
        late = faults.lasting("frame late") if faults.strike("frame late") else 0
        box.put(Frame(None if faults.strike("frame refused") else message, self), late, self)
        if faults.strike("frame repeated"):
            box.put(Frame(message, self), late, self)


class Post:
    """A request over HTTP, and its answer."""

    def __init__(self, message: Any) -> None:
        self.message = message
        self.answer: Any = None


class Wire:
    """All connections."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: list[Line] = []
        #: time until which no peer reaches any other
        self.away_until = 0

    def dial(self, link: Process, to_link: Mailbox, session: Process, to_session: Mailbox) -> Line:
        """A new connection. Raises Away."""
        self._need(session)
        line = Line(self, link, to_link, session, to_session)
        self.lines = [one for one in self.lines if not one.code] + [line]
        return line

    def post(self, message: Any, session: Process, to_session: Mailbox, timeout: float) -> Any:
        """Send it, and wait for the answer. Raises Away."""
        self._need(session)
        faults = self.world.faults
        if faults.strike("post lost"):
            raise Away("the request did not arrive")
        post = Post(message)
        to_session.put(post)
        self.world.wait(lambda: post.answer is not None or not session.alive, timeout)
        if post.answer is None or faults.strike("answer to a post lost"):
            raise Away("no answer has come")
        return post.answer

    def part(self) -> None:
        """Nobody reaches anybody for a while."""
        self.away_until = self.world.time.now + self.world.faults.lasting("peers away")
        for line in self.lines:
            line.close(LOST)

    def bury(self, process: Process) -> None:
        """It is dead, and its connections with it."""
        for line in self.lines:
            if process in line.ends:
                line.close(LOST)

    def _need(self, session: Process) -> None:
        if self.world.time.now < self.away_until or not session.alive or session.frozen:
            raise Away("the peer is away")
