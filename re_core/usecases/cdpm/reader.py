"""Pipelines as their journals say, for those who serve peers: read when the bus hints at news, once for all followers of one.

One thread, from the first follower until `close`. Nothing depends on a hint: every followed journal is read now and then. Must not
know peers, and nothing of the sequencer's memory.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from re_core import ports
from re_core.cdpm.checkpoint import from_document
from re_core.cdpm.ids import KIND
from re_core.cdpm.records import Released
from re_core.cdpm.state import State, begin, fold
from re_core.cdpm.values import ReleaseRef
from re_core.deployment.records import Entry
from re_core.errors import NotFound, ReleaseEngineError
from re_core.ports import checkpoints, every_entry, foreign
from re_core.wire import strict_json
from re_core.wire.messages import EVENTS, Message

#: seconds after which a journal is read though the bus has said nothing: the hint may be lost, and of what is no event none is given
NET = 10.0

#: seconds between two readings, and for how long, after this process began to listen or may have missed something: a core that
#: has found no listener believes for a second that there is none
TICK, WARM = 0.2, 3.0

#: seconds between two tries while the store or the bus is away
AGAIN = 1.0

#: pipelines without a follower that are remembered, and documents of releases
MOST_IDLE, MOST_DOCUMENTS = 64, 64

#: what the bus is asked for
KEYS = (f"{EVENTS}{KIND}.*",)

_log = logging.getLogger(__name__)


class _Store(ports.Journal, Protocol):
    """The part of a store that is needed."""


class _Known:
    """One pipeline."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.reading = threading.Lock()
        #: never changed: news make another one
        self.state: State | None = None
        #: number of the entry of which the followers know
        self.noted = 0
        self.wakes: list[Callable[[], None]] = []


class PipelineReader:
    """Thread-safe. The states that it gives are shared: who gets one must not change it."""

    def __init__(self, bus: ports.Bus, store: _Store) -> None:
        self._bus, self._store = bus, store
        self._lock = threading.Lock()
        #: those with followers, and those that were asked for last
        self._known: dict[str, _Known] = {}
        self._documents: dict[tuple[str, ReleaseRef], bytes] = {}
        self._stirred: set[str] = set()
        self._bell = threading.Event()
        self._closed = False
        self._warm_until = 0.0
        self._thread: threading.Thread | None = None

    def state(self, key: str) -> State:
        """The pipeline as its journal has it now; that of `begin` where there is none. Raises StoreUnavailable, StoreRefused."""
        return self._read(self._of(key))

    def known(self, key: str) -> State:
        """The pipeline as it was read last, which costs nothing while it is followed. Raises as `state` where it never was."""
        known = self._of(key)
        return known.state if known.state is not None and known.wakes else self.state(key)

    def wait(self, key: str, seen: int, timeout: float) -> State | None:
        """The pipeline as soon as it has an entry with a number above `seen`; None after `timeout` seconds, or closed."""
        until, news = time.monotonic() + timeout, threading.Event()
        with self.follow(key, news.set):
            while not self._closed:
                news.clear()
                if (state := self.known(key)).entry > seen:
                    return state
                if (left := until - time.monotonic()) <= 0 or not news.wait(left):
                    return None
        return None

    @contextmanager
    def follow(self, key: str, wake: Callable[[], None]) -> Iterator[None]:
        """While this lasts, `wake` is called after `known` has changed, and when it is closed; it must not block."""
        with self._lock:
            known = self._known.setdefault(key, _Known(key))
            known.wakes.append(wake)
            self._stirred.add(key)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._turn_until_closed, name="cdpm-reader", daemon=True)
                self._thread.start()
        self._bell.set()
        try:
            yield
        finally:
            with self._lock:
                known.wakes.remove(wake)

    def document(self, key: str, ref: ReleaseRef) -> bytes:
        """The message of that release. Raises NotFound, StoreUnavailable, StoreRefused."""
        name = key, ref
        if (found := self._documents.get(name)) is not None:
            return found
        for entry in self._store.entries(key, ref.entry - 1, 1):
            for record in entry.records:
                if isinstance(record, Released) and record.n == ref.n:
                    document = strict_json.dumps(record.document).encode()
                    with self._lock:
                        while len(self._documents) >= MOST_DOCUMENTS:
                            self._documents.pop(next(iter(self._documents)))
                        self._documents[name] = document
                    return document
        raise NotFound(f"release {ref.n} is not in entry {ref.entry} of {key}")

    def close(self) -> None:
        """Follow nothing more; all that wait return."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            wakes = [wake for known in self._known.values() for wake in known.wakes]
        self._bell.set()
        for wake in wakes:
            wake()
        if thread is not None:
            thread.join(AGAIN)

    # -- reading -----------------------------------------------------------------------------------

    def _of(self, key: str) -> _Known:
        with self._lock:
            known = self._known.pop(key, None) or _Known(key)
            self._known[key] = known  # the newest is the last
            idle = [one.key for one in self._known.values() if not one.wakes]
            for old in idle[: max(0, len(idle) - MOST_IDLE)]:
                del self._known[old]
        return known

    def _read(self, known: _Known) -> State:
        with known.reading:
            before = known.state
            if before is None:
                known.state = state = _loaded(self._store, known.key)
                return state
            state = before
            for entry in every_entry(self._store, known.key, before.entry):
                state = _folded(_copied(state) if state is before else state, entry)
            known.state = state
            return state

    def _turn_until_closed(self) -> None:
        stop_listening: Callable[[], None] | None = None
        net = time.monotonic()
        try:
            while not self._closed:
                with suppress(ReleaseEngineError):  # of a bus that is away: tried again with the next reading
                    stop_listening = stop_listening or self._bus.listen(self._on_message, KEYS)
                now = time.monotonic()
                everything = now >= net or now < self._warm_until
                net = now + NET if everything else net
                pause = max(0.0, net - now)
                if now < self._warm_until:
                    pause = TICK
                if not self._read_all(everything) or stop_listening is None:
                    pause, net = AGAIN, now
                self._bell.wait(pause)
                self._bell.clear()
        finally:
            if stop_listening is not None:
                stop_listening()

    def _read_all(self, everything: bool) -> bool:
        """False where one of them cannot be read."""
        with self._lock:
            stirred, self._stirred = self._stirred, set()
            due = [known for known in self._known.values() if known.wakes and (everything or known.key in stirred)]
        done = True
        for known in due:
            try:
                state = self._read(known)
            except ReleaseEngineError as error:
                _log.info("%s cannot be read now: %s", known.key, error, extra={"action": "wait_and_retry"})
                done = False
                continue
            with self._lock:
                # another thread may have read it first
                wakes = list(known.wakes) if state.entry > known.noted else []
                known.noted = state.entry
            for wake in wakes:
                wake()
        return done

    def _on_message(self, message: Message | None) -> None:
        """Called by a thread of the bus."""
        if message is None:
            self._warm_until = time.monotonic() + WARM
        elif message.correlation_id in self._known:
            with self._lock:
                self._stirred.add(message.correlation_id)
        else:
            return
        self._bell.set()


def _loaded(store: _Store, key: str) -> State:
    return checkpoints.load(store, key, lambda: begin(key), _folded, lambda document: from_document(key, document))


def _folded(state: State, entry: Entry) -> State:
    if entry.kind != KIND:
        raise foreign(entry)
    return fold(state, entry.records, entry.number, entry.at)


def _copied(state: State) -> State:
    """Its parts are immutable values, in dictionaries that the fold changes."""
    other = copy.copy(state)
    for name in State.__slots__:
        if type(value := getattr(other, name)) is dict:
            setattr(other, name, value.copy())
    return other
