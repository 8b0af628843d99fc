"""A WebSocket connection of CDPM on a connected socket, either end of it. Must not know what the frames say.

The protocol is that of `websockets` without its I/O: threads of ours wait in poll, and sockets pace what they send. Text frames
only, no extensions; what a peer may send is bounded before it is read.
"""

from __future__ import annotations

import logging
import os
import re
import select
import socket
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus, InvalidURI, PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from re_core.errors import BadMessage
from re_core.ports.peering import ChannelClosed, HandshakeRefused, PeerRefused, SourceUnavailable
from re_core.wire import strict_json

#: the subprotocol of both ends
SUBPROTOCOL = "cdpm"

#: bytes of a message, and frames that it may be sent in
MAX_FRAME, MAX_PARTS = 72 * 1024, 64

#: seconds after which an end shows that it lives, and without a byte after which the other one is taken for dead
PING, DEAD = 25.0, 75.0

#: seconds that the peer may stand still while it is sent something, where its socket does not say
STILL = 30.0

#: seconds that a peer gets to close its side
FAREWELL = 2.0

#: bytes of one read
_PIECE = 64 * 1024

#: bytes of the reason of a close frame
_MOST_REASON = 120

#: characters that an error repeats of what a server says, and what of a page is not for people
_MOST_SAID = 120
_TAG = re.compile(r"<(style|script|head)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)

#: codes of close frames (RFC 6455, 7.4.1)
_UNSUPPORTED, _ABNORMAL, _TOO_BIG = 1003, 1006, 1009

#: headers of a request that are its handshake
_HANDSHAKE = frozenset(
    {"connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"}
)

_WANTS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class SocketChannel:
    """See ports.peering.Channel. The socket is its own from now on."""

    def __init__(
        self,
        connected: socket.socket,
        protocol: Protocol,
        sendall: Callable[[bytes], None] | None = None,
        ping: float = PING,
        dead: float = DEAD,
    ) -> None:
        """`sendall`: that of a socket that paces itself, and raises OSError where its peer does not read."""
        connected.setblocking(False)
        self._socket, self._protocol = connected, protocol
        self._sendall = sendall or self._patiently
        self._ping, self._dead = ping, dead
        self._heard = self._pinged = time.monotonic()
        #: held while bytes of a frame, or of several, are sent
        self._sending = threading.Lock()
        #: held by the thread that takes, and by the one that gives the socket back
        self._taking = threading.Lock()
        #: TLS does not read and write at once
        self._io = threading.Lock()
        self._bell = _Bell()
        self._texts: deque[str] = deque()
        self._parts = bytearray()
        self._count = 0
        #: why there is nothing more
        self._end: ChannelClosed | None = None
        #: a frame that no peer may send; said once
        self._refused: PeerRefused | None = None

    def send(self, text: str) -> None:
        """See Channel."""
        with self._sending:
            if self._end is not None or self._protocol.state is not OPEN:
                raise self._end or ChannelClosed(_ABNORMAL, "the connection is being closed")
            self._protocol.send_text(text.encode())
            self._flush()

    def take(self, timeout: float) -> str | None:
        """See Channel."""
        until = time.monotonic() + timeout
        with self._taking:
            while not self._texts:
                if self._refused is not None:
                    refused, self._refused = self._refused, None
                    raise refused
                if self._end is not None:
                    self._give_back()
                    raise self._end
                if self._bell.rang():
                    return None
                if self._receive():
                    if self._has_nothing() and time.monotonic() >= until:
                        return None  # pings only, one after the other
                elif not self._wait(until):
                    return None
            return self._texts.popleft()

    def wake(self) -> None:
        """See Channel."""
        self._bell.ring()

    def close(self, code: int, reason: str) -> None:
        """See Channel. Waits at most FAREWELL for the peer to close its side, and not at all where another thread takes."""
        if self._sending.acquire(timeout=FAREWELL):
            try:
                if self._end is None and self._protocol.state is OPEN:
                    self._protocol.send_close(code, _shortened(reason))
                    with suppress(ChannelClosed):
                        self._flush()
                self._end = self._end or ChannelClosed(code, reason)
            finally:
                self._sending.release()
        else:
            self._cut(ChannelClosed(code, reason))
        self._bell.ring()
        if self._taking.acquire(blocking=False):
            try:
                self._give_back()
            finally:
                self._taking.release()

    # -- out ---------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """What the protocol has to send; with `_sending` held. Raises ChannelClosed."""
        pieces = self._protocol.data_to_send()
        try:
            if data := b"".join(pieces):
                self._sendall(data)
            if b"" in pieces:
                self._socket.shutdown(socket.SHUT_WR)
        except (OSError, ValueError) as error:
            self._cut(ChannelClosed(_ABNORMAL, f"the peer takes nothing more: {error}"))
            raise self._end or ChannelClosed(_ABNORMAL) from None

    def _patiently(self, data: bytes) -> None:
        """Raises OSError where the peer takes nothing for STILL seconds."""
        left = memoryview(data)
        until = time.monotonic() + STILL
        while left:
            try:
                with self._io:
                    sent = self._socket.send(left)
            except _WANTS:
                if time.monotonic() > until:
                    raise TimeoutError(f"nothing was taken for {STILL:g} s") from None
                _poll({self._socket.fileno(): select.POLLOUT | select.POLLIN}, 0.25)
                continue
            left, until = left[sent:], time.monotonic() + STILL

    def _cut(self, end: ChannelClosed) -> None:
        """Nothing is sent or received any more; any thread."""
        self._end = self._end or end
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    # -- in ----------------------------------------------------------------------------------------

    def _receive(self) -> bool:
        """Read what has come; False where nothing has."""
        try:
            with self._io:
                data = self._socket.recv(_PIECE)
        except _WANTS:
            return False
        except (OSError, ValueError) as error:
            self._cut(ChannelClosed(_ABNORMAL, str(error)))
            return True
        self._heard = time.monotonic()
        with self._sending:
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            with suppress(ChannelClosed):
                self._flush()
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._on_frame(event)
        self._note(not data)
        return True

    def _has_nothing(self) -> bool:
        """Neither a text, nor an end."""
        return not self._texts and self._end is None and self._refused is None

    def _note(self, eof: bool) -> None:
        """Whether the peer has closed, or has sent what the protocol does not take."""
        error, closed = self._protocol.parser_exc, self._protocol.close_rcvd
        if isinstance(error, PayloadTooBig) and self._end is None:
            self._refused = PeerRefused("too-large", f"a message of more than {MAX_FRAME} bytes")
            self._end = ChannelClosed(_TOO_BIG, self._refused.detail)
        elif closed is not None:
            self._end = self._end or ChannelClosed(closed.code, closed.reason)
        elif error is not None or eof:
            code = self._protocol.close_sent.code if self._protocol.close_sent else _ABNORMAL
            self._end = self._end or ChannelClosed(code, str(error or "the peer has closed the connection"))

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            self._refuse(_UNSUPPORTED, PeerRefused("binary-frame", "a binary frame; messages are text"))
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT) or self._refused is not None:
            return
        self._parts += frame.data
        self._count += 1
        if self._count > MAX_PARTS:
            self._refuse(_TOO_BIG, PeerRefused("too-large", f"a message in more than {MAX_PARTS} frames"))
        elif frame.fin:
            whole, self._count = bytes(self._parts), 0
            self._parts.clear()
            try:
                self._texts.append(whole.decode())
            except UnicodeDecodeError:
                self._refuse(1007, PeerRefused("bad-message", "a text frame that is not UTF-8"))

    def _refuse(self, code: int, refused: PeerRefused) -> None:
        if self._refused is None and self._end is None:
            self._refused, self._end = refused, ChannelClosed(code, refused.detail)
            with self._sending:
                if self._protocol.state is OPEN:
                    self._protocol.send_close(code, refused.code)
                    with suppress(ChannelClosed):
                        self._flush()

    def _wait(self, until: float) -> bool:
        """Until something comes, or is to be done; False where the time is over."""
        now = time.monotonic()
        if now >= self._heard + self._dead:
            self._cut(ChannelClosed(_ABNORMAL, f"silent for {self._dead:g} s"))
            return True
        if now >= self._pinged + self._ping:
            self._pinged = now
            with self._sending, suppress(ChannelClosed):
                if self._protocol.state is OPEN:
                    self._protocol.send_ping(b"")
                    self._flush()
        if now >= until:
            return False
        left = min(until, self._pinged + self._ping, self._heard + self._dead) - now
        _poll({self._socket.fileno(): select.POLLIN, self._bell.fileno(): select.POLLIN}, max(0.0, left))
        return True

    def _give_back(self) -> None:
        """Let the peer close its side, and then close the socket; with `_taking` held."""
        if self._socket.fileno() < 0:
            return
        until = time.monotonic() + FAREWELL
        with suppress(OSError, ValueError):
            if self._protocol.side is SERVER:
                self._socket.shutdown(socket.SHUT_WR)
            # what has come and is not read would make the kernel take back what was sent
            while (left := until - time.monotonic()) > 0:
                try:
                    with self._io:
                        if not self._socket.recv(_PIECE):
                            break
                except _WANTS:
                    _poll({self._socket.fileno(): select.POLLIN}, left)
        with suppress(OSError):  # a thread that sends returns at once
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        with self._sending:
            self._socket.close()
        self._bell.close()


