"""What benchmarks.zeromq talks with, as a process: `python -m benchmarks.zeromq_server bare|dploylib ECHO IN OUT`.

Echoes at one address, and publishes at OUT what comes in at IN: with dploylib, or on bare pyzmq. Prints `ready`; ends with TERM.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import zmq

from dploylib import servers
from dploylib.services import Service


class Echo(servers.Server):
    """Of the manual."""

    @servers.bind_in("request", "rep")
    def echo_request(self, socket: Any, received: Any) -> None:
        socket.send_envelope(received)


class Broadcast(servers.Server):
    """Of the manual."""

    publish = servers.bind("out", "pub")

    @servers.bind_in("in", "pull")
    def receive_message(self, socket: Any, received: Any) -> None:
        self.sockets.out.send_envelope(received)


def serve(echo: str, into: str, out: str) -> None:
    """With dploylib."""
    service = Service()
    service.add_server("echo", Echo)
    service.add_server("broadcast", Broadcast)
    hwm = [["sndhwm", 0], ["rcvhwm", 0]]
    config = {
        "echo": {"request": {"uri": echo}},
        "broadcast": {"in": {"uri": into, "options": hwm}, "out": {"uri": out, "options": hwm}},
    }
    service.start(config_dict={"servers": config})
    service.wait_ready()
    print("ready", flush=True)
    try:
        service.wait()
    finally:
        service.stop()


def serve_bare(echo: str, into: str, out: str) -> None:
    """As few calls of pyzmq as do it."""
    context = zmq.Context()
    threading.Thread(target=_broadcast, args=(context, into, out), daemon=True).start()
    socket = context.socket(zmq.REP)
    socket.bind(echo)
    print("ready", flush=True)
    while True:
        socket.send_multipart(socket.recv_multipart())


def _broadcast(context: zmq.Context[Any], into: str, out: str) -> None:
    pull, publish = context.socket(zmq.PULL), context.socket(zmq.PUB)
    for socket, uri in ((pull, into), (publish, out)):
        socket.set_hwm(0)
        socket.bind(uri)
    while True:
        publish.send_multipart(pull.recv_multipart())


if __name__ == "__main__":
    {"dploylib": serve, "bare": serve_bare}[sys.argv[1]](*sys.argv[2:])
