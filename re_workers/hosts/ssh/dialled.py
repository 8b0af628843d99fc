"""A connection to a socket of a host. Must not know how it is led there."""

from __future__ import annotations

import socket
from collections.abc import Callable

#: seconds for a connection to a socket of this machine
_PATIENCE = 10.0


class Dialled(socket.socket):
    """A socket that says when it is closed."""

    def __init__(self, path: str, closed: Callable[[], None]) -> None:
        """Connect to a unix socket of this machine; `closed` is called once, also where that fails. Raises OSError."""
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._when_closed = closed
        try:
            self.settimeout(_PATIENCE)
            self.connect(path)
        except OSError:
            self.close()
            raise

    def detach(self) -> int:
        """As of every socket: its descriptor is the caller's."""
        closed, self._when_closed = self._when_closed, lambda: None
        closed()
        return super().detach()

    def _real_close(self) -> None:  # the base class calls it when the last file over the socket is closed, too
        closed, self._when_closed = self._when_closed, lambda: None
        super()._real_close()  # type: ignore[misc]
        closed()
