"""Aggregates as their journals say, for those outside of the sequencer: read when the bus hints at news, once for all followers of one.

One thread, from the first follower until `close`. Nothing depends on a hint: every followed journal is read now and then. Must not
know any kind of aggregate, and nothing of the sequencer's memory.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from re_core import ports
from re_core.deployment.records import Entry
from re_core.errors import ReleaseEngineError
from re_core.ports import checkpoints, every_entry, foreign
from re_core.wire.messages import EVENTS, Message

#: seconds after which a journal is read though the bus has said nothing: the hint may be lost, and of what is no event none is given
NET = 10.0

#: seconds between two readings, and for how long, after this process began to listen or may have missed something: a core that
#: has found no listener believes for a second that there is none
TICK, WARM = 0.2, 3.0

#: seconds between two tries while the store or the bus is away
AGAIN = 1.0

#: aggregates without a follower that are remembered
MOST_IDLE = 64

_log = logging.getLogger(__name__)


class HasEntry(Protocol):
    """A state of any kind: it knows the number of its last entry."""

    entry: int


State = TypeVar("State", bound=HasEntry)


class Reading(NamedTuple, Generic[State]):
    """How journals of one kind are read."""

    kind: str
    begin: Callable[[str], State]
    #: (state, records, number, at) -> the state after that entry
    fold: Callable[[State, Sequence[Any], int, int], State]
    #: (key, document of a checkpoint) -> state; None where it cannot be read
    revive: Callable[[str, Mapping[str, Any]], State | None]
    #: what else the bus is asked for than the events of the kind
    keys: tuple[str, ...] = ()


class _Known(Generic[State]):
    """One aggregate."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.reading = threading.Lock()
        #: never changed: news make another one
        self.state: State | None = None
        #: number of the entry of which the followers know
        self.noted = 0
        self.wakes: list[Callable[[], None]] = []


class JournalReader(Generic[State]):
    """Thread-safe. The states that it gives are shared: who gets one must not change it."""

    def __init__(self, bus: ports.Bus, store: ports.Journal, reading: Reading[State]) -> None:
        self._bus, self._store, self._reading = bus, store, reading
        self._keys = (f"{EVENTS}{reading.kind}.*", *reading.keys)
        self._lock = threading.Lock()
        #: those with followers, and those that were asked for last
        self._known: dict[str, _Known[State]] = {}
        self._stirred: set[str] = set()
        self._bell = threading.Event()
        self._closed = False
        self._warm_until = 0.0
        self._thread: threading.Thread | None = None

    def state(self, key: str) -> State:
        """The aggregate as its journal has it now; that of `begin` where there is none. Raises StoreUnavailable, StoreRefused."""
        return self._read(self._of(key))

    def known(self, key: str) -> State:
        """The aggregate as it was read last, which costs nothing while it is followed. Raises as `state` where it never was."""
        known = self._of(key)
        return known.state if known.state is not None and known.wakes else self.state(key)

    def wait(self, key: str, seen: int, timeout: float) -> State | None:
        """The aggregate as soon as it has an entry with a number above `seen`; None after `timeout` seconds, or closed."""
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
            known = self._known.setdefault(key, _Known[State](key))
            known.wakes.append(wake)
            self._stirred.add(key)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._turn_until_closed, name=f"{self._reading.kind}-reader", daemon=True
                )
                self._thread.start()
        self._bell.set()
        try:
            yield
        finally:
            with self._lock:
                known.wakes.remove(wake)

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

    def _of(self, key: str) -> _Known[State]:
        with self._lock:
            known = self._known.pop(key, None) or _Known[State](key)
            self._known[key] = known  # the newest is the last
            idle = [one.key for one in self._known.values() if not one.wakes]
            for old in idle[: max(0, len(idle) - MOST_IDLE)]:
                del self._known[old]
        return known

    def _read(self, known: _Known[State]) -> State:
        with known.reading:
            before = known.state
            if before is None:
                known.state = state = self._loaded(known.key)
                return state
            state = before
            for entry in every_entry(self._store, known.key, before.entry):
                state = self._folded(_copied(state) if state is before else state, entry)
            known.state = state
            return state

    def _loaded(self, key: str) -> State:
        how = self._reading
        return checkpoints.load(
            self._store, key, lambda: how.begin(key), self._folded, lambda document: how.revive(key, document)
        )

    def _folded(self, state: State, entry: Entry) -> State:
        if entry.kind != self._reading.kind:
            raise foreign(entry)
        return self._reading.fold(state, entry.records, entry.number, entry.at)

    def _turn_until_closed(self) -> None:
        stop_listening: Callable[[], None] | None = None
        net = time.monotonic()
        try:
            while not self._closed:
                with suppress(ReleaseEngineError):  # of a bus that is away: tried again with the next reading
                    stop_listening = stop_listening or self._bus.listen(self._on_message, self._keys)
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


def _copied(state: State) -> State:
    """Its parts are immutable values, in dictionaries that the fold changes."""
    other = copy.copy(state)
    names: tuple[str, ...] = vars(type(state))["__slots__"]
    for name in names:
        if type(value := getattr(other, name)) is dict:
            setattr(other, name, value.copy())
    return other
