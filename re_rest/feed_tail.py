"""The end of the feed, read once for all its followers in this process. Must not know HTTP.

One thread, while there are followers. The bus hints that something has happened, and the thread reads the store: so nothing
is missed that the bus did not say, and many events at once are one reading. Followers keep only their place. What they have missed
is either among the recent events here or in the store, where each reads for itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from re_core import ports
from re_core.errors import ReleaseEngineError
from re_core.usecases.feed import Cursor, FeedReader, PlacedEvent, cloud_event
from re_core.wire import strict_json
from re_core.wire.messages import EVENTS, Message

#: seconds from one reading to the next: a thousand events a second are twenty readings
PAUSE = 0.05

#: seconds after which the store is read though the bus has said nothing: it may have lost the message of a core that
#: died, and a core believes for a second that nothing listens. This is a safety net, and finds nothing on most days
NET = 10.0

#: seconds between two readings, and for how long, after this process began to listen or may have missed something
TICK, WARM = 0.2, 3.0

#: seconds between two tries while the store or the bus is away
AGAIN = 1.0

#: events that are kept for followers that are nearly up to date, and bytes of them
RECENT, MOST_BYTES = 10_000, 8 * 1024 * 1024

#: events that a follower gets at once
PORTION = 500

_log = logging.getLogger(__name__)


class Frame(NamedTuple):
    """One event as it is sent, made once for all followers."""

    at: Cursor
    group: str
    kind: str
    type: str
    data: bytes


class Portion(NamedTuple):
    """What comes next for a follower, and how far it reaches; `lost`: what came before is not kept any more."""

    frames: Sequence[Frame]
    at: Cursor
    lost: bool = False


class FeedTail:
    """Thread-safe."""

    def __init__(self, bus: ports.Bus, store: ports.Store) -> None:
        self._bus, self._store = bus, store
        self._changed = threading.Condition()
        self._followers = 0
        self._closed = False
        self._run: _Run | None = None
        self._recent: deque[Frame] = deque()
        self._bytes = 0
        #: all events behind `_begin` up to `_end` are among the recent ones; None until the first reading
        self._begin: Cursor | None = None
        self._end = Cursor(0)

    @contextmanager
    def follow(self) -> Iterator[None]:
        """While this lasts, `next` waits for what comes."""
        with self._changed:
            self._followers += 1
            if self._run is None and not self._closed:
                self._run = _Run(self)
        try:
            yield
        finally:
            with self._changed:
                self._followers -= 1
                run = self._run if not self._followers else None
                if run is not None:
                    self._run = None
                    self._forget()
            if run is not None:
                run.stop()

    @property
    def closed(self) -> bool:
        """Whether nothing more comes."""
        return self._closed

    def newest(self) -> Cursor:
        """Where the feed ends now. Raises StoreUnavailable."""
        return Cursor(self._store.feed_range().newest)

    def next(self, reader: FeedReader, at: Cursor, timeout: float) -> Portion | None:
        """What follows `at`; None where nothing came in `timeout` seconds, or it was closed. Raises StoreUnavailable.

        `reader` is the follower's own, for what is not among the recent events.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._closed:
                if self._begin is not None and self._end > at:
                    if at >= self._begin:
                        return self._portion(at)
                    break
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            if self._closed:
                return None
        return self._older(reader, at)

    def close(self) -> None:
        """Let all followers go."""
        with self._changed:
            self._closed = True
            run, self._run = self._run, None
            self._changed.notify_all()
        if run is not None:
            run.stop()

    def _portion(self, at: Cursor) -> Portion:
        """With the lock held."""
        # most followers are near the end
        frames: list[Frame] = []
        for frame in reversed(self._recent):
            if frame.at <= at:
                break
            frames.append(frame)
        frames.reverse()
        portion = frames[:PORTION]
        return Portion(portion, portion[-1].at if len(portion) < len(frames) else self._end)

    def _older(self, reader: FeedReader, at: Cursor) -> Portion:
        before = self._store.feed_range().before
        lost = 0 < at.position < before
        events, reached = reader.after(Cursor(before) if lost else at)
        return Portion([_frame(one) for one in events], reached, lost)

    def _forget(self) -> None:
        """With the lock held."""
        self._recent.clear()
        self._bytes, self._begin = 0, None

    def _append(self, run: _Run, begin: Cursor, frames: Sequence[Frame], end: Cursor) -> None:
        with self._changed:
            if run is not self._run:
                return
            if self._begin is None:
                self._begin = begin
            self._recent.extend(frames)
            self._bytes += sum(len(frame.data) for frame in frames)
            while len(self._recent) > RECENT or self._bytes > MOST_BYTES:
                dropped = self._recent.popleft()
                self._begin = dropped.at
                self._bytes -= len(dropped.data)
            self._end = end
            self._changed.notify_all()


class _Run:
    """From the first follower to the last."""

    def __init__(self, tail: FeedTail) -> None:
        self._tail = tail
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._warm_until = 0.0
        self._thread = threading.Thread(target=self._turn_until_stopped, name="feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended, or after a moment where it waits for the store."""
        self._stopped.set()
        self._wake.set()
        self._thread.join(AGAIN)

    def _turn_until_stopped(self) -> None:
        reader = FeedReader(self._tail._store)
        end: Cursor | None = None
        stop_listening = None
        try:
            while not self._stopped.is_set():
                try:
                    stop_listening = stop_listening or self._tail._bus.listen(self._on_message)
                    end = self._read(reader, end)
                except ReleaseEngineError as error:
                    _log.info("the feed cannot be read at the moment: %s", error, extra={"action": "wait_and_retry"})
                    self._stopped.wait(AGAIN)
                    continue
                self._stopped.wait(PAUSE)
                self._wake.wait(NET if time.monotonic() >= self._warm_until else TICK)
                self._wake.clear()
        finally:
            if stop_listening is not None:
                stop_listening()

    def _on_message(self, message: Message | None) -> None:
        if message is None:
            self._warm_until = time.monotonic() + WARM
        elif not message.key.startswith(EVENTS):
            return
        self._wake.set()

    def _read(self, reader: FeedReader, end: Cursor | None) -> Cursor:
        """All that is there; how far that reaches."""
        if end is None:
            end = self._tail.newest()
            self._tail._append(self, end, (), end)
        while not self._stopped.is_set():
            events, reached = reader.after(end)
            if reached == end:
                break
            self._tail._append(self, end, [_frame(one) for one in events], reached)
            end = reached
        return end


def _frame(one: PlacedEvent) -> Frame:
    event = cloud_event(one.event)
    data = f"id: {one.at}\ndata: {strict_json.dumps(event)}\n\n".encode()
    return Frame(one.at, one.event.group, one.event.kind, event["type"], data)
