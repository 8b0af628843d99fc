"""The runners that are connected to this gateway, what each of them has, and which of them gets a release.

Thread-safe; does no I/O. Must not know streams or the store. A session is known by name and generation: the end of an old
stream never touches the session that replaced it. What a runner has is counted by this gateway: `active_releases` leaves out what
lies unread in the runner's stream, and comes too late.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

from re_gateways.forest.judge import Beat, SessionView
from re_gateways.forest.types import Type, chosen, texts

#: seconds for which a release that has ended still explains an `active_releases` that counts it
RECENT = 5.0

#: seconds after which a runner that is gone is forgotten although it may still be working on what was given up
FORGOTTEN = 24 * 3600.0

#: texts of types that one gateway serves at once: each has a queue of its own (re_workers.sdk, lanes)
MOST_TYPES = 256


class Registration(NamedTuple):
    """What a runner said when it registered, and what its enrolment says."""

    name: str
    #: host and port of its connection, as gRPC shows it
    peer: str
    types: tuple[Type, ...]
    #: `max_concurrent` of its registration
    offered: int
    #: releases that it may have at once
    parallel: int = 1
    #: `created` of its enrolment; 0 of an unknown runner
    since: int = 0

    def kind(self, text: str) -> Type | None:
        """The type of this runner that a playbook's text stands for."""
        return chosen(text, self.types)


class Session:
    """One stream of RegisterRunner."""

    def __init__(
        self,
        about: Registration,
        generation: int,
        now: float,
        send: Callable[[Any], None],
        close: Callable[[], None],
    ) -> None:
        self.send, self.close = send, close
        self.about = about
        self.generation = generation
        #: when it began, when something was read, on its stream or over its connection, and when on its stream
        self.began = self.heard = self.spoke = now
        #: when it was last written down how it was seen (enrolment.py)
        self.noted = 0.0
        #: the last two heartbeats
        self.beats: deque[Beat] = deque(maxlen=2)
        #: why the gateway ends it; empty while it does not
        self.ending = ""

    @property
    def name(self) -> str:
        """The runner's."""
        return self.about.name

    @property
    def active(self) -> int:
        """As the last heartbeat has it."""
        return self.beats[-1].active if self.beats else 0

    def view(self) -> SessionView:
        """For the judge."""
        return SessionView(self.generation, self.heard, tuple(self.beats))


class _Load:
    """What one runner has, whether or not it is connected."""

    def __init__(self, now: float) -> None:
        #: releases that it was assigned and that have not ended
        self.out: set[str] = set()
        #: of these, those that it has fetched
        self.begun: set[str] = set()
        #: given up by the gateway; the runner may still be working on them
        self.lingering: set[str] = set()
        #: (attempt, token) of claims under way
        self.reserved: set[tuple[str, str]] = set()
        #: when releases ended, the last ones
        self.ended: deque[float] = deque(maxlen=64)
        #: releases that its last heartbeat counted and that are not ours
        self.foreign = 0
        #: since when it has begun nothing
        self.idle = now
        #: since when it has no session; None while it has one
        self.gone: float | None = None
        #: when it was chosen last
        self.used = 0.0

    @property
    def busy(self) -> int:
        return max(len(self.out | self.lingering), len(self.begun) + self.foreign) + len(self.reserved)

    @property
    def empty(self) -> bool:
        return not (self.out or self.lingering or self.reserved)


