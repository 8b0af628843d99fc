"""Servers that tests run."""

from __future__ import annotations

import socket
from typing import Any

from dploylib import servers


class Echo(servers.Server):
    """Answers what it gets."""

    @servers.bind_in("request", "rep")
    def echo_request(self, socket: Any, received: Any) -> None:
        socket.send_envelope(received)


class RouterEcho(servers.Server):
    """The same on a ROUTER."""

    @servers.bind_in("request", "router")
    def echo_request(self, socket: Any, received: Any) -> None:
        socket.send_envelope(received)


#: what a service with keys says first (ZMTP 3.1, greeting): signature, version, mechanism, that it is the server, filler
ENCRYPTED = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01" + b"CURVE".ljust(20, b"\0") + b"\x01" + bytes(31)


def _fail(self: Any, socket: Any, received: Any) -> None:
    match received.text:
        case "refuse":
            raise servers.RequestRefused("not today")
        case "crash":
            raise RuntimeError("the password is hunter2")
        case "answer and crash":
            socket.send_envelope(received.envelope.response_envelope("text/plain", "done"))
            raise RuntimeError("too late")
        case "json":
            received.json["missing"]
        case _:
            socket.send_envelope(received)


class Failing(servers.Server):
    """Fails in the way that the text names."""

    fail = servers.bind_in("request", "rep")(_fail)


class RouterFailing(servers.Server):
    """The same on a ROUTER."""

    fail = servers.bind_in("request", "router")(_fail)


def free_uri() -> str:
    """A TCP address of this machine at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def one(uri: str, **more: Any) -> dict[str, Any]:
    """The configuration of the servers above."""
    return {"server": {"request": {"uri": uri, **more}}}
