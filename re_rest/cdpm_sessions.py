"""Connections of dependents, a thread each: what comes is heard, and releases are sent in order until they are acknowledged.

Must not know HTTP, nor how a message is judged. A thread that waits takes 20 KiB and no time (docs/decisions/0030).
"""

from __future__ import annotations

import logging
import resource
import threading
import time
from typing import NamedTuple

from re_core.cdpm.ids import ReleaseKey
from re_core.cdpm.values import ReleaseRef
from re_core.errors import ReleaseEngineError, TransientError
from re_core.ports.peering import Channel, ChannelClosed, PeerRefused
from re_core.usecases.cdpm.dependents import Dependents, Subscriber
from re_core.usecases.cdpm.refusals import Counts

#: seconds in which the first frame must come
OPEN_WITHIN = 10.0

#: seconds after which what is not acknowledged is sent again, and between two looks whether a newer connection is elsewhere
AGAIN = 60.0

#: releases that may be sent again: those that a pipeline keeps
MOST_UNACKNOWLEDGED = 100

#: refused frames of one connection in a minute
MOST_REFUSED = 10

#: seconds that all connections together get to be closed when the server stops
FAREWELL = 2.0

#: share of the connections that may not have said yet whose they are: of more, the oldest is closed
UNOPENED = 4

#: descriptors of one connection: its socket, and what wakes it; and those that are left to everything else
_EACH, _OTHERS = 2, 64

#: codes of close frames (docs/cdpm.md, "The connection")
STOPPING, REFUSED_TOO_OFTEN, INTERNAL, LATER = 1001, 1008, 1011, 1013
REPLACED, ENDED, NOT_OPENED, NOT_OPEN = 4000, 4001, 4003, 4008

_log = logging.getLogger(__name__)


class _Stop(NamedTuple):
    code: int
    reason: str


