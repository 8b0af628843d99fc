"""What an operator decides of a gateway. Must not know gRPC: it is read where the extra may be missing."""

from __future__ import annotations

from typing import NamedTuple


class Options(NamedTuple):
    """What a gateway needs beside bus, store and clock."""

    #: address and port to listen on, `127.0.0.1:7070` or `[::1]:7070`; port 0 takes a free one
    listen: str
    #: runners that are not enrolled may register
    unknown: bool = False
    #: runners that are connected at once
    most_sessions: int = 1000
    #: networks from which runners may connect, as `Peers` reads them; none: from everywhere
    peers: tuple[str, ...] = ()
