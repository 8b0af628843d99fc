"""The sockets of a server by their names. Must not know what they are for."""

from __future__ import annotations

from collections.abc import Iterator

from dploylib.errors import DploylibError
from dploylib.transport import Socket


class NoSuchSocket(DploylibError, AttributeError, KeyError):
    """The server has no socket of this name."""

    def __str__(self) -> str:
        return str(self.args[0])


class SocketStorage:
    """`sockets.request`, or `sockets["in"]` where the name is a word of Python.

    A socket has the name that the configuration knows it by. The attribute of the class that declares it finds it too, where
    no socket has that name.
    """

    def __init__(self) -> None:
        self._sockets: dict[str, Socket] = {}
        self._aliases: dict[str, str] = {}

    def register(self, name: str, socket: Socket) -> None:
        """Keep a socket. Raises ValueError if there is one of this name: it would stay open without an owner."""
        if name in self._sockets:
            raise ValueError(f"the server has a socket {name!r} already")
        self._sockets[name] = socket

    def alias(self, alias: str, name: str) -> None:
        """Find the socket `name` by another word too."""
        self._aliases[alias] = name

    def __getitem__(self, name: str) -> Socket:
        found = self._sockets.get(name) or self._sockets.get(self._aliases.get(name, name))
        if found is None:
            raise NoSuchSocket(f"no socket {name!r}; there are {', '.join(sorted(self._sockets)) or 'none'}")
        return found

    def __getattr__(self, name: str) -> Socket:
        if name.startswith("__") or name in ("_sockets", "_aliases"):
            # asked for while an object is copied or not yet made: never a socket's name
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._sockets

    def __iter__(self) -> Iterator[str]:
        return iter(self._sockets)

    def close(self, linger: int | None = None) -> None:
        """Close all of them."""
        while self._sockets:
            _, socket = self._sockets.popitem()
            socket.close(linger)
