"""One connection to an IRC server, from the first octet to the last: connect, log in, send at a pace, read.

Used by one thread, which alone touches the socket. Must not know notices, nor that another connection may come
after this one. Every failure is an OSError; after one the link is of no more use.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence

from re_workers.notify.irc_lines import Line, fold, line, parse, split
from re_workers.notify.irc_login import Login
from re_workers.notify.irc_token_bucket import TokenBucket
from re_workers.notify.irc_wakeup import Wakeup
from re_workers.notify.settings import IrcSettings
from re_workers.notify.text import one_line

#: octets that a server may have sent without our having read a line; more is not IRC
_MAX_HEARD = 1024 * 1024

#: octets of a PING's token that are given back
_MAX_TOKEN = 400

#: seconds of silence after which we ask whether the server is still there
QUIET = 120.0


class IrcLink:
    """A connection that is logged in; building one connects and logs in. `clock` gives monotonic seconds."""

    def __init__(
        self,
        settings: IrcSettings,
        bell: Wakeup,
        pace: TokenBucket,
        clock: Callable[[], float] = time.monotonic,
        quiet: float = QUIET,
    ) -> None:
        self.nick = settings.nick
        self._timeout = settings.timeout
        self._bell = bell
        self._pace = pace
        self._clock = clock
        self._quiet = quiet
        self._lines: deque[Line] = deque()
        self._rest = b""
        self._ended = False
        self._last_read = clock()
        self._tokens = 0
        self._joined: set[str] = set()
        self._heed: dict[str, Callable[[Line], None]] = {
            "PING": lambda said: self._write(line("PONG", split(said.text, _MAX_TOKEN)[0])),
            "ERROR": self._on_error,
            "001": self._on_welcome,
            "NICK": self._on_nick,
            "JOIN": self._on_join,
            "PART": lambda said: self._on_leave(said.param(0), said.nick),
            "KICK": lambda said: self._on_leave(said.param(0), said.param(1)),
        }
        self._socket = connect(settings)
        try:
            self._log_in(Login(settings))
        except BaseException:
            self._socket.close()
            raise

    def has_joined(self, channel: str) -> bool:
        """Whether we are in the channel, as far as the server has reported."""
        return fold(channel) in self._joined

    def leave(self, channel: str) -> None:
        """Drop that we are in a channel, so that it is joined again before the next message."""
        self._joined.discard(fold(channel))

    def exchange(self, commands: Sequence[bytes]) -> list[Line]:
        """Send lines at our pace, then a PING; what the server said until its PONG.

        IRC is ordered per connection: what the server has refused of the commands is among these lines.
        """
        self._tokens += 1
        token = f"release-engine-{self._tokens}"
        replies: list[Line] = []
        for command in [*commands, line("PING", token)]:
            while pause := self._pace.wait(self._clock()):
                replies += filter(None, [self._next(self._clock() + pause)])
            self._pace.spend(self._clock())
            self._write(command)
        until = self._clock() + self._timeout
        while self._clock() < until:
            said = self._next(until)
            if said and said.command == "PONG" and said.text == token:
                return replies
            replies += filter(None, [said])
        raise TimeoutError("the server does not answer")

    def listen(self) -> None:
        """Follow the connection until the server sends something, `ring` is called, or it has been quiet."""
        self._next(self._clock() + self._quiet)
        if self._clock() - self._last_read >= self._quiet:
            self.exchange([])

    def close(self) -> None:
        """Send QUIT if the server still reads."""
        with contextlib.suppress(OSError):
            self._write(line("QUIT", "closing"))
        self._socket.close()

    def _log_in(self, login: Login) -> None:
        answers = login.begin()
        until = self._clock() + self._timeout
        while not login.ready:
            for answer in answers:
                self._write(answer)
            if self._clock() >= until:
                raise TimeoutError("the server does not accept the login in time")
            said = self._next(until)
            answers = login.receive(said) if said else []

    def _next(self, until: float) -> Line | None:
        """The next line, already applied where it concerns the link; None after a ring or at `until`."""
        if not self._lines and self._bell.wait(self._socket, until - self._clock()):
            self._read()
        if not self._lines:
            if self._ended:
                raise ConnectionResetError("the server closed the connection")
            return None
        said = self._lines.popleft()
        if said.command in self._heed:
            self._heed[said.command](said)
        return said

    def _read(self) -> None:
        # Everything that is there, since TLS may hold back octets that select() does not see. TLS may also have
        # become readable without a single octet for us: hence the socket that does not block.
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while data := self._socket.recv(65536):
                self._rest += data
                if len(self._rest) > _MAX_HEARD:
                    raise ConnectionAbortedError("the server sends too much at once")
            self._ended = True
        *whole, self._rest = self._rest.split(b"\n")
        self._lines.extend(filter(None, map(parse, whole)))
        self._last_read = self._clock()

    def _write(self, raw: bytes) -> None:
        self._socket.settimeout(self._timeout)
        try:
            self._socket.sendall(raw)
        finally:
            self._socket.setblocking(False)

    def _on_error(self, said: Line) -> None:
        raise ConnectionResetError(f"the server closes the connection: {one_line(said.text)}")

    def _on_welcome(self, said: Line) -> None:
        self.nick = said.param(0) or self.nick

    def _on_nick(self, said: Line) -> None:
        if fold(said.nick) == fold(self.nick):
            self.nick = said.param(0) or self.nick

    def _on_join(self, said: Line) -> None:
        if fold(said.nick) == fold(self.nick):
            self._joined.add(fold(said.param(0)))

    def _on_leave(self, channel: str, nick: str) -> None:
        if fold(nick) == fold(self.nick):
            self.leave(channel)


def connect(settings: IrcSettings) -> socket.socket:
    """A connected socket that does not block, over TLS with the server's name verified unless that is off."""
    address = (settings.host, settings.port)
    try:
        plain = socket.create_connection(address, settings.timeout)
    except UnicodeError as error:
        raise OSError(f"{one_line(settings.host)} is not a host name") from error
    try:
        connection = _secure(plain, settings) if settings.tls else plain
        connection.setblocking(False)
    except BaseException:
        plain.close()
        raise
    return connection


def _secure(plain: socket.socket, settings: IrcSettings) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=settings.ca_file or None)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file or None)
    return context.wrap_socket(plain, server_hostname=settings.host)