class PeerSessions:
    """All connections of one process. Thread-safe."""

    def __init__(self, dependents: Dependents, most: int) -> None:
        """`most` connections, or as many as the process may have descriptors for beside those of the server."""
        self.dependents = dependents
        self._most = _bounded(most)
        self._lock = threading.Lock()
        self._free = self._most
        self._closed = False
        #: those that have not said whose they are, oldest first
        self._unopened: dict[PeerSession, None] = {}
        #: subscription -> its newest connection
        self._opened: dict[str, PeerSession] = {}

    def sit(self) -> None:
        """Take a seat for a connection that comes; the caller must `leave`, or start a session. Raises TransientError."""
        with self._lock:
            if self._closed:
                raise TransientError("the server stops; try again")
            if not self._free:
                raise TransientError(
                    f"{self._most} pipelines are connected, the most that RE_CDPM_CONNECTIONS and the limit of open files "
                    "allow; try again later"
                )
            self._free -= 1

    def leave(self) -> None:
        """Give the seat back."""
        with self._lock:
            self._free += 1

    def start(self, channel: Channel, address: str) -> None:
        """Serve this connection, on a seat that was taken."""
        session = PeerSession(self, channel, address)
        with self._lock:
            oldest = list(self._unopened)[: max(0, len(self._unopened) + 1 - max(1, self._most // UNOPENED))]
            self._unopened[session] = None
            closed = self._closed
        for one in oldest:
            one.stop(NOT_OPEN, "others wait to connect")
        if closed:
            session.stop(STOPPING, "the server stops")
        try:
            threading.Thread(target=session.run, name="cdpm-session", daemon=True).start()
        except RuntimeError as error:  # the system has no thread left
            _log.warning("a connection of a pipeline cannot be served: %s", error, extra={"action": "cdpm_session"})
            channel.close(LATER, "try again later")
            self.ended(session, "")

    def opened(self, session: PeerSession, subscription: str) -> None:
        """It has said whose it is; an older one of that subscription ends."""
        with self._lock:
            self._unopened.pop(session, None)
            before = self._opened.get(subscription)
            self._opened[subscription] = session
        if before is not None:
            before.stop(REPLACED, "a newer connection of this subscription")

    def ended(self, session: PeerSession, subscription: str) -> None:
        """Its thread ends."""
        with self._lock:
            self._unopened.pop(session, None)
            if self._opened.get(subscription) is session:
                del self._opened[subscription]
            self._free += 1

    def count(self) -> int:
        """How many there are."""
        return self._most - self._free

    def close(self) -> None:
        """End all of them, and those that come later; waits FAREWELL at most."""
        with self._lock:
            self._closed = True
            sessions = [*self._unopened, *self._opened.values()]
        for session in sessions:
            session.stop(STOPPING, "the server stops")
        until = time.monotonic() + FAREWELL
        for session in sessions:
            session.gone.wait(max(0.0, until - time.monotonic()))
        self.dependents.close()


class PeerSession:
    """One connection."""

    def __init__(self, sessions: PeerSessions, channel: Channel, address: str) -> None:
        self._sessions, self._dependents = sessions, sessions.dependents
        self._channel, self._address = channel, address
        self._stop: _Stop | None = None
        self.gone = threading.Event()
        self._refused = Counts()
        #: after which release it goes on
        self._last: ReleaseKey | None = None
        #: sent, and not acknowledged, oldest first
        self._unacknowledged: list[ReleaseRef] = []
        self._sent_at = 0.0
        self._acknowledges = False
        #: kid of the key that signs, and digest of the node's cdpm.yml when that was looked at
        self._kid = self._digest = ""
        #: one release was sent again to a peer that never acknowledges any
        self._repeated = False

    def stop(self, code: int, reason: str) -> None:
        """End it, from any thread; the first reason counts."""
        self._stop = self._stop or _Stop(code, reason)
        self._channel.wake()

    def run(self) -> None:
        """Until it ends."""
        subscription = ""
        try:
            peer = self._open()
            if peer is not None:
                subscription = peer.subscription
                self._sessions.opened(self, subscription)
                self._serve(peer)
        except ChannelClosed as closed:
            _log.debug("a connection of a pipeline has ended: %s", closed, extra={"action": "cdpm_session"})
        except ReleaseEngineError as error:
            _log.info("a pipeline cannot be served now: %s", error, extra={"action": "wait_and_retry"})
            self._channel.close(LATER, "try again later")
        except Exception as error:
            _log.critical("this is a bug: %r", error, exc_info=error, extra={"action": "bug"})
            self._channel.close(INTERNAL, "internal error")
        finally:
            self._channel.close(1000, "")
            self._sessions.ended(self, subscription)
            self.gone.set()

    def _open(self) -> Subscriber | None:
        """Whose connection it is; None where it is closed instead. Raises ChannelClosed, TransientError."""
        until = time.monotonic() + OPEN_WITHIN
        try:
            while (text := self._channel.take(max(0.0, until - time.monotonic()))) is None:
                if self._stop is not None:
                    self._channel.close(*self._stop)
                    return None
                if time.monotonic() >= until:
                    self._channel.close(NOT_OPEN, f"no open within {OPEN_WITHIN:g} s")
                    return None
        except PeerRefused as refused:
            self._dependents.refused(refused, self._address)
            return None
        try:
            return self._dependents.open(text, self._address)
        except PeerRefused as refused:
            self._channel.close(NOT_OPENED, refused.code)
            return None

    def _serve(self, peer: Subscriber) -> None:
        self._last, self._acknowledges = peer.last, peer.acknowledges
        look = time.monotonic() + AGAIN
        with self._dependents.reader.follow(peer.key, self._channel.wake):
            while self._stop is None:
                self._follow_file(peer)
                if not self._send_new(peer):
                    self.stop(ENDED, "the subscription has ended")
                    break
                now = time.monotonic()
                if now >= look:
                    look = now + AGAIN
                    if self._dependents.is_replaced(peer):
                        self.stop(REPLACED, "a newer connection of this subscription")
                        break
                repeat = self._sent_at + AGAIN if self._awaits() else look
                if now >= repeat:
                    self._send_again(peer)
                    continue
                self._take(peer, min(look, repeat) - now)
        if self._stop is not None:
            self._channel.close(*self._stop)

    def _take(self, peer: Subscriber, timeout: float) -> None:
        try:
            text = self._channel.take(timeout)
        except PeerRefused as refused:
            self._dependents.refused(refused, self._address, peer)
            return  # the channel closes by itself
        if text is None:
            return
        heard = self._dependents.hear(peer, text, self._address)
        if heard.answer:
            self._follow_key(peer)
            self._channel.send(heard.answer)
        if heard.received is not None:
            self._on_received(peer, heard.received)
        if heard.refused and self._refused.hit("frames") > MOST_REFUSED:
            self.stop(REFUSED_TOO_OFTEN, f"more than {MOST_REFUSED} refused frames in a minute")

    def _follow_file(self, peer: Subscriber) -> None:
        """What was read of the node's own cdpm.yml may have another key."""
        digest = self._dependents.digest(peer)
        if digest == self._digest:
            return
        self._digest = digest
        try:
            self._follow_key(peer)
        except ChannelClosed:
            raise
        except TransientError as error:  # it is not ready: the next message that is to be sent says so too
            _log.debug("a key is not followed: %s", error, extra={"action": "cdpm_not_ready"})

    def _follow_key(self, peer: Subscriber) -> None:
        """Where another key signs now, the subscriber learns it from the one that it knows, before it gets what that has signed."""
        self._kid, text = self._dependents.rotated(peer, self._kid)
        if text:
            self._channel.send(text)

    def _send_new(self, peer: Subscriber) -> bool:
        """Send what it does not have; False where there is no subscription any more."""
        refs = self._dependents.behind(peer, self._last)
        for ref in refs or ():
            self._send(peer, ref)
            self._last = ReleaseKey(ref.n, ref.created_at)
            self._unacknowledged.append(ref)
        del self._unacknowledged[:-MOST_UNACKNOWLEDGED]
        return refs is not None

    def _send(self, peer: Subscriber, ref: ReleaseRef) -> None:
        if text := self._dependents.release(peer, ref):
            self._follow_key(peer)
            self._channel.send(text)
        self._sent_at = time.monotonic()

    def _awaits(self) -> bool:
        return bool(self._unacknowledged) and (self._acknowledges or not self._repeated)

    def _send_again(self, peer: Subscriber) -> None:
        """What was not acknowledged did not arrive, or its subscriber has died; who never acknowledges may just not do so."""
        self._repeated = True
        for ref in list(self._unacknowledged if self._acknowledges else self._unacknowledged[-1:]):
            self._send(peer, ref)

    def _on_received(self, peer: Subscriber, id: int | str) -> None:
        self._acknowledges = True
        place = next((at for at, ref in enumerate(self._unacknowledged) if ref.n == id), None)
        if place is not None:
            self._dependents.acknowledged(peer, self._unacknowledged[place])
            del self._unacknowledged[: place + 1]


def _bounded(most: int) -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = files // 2 if files > 0 else _EACH * most + _OTHERS
    return max(1, min(most, (room - _OTHERS) // _EACH))