class Sessions:
    """All sessions of this gateway."""

    def __init__(self, time: Callable[[], float], changed: Callable[[], None] = lambda: None) -> None:
        """`time`: seconds of a steady clock. `changed` is called, without a lock, when a runner has come, gone or become free."""
        self._time = time
        self.changed = changed
        self._lock = threading.RLock()
        self._sessions: dict[str, Session] = {}
        self._loads: dict[str, _Load] = {}
        #: attempt -> text of its type: those that were claimed and found no runner that may have them
        self._unplaced: dict[str, str] = {}
        self._generations = itertools.count(1)

    def __len__(self) -> int:
        return len(self._sessions)

    # sessions

    def enter(
        self,
        about: Registration,
        send: Callable[[Any], None] = lambda message: None,
        close: Callable[[], None] = lambda: None,
    ) -> tuple[Session, Session | None]:
        """The runner's session from now on, and the one that it replaces.

        `send` puts a message of the protocol on its stream, `close` ends it; both from any thread, at once.
        """
        with self._lock:
            now = self._time()
            session = Session(about, next(self._generations), now, send, close)
            old = self._sessions.get(about.name)
            self._sessions[about.name] = session
            self._load(about.name).gone = None
            self._forget_gone(now)
        self.changed()
        return session, old

    def leave(self, session: Session) -> bool:
        """Its stream has ended; whether the runner is gone by that."""
        with self._lock:
            if self._sessions.get(session.name) is not session:
                return False
            del self._sessions[session.name]
            load = self._load(session.name)
            load.gone, load.foreign = self._time(), 0
            self._tidy(session.name)
        self.changed()
        return True

    def beat(self, session: Session, active: int) -> None:
        """A heartbeat of it was read."""
        with self._lock:
            now = self._time()
            session.heard = session.spoke = now
            session.beats.append(Beat(now, active))
            if self._sessions.get(session.name) is not session:
                return
            load = self._load(session.name)
            recent = sum(1 for at in load.ended if now - at <= RECENT)
            if active <= len(load.begun):
                load.lingering.clear()
            before = load.foreign
            load.foreign = max(0, active - len(load.out) - recent)
            freed = load.foreign <= before
        if freed:
            self.changed()

    def heard(self, session: Session, spoke: bool = False) -> None:
        """A call came over its connection, or (`spoke`) another message on its stream."""
        session.heard = self._time()
        if spoke:
            session.spoke = session.heard

    def session(self, name: str) -> Session | None:
        """The runner's."""
        return self._sessions.get(name)

    def all(self) -> list[Session]:
        """All."""
        with self._lock:
            return list(self._sessions.values())

    def silent(self, seconds: float) -> list[Session]:
        """Those on whose stream nothing came for so long."""
        now = self._time()
        return [one for one in self.all() if now - one.spoke >= seconds]

    def of_peer(self, peer: str) -> Session | None:
        """The one session on that connection; None where there is none, or where a proxy carries several over it."""
        found = [one for one in self.all() if one.about.peer == peer]
        return found[0] if len(found) == 1 else None

    def knows(self, peer: str) -> bool:
        """Whether a session is on that connection."""
        return any(one.about.peer == peer for one in self.all())

    # what is offered

    def lanes(self) -> dict[str, int]:
        """Text of each type that a connected runner takes -> releases that are claimed at once.

        As many as those runners have, and once more that many where claimed ones wait for a runner: they would keep free runners from
        all others.
        """
        lanes: dict[str, int] = {}
        for session in self.all():
            for text in texts(session.about.types):
                if text in lanes or len(lanes) < MOST_TYPES:
                    lanes[text] = lanes.get(text, 0) + session.about.parallel
        with self._lock:
            waiting = Counter(self._unplaced.values())
        return {text: places + min(places, waiting[text]) for text, places in lanes.items()}

    # what they have

    def reserve(self, attempt: str, token: str, text: str, excluded: Collection[str] = ()) -> bool:
        """Keep a place of a runner for a claim; False where none is free."""
        with self._lock:
            session = self._free(text, excluded)
            if session is None:
                return False
            self._load(session.name).reserved.add((attempt, token))
            return True

    def unreserve(self, attempt: str, token: str) -> None:
        """That claim came to nothing."""
        self._drop(lambda key: key == (attempt, token))

    def choose(self, attempt: str, text: str, excluded: Collection[str]) -> tuple[Session, Type] | None:
        """The runner that gets it, which has it from now on; None where none is free.

        The one whose place was reserved for it, or else the one with the most free places.
        """
        with self._lock:
            session = self._reserved(attempt, text, excluded) or self._free(text, excluded)
            if session is None:
                return None
            self._unplaced.pop(attempt, None)
            self._drop(lambda key: key[0] == attempt, quiet=True)
            kind = chosen(text, session.about.types)
            assert kind is not None  # noqa: S101  # it was looked for by this text
            load = self._load(session.name)
            load.out.add(attempt)
            load.used = self._time()
            return session, kind

    def hold(self, name: str, release: str, begun: bool) -> None:
        """That runner has it: it was adopted, or has begun."""
        with self._lock:
            load = self._load(name)
            load.out.add(release)
            if begun:
                load.begun.add(release)

    def release(self, name: str, release: str, lingers: bool = False) -> None:
        """It has ended there. `lingers`: the runner may still be working on it; it is free after a heartbeat that says so."""
        with self._lock:
            load = self._loads.get(name)
            if load is None or release not in load.out:
                return
            load.out.discard(release)
            if release in load.begun:
                load.begun.discard(release)
                load.ended.append(self._time())
            if not load.begun:
                load.idle = self._time()
            if lingers:
                load.lingering.add(release)
            self._tidy(name)
        self.changed()

    def only(self, session: Session) -> str:
        """The one release that the runner has begun; empty where there is none, or several."""
        with self._lock:
            begun = self._load(session.name).begun
            return next(iter(begun)) if len(begun) == 1 else ""

    def idle_since(self, name: str, but: str) -> float:
        """Since when the runner has begun nothing but that release; infinite while it is at something."""
        with self._lock:
            load = self._load(name)
            return float("inf") if load.begun - {but} or load.foreign else load.idle

    def gone_since(self, name: str) -> float | None:
        """Since when it has no session; None where it has one, or never had one here."""
        load = self._loads.get(name)
        return None if load is None else load.gone

    # within the lock

    def _load(self, name: str) -> _Load:
        load = self._loads.get(name)
        if load is None:
            load = self._loads[name] = _Load(self._time())
        return load

    def _tidy(self, name: str) -> None:
        """Remember no runner that is gone and has nothing."""
        if name not in self._sessions and self._loads[name].empty:
            del self._loads[name]

    def _forget_gone(self, now: float) -> None:
        """Those that never came back to say that they are free."""
        gone = [name for name, load in self._loads.items() if load.gone is not None and now - load.gone >= FORGOTTEN]
        for name in gone:
            self._loads[name].lingering.clear()
            self._tidy(name)

    def _free_of(self, session: Session) -> int:
        return session.about.parallel - self._load(session.name).busy

    def _free(self, text: str, excluded: Collection[str]) -> Session | None:
        able = [one for one in self._able(text, excluded) if self._free_of(one) > 0]
        return max(able, key=lambda one: (self._free_of(one), -self._load(one.name).used), default=None)

    def _reserved(self, attempt: str, text: str, excluded: Collection[str]) -> Session | None:
        for session in self._able(text, excluded):
            if any(key[0] == attempt for key in self._load(session.name).reserved):
                return session
        return None

    def _able(self, text: str, excluded: Collection[str]) -> Iterable[Session]:
        return [
            one
            for one in self._sessions.values()
            if one.name not in excluded and not one.ending and chosen(text, one.about.types)
        ]

    def _drop(self, which: Callable[[tuple[str, str]], bool], quiet: bool = False) -> None:
        dropped = False
        with self._lock:
            for name, load in list(self._loads.items()):
                keys = {key for key in load.reserved if which(key)}
                load.reserved -= keys
                dropped = dropped or bool(keys)
                if keys:
                    self._tidy(name)
        if dropped and not quiet:
            self.changed()

    def wait(self, attempt: str, text: str) -> None:
        """It found no runner that may have it: from now on it keeps no runner from others."""
        with self._lock:
            new = attempt not in self._unplaced
            self._unplaced[attempt] = text
        self.forget_reservations(attempt)
        if new:
            self.changed()

    def stop_waiting(self, attempt: str) -> None:
        """It is carried out here no more."""
        with self._lock:
            waited = self._unplaced.pop(attempt, None) is not None
        if waited:
            self.changed()

    def forget_reservations(self, attempt: str) -> None:
        """No claim of that attempt is under way any more."""
        self._drop(lambda key: key[0] == attempt)
