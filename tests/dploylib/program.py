"""A service as a process: `python -m tests.dploylib.program KIND URI`. Prints `ready` when it serves."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

from dploylib import servers
from dploylib.services import Service
from tests.dploylib.servers import Echo, one


class Stuck(servers.Server):
    """Never returns from its handler."""

    @servers.bind_in("request", "rep")
    def stay(self, socket: Any, received: Any) -> None:
        print("stuck", flush=True)
        threading.Event().wait()


class Ending(servers.Server):
    """Ends with its first message."""

    @servers.bind_in("request", "rep")
    def end(self, socket: Any, received: Any) -> None:
        socket.send_envelope(received)
        raise servers.ServerStopped("asked to")


KINDS = {"echo": Echo, "stuck": Stuck, "ending": Ending}


class Said(Service):
    """Says when it serves."""

    def start(self, *args: Any, **kwargs: Any) -> None:
        super().start(*args, **kwargs)
        self.wait_ready(60)
        print("ready", flush=True)


def main(kind: str, uri: str) -> int:
    """Run it."""
    logging.basicConfig(level=logging.INFO)
    service = Said()
    service.add_server("server", KINDS[kind])
    return service.run(config_dict={"servers": one(uri)})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
