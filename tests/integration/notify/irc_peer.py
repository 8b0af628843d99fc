"""The other end of an IRC connection, played by the test itself, for what no real server does on demand.

Must not know our client: it hears and says lines, and waits no longer than its patience.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

#: Seconds to wait for a connection or a line.
PATIENCE = 10.0


class Peer:
    """One connection, seen from the server's side (or from that of another user)."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.settimeout(PATIENCE)
        self._file = connection.makefile("rb")

    def hear(self) -> str:
        """The next line; empty when the other end has gone."""
        raw = self._file.readline()
        assert not raw or (raw.endswith(b"\r\n") and len(raw) <= 512), raw
        assert raw.count(b"\r") <= 1 and b"\0" not in raw, raw
        return raw.decode("utf-8").removesuffix("\r\n")

    def expect(self, *lines: str) -> None:
        """The next lines are these, whole."""
        assert [self.hear() for _ in lines] == list(lines)

    def hear_until(self, wanted: Callable[[str], bool]) -> list[str]:
        """The lines up to the first that is wanted, it included."""
        lines = [self.hear()]
        while not wanted(lines[-1]):
            assert lines[-1], f"the connection ended after {lines}"
            lines.append(self.hear())
        return lines

    def hear_until_ping(self) -> list[str]:
        """The lines before the next PING, which is answered only by `pong`."""
        *lines, self._ping = self.hear_until(lambda line: line.startswith("PING "))
        return lines

    def pong(self) -> None:
        """Answer the PING that was heard last."""
        self.say(f":irc.test PONG irc.test {self._ping.removeprefix('PING ')}")

    def take(self) -> list[str]:
        """The lines before the next PING, which is answered: the server has taken them."""
        lines = self.hear_until_ping()
        self.pong()
        return lines

    def say(self, *lines: str) -> None:
        """Say lines as they are."""
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def let_in(self, nick: str = "re") -> None:
        """Hear NICK and USER, say 001."""
        assert self.hear().startswith("NICK ")
        assert self.hear().startswith("USER ")
        self.say(f":irc.test 001 {nick} :Welcome")

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self.socket.close()


class Door:
    """Where clients connect; the test accepts them one by one."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE)
        self._tls = tls
        self._peers: list[Peer] = []
        self.host, self.port = self._listening.getsockname()

    def accept(self) -> Peer:
        """The next client."""
        connection, _ = self._listening.accept()
        connection.settimeout(PATIENCE)
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True)
        peer = Peer(connection)
        self._peers.append(peer)
        return peer

    def let_in(self) -> Peer:
        """The next client, logged in as `re`."""
        peer = self.accept()
        peer.let_in()
        return peer

    def close(self) -> None:
        """Let nobody in any more, and those who are, out."""
        self._listening.close()
        for peer in self._peers:
            peer.close()


def join_as_user(host: str, port: int, nick: str, *commands: str) -> Peer:
    """A user of a real server who has sent these commands, and whom the server has answered."""
    user = Peer(socket.create_connection((host, port), PATIENCE))
    user.say(f"NICK {nick}", f"USER {nick} 0 * :A person")
    user.hear_until(lambda line: " 001 " in line)
    user.say(*commands, "PING done")
    user.hear_until(lambda line: " PONG " in line and line.endswith("done"))
    return user
