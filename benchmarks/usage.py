"""What all processes of a measurement use: CPU time by part, and memory. Must not know what the parts do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import psutil

#: name of a server's process -> the part that it belongs to
_SERVERS = {"beam.smp": "broker", "postgres": "store", "mongod": "store"}


def cpu_seconds(members: Mapping[str, psutil.Process]) -> dict[str, float]:
    """CPU seconds so far of each of the named processes with their children, of the servers, and of this process itself.

    A child that ended counts as long as its parent has waited for it.
    """
    known = {pid: name for name, process in members.items() for pid in _family(process)}
    used: dict[str, float] = {}
    here = psutil.Process()
    for process in (here, *here.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            name = "driver" if process == here else known.get(process.pid) or _server(process.name())
            times = process.cpu_times()
            ended = 0.0 if process == here else times.children_user + times.children_system
            used[name] = used.get(name, 0.0) + times.user + times.system + ended
    return used


def _family(process: psutil.Process) -> list[int]:
    with suppress(psutil.NoSuchProcess):
        return [process.pid, *(child.pid for child in process.children(recursive=True))]
    return []


def _server(name: str) -> str:
    # the program's name is cut to 15 characters and has a digest in it
    return "store" if name.startswith("mongo-wire") else _SERVERS.get(name, "other")