class _Bell:
    """Ends a poll from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ringing = self._closed = False
        if sys.platform == "linux":
            self._out = self._in = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._out, self._in = os.pipe()

    def fileno(self) -> int:
        return self._out

    def ring(self) -> None:
        with self._lock:
            if not self._ringing and not self._closed:
                self._ringing = True
                os.write(self._in, (1).to_bytes(8, sys.byteorder))

    def rang(self) -> bool:
        """Once for all rings so far."""
        with self._lock:
            if self._ringing and not self._closed:
                self._ringing = False
                os.read(self._out, 8)
                return True
            return False

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                for end in {self._out, self._in}:
                    os.close(end)


def serve(connected: socket.socket, headers: Mapping[str, str]) -> SocketChannel:
    """The server's end: answers the handshake that these headers are. The socket paces itself.

    Raises PeerRefused for headers that are no such handshake, and has sent nothing then; ChannelClosed.
    """
    shaking = Headers([(name, value) for name, value in headers.items() if name.lower() in _HANDSHAKE])
    response = ServerProtocol(subprotocols=[Subprotocol(SUBPROTOCOL)], logger=_quiet()).accept(Request("/", shaking))
    if response.status_code != 101:
        detail = (response.body or b"").decode(errors="replace").strip()
        raise PeerRefused("no-subprotocol", f"no WebSocket handshake of {SUBPROTOCOL}: {detail}")
    frames = Protocol(SERVER, state=OPEN, max_size=MAX_FRAME, logger=_quiet())
    frames.writes.append(response.serialize())
    channel = SocketChannel(connected, frames, connected.sendall)
    with channel._sending:
        channel._flush()
    return channel


def connect(connected: socket.socket, url: str, timeout: float) -> SocketChannel:
    """The client's end, on a socket (of TLS or not) that leads to the server of the URL (ws: or wss:).

    Raises HandshakeRefused, SourceUnavailable, ChannelClosed; the socket is closed then.
    """
    try:
        protocol = ClientProtocol(
            parse_uri(url), subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=MAX_FRAME, logger=_quiet()
        )
    except InvalidURI as error:
        connected.close()
        raise SourceUnavailable(str(error)) from None
    channel = SocketChannel(connected, protocol)
    try:
        with channel._sending:
            protocol.send_request(protocol.connect())
            channel._flush()
        _shake(channel, protocol, timeout)
    except BaseException:
        channel._cut(ChannelClosed(_ABNORMAL, "no handshake"))
        channel.close(_ABNORMAL, "no handshake")
        raise
    return channel


def _shake(channel: SocketChannel, protocol: ClientProtocol, timeout: float) -> None:
    until = time.monotonic() + timeout
    while protocol.state is not OPEN:
        if time.monotonic() >= until:
            raise SourceUnavailable(f"no handshake within {timeout:g} s")
        if not channel._receive():
            channel._wait(until)
        if isinstance(protocol.handshake_exc, InvalidStatus):
            raise _refused(protocol.handshake_exc.response)
        if protocol.handshake_exc is not None:
            raise HandshakeRefused(f"no WebSocket: {protocol.handshake_exc}", 0, {})
        if channel._end is not None:
            raise channel._end
    if protocol.subprotocol != SUBPROTOCOL:
        raise HandshakeRefused(f"the server does not speak the subprotocol {SUBPROTOCOL}", 101, {})


def _refused(response: Response) -> HandshakeRefused:
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    text = _first_words((response.body or b"").decode(errors="replace"))
    return HandshakeRefused(
        f"the server answers {response.status_code} {response.reason_phrase}{f': {text}' if text else ''}".strip(),
        response.status_code,
        headers,
    )


def _first_words(body: str) -> str:
    """Of what a server, or a proxy before it, says to people: the detail of a problem document, a page without its tags."""
    if body.lstrip().startswith("{"):
        try:
            document = strict_json.loads(body.encode())
        except BadMessage:
            document = None
        if isinstance(document, dict) and isinstance(detail := document.get("detail"), str):
            body = detail
    words = " ".join(_TAG.sub(" ", body).split())
    return words if len(words) <= _MOST_SAID else f"{words[:_MOST_SAID]}…"


def _shortened(reason: str) -> str:
    return reason.encode()[:_MOST_REASON].decode(errors="ignore")


def _poll(wanted: Mapping[int, int], seconds: float) -> None:
    poll = select.poll()
    for descriptor, events in wanted.items():
        poll.register(descriptor, events)
    poll.poll(seconds * 1000)


def _quiet() -> logging.Logger:
    """The library says of each connection that it is open and closed; what it says of bugs is heard."""
    logger = logging.getLogger(f"{__name__}.frames")
    logger.setLevel(logging.WARNING)
    return logger
