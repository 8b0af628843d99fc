"""Ports, who listens on them, and whether a process is up. Must not know releases and orders."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from re_core.errors import BadSettings, OperatorError
from re_dploy.zone.shim import descendants, process_stat

#: seconds for which a process with a port must go on listening, and in which another one must not end, to be up
SETTLE, ALIVE = 3.0, 5.0

#: seconds in which a connection within the host comes about
CONNECT = 0.25

#: number of a socket's state in /proc/net/tcp: it listens
_LISTENS = "0A"


class Ports:
    """Gives ports in turn, so that one that an app had becomes another one's as late as can be. Shared by all apps."""

    def __init__(self, first: int, last: int, given: int = 0) -> None:
        """`given`: the last one that was given. Raises BadSettings where the kernel gives these ports to others by itself."""
        low, high = _ephemeral()
        if not 1024 <= first <= last <= 65_535:
            raise BadSettings(f"ports: expected a range within 1024-65535, found {first}-{last}")
        if first <= high and last >= low:
            raise BadSettings(
                f"ports: {first}-{last} overlaps {low}-{high}, which the kernel gives to connections (ip_local_port_range)"
            )
        self._first, self._last = first, last
        self._given = given
        self._lock = threading.Lock()

    def next(self, taken: Collection[int]) -> int:
        """A free one that is not among `taken`. Raises OperatorError where there is none."""
        size = self._last - self._first + 1
        with self._lock:
            for step in range(1, size + 1):
                port = self._first + (max(self._given, self._first - 1) - self._first + step) % size
                if port not in taken and _is_free(port):
                    self._given = port
                    return port
        raise OperatorError(f"all ports of {self._first}-{self._last} are in use: widen `ports` of the zone")


class Health:
    """Whether one process is up. Asked again and again; once up it stays so until it ends."""

    def __init__(self, port: int, hosts: Collection[str]) -> None:
        self._port = port
        self._hosts = hosts
        self._listens_since: float | None = None
        #: another process has its port
        self.taken = False

    def is_up(self, shim: int, age: float, now: float) -> bool:
        """`age`: seconds since its start; `now`: monotonic seconds."""
        if not self._port:
            return age >= ALIVE
        if not any(_connects(host, self._port) for host in self._hosts):
            self._listens_since = None
            return False
        if self._listens_since is None:
            self.taken = not _listens(self._port, shim)
            self._listens_since = None if self.taken else now
            return False
        return now - self._listens_since >= SETTLE


def is_taken(port: int) -> bool:
    """Whether any process listens on a port."""
    return bool(port) and any(True for _ in _listeners(port))


def age_of(pid: int) -> float:
    """Seconds since the start of a process, whatever was done to the clocks; 0 where it has ended."""
    stat = process_stat(pid)
    if stat is None:
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - stat[3] / os.sysconf("SC_CLK_TCK"))


def _listens(port: int, shim: int) -> bool:
    """Whether a descendant of the shim is what listens."""
    wanted = {f"socket:[{inode}]" for inode in _listeners(port)}
    for pid in descendants(shim):
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if str(link.readlink()) in wanted:
                        return True
    return False


def _listeners(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), CONNECT).close()
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("", port))
        except OSError:
            return False
    return not is_taken(port)


def _ephemeral() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except (OSError, ValueError):
        return 32_768, 60_999
    return int(low), int(high)
