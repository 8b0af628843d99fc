"""One server process of the tests: started, awaited until it listens, stopped by its own pid. Knows no protocol."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.services.unavailable import Unavailable

#: Seconds a server may take from its start until it accepts a connection.
START_TIMEOUT = 60.0
#: Seconds between SIGTERM and SIGKILL.
STOP_TIMEOUT = 10.0
#: Seconds between two looks at a port that does not answer yet.
LOOK_EVERY = 0.05
#: Every server of the tests binds here and nowhere else.
LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports of the loopback address that nobody listened on a moment ago."""
    holders = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


class Server:
    """A child process that listens on `ports`; a context manager around its life. Its output goes to `log`."""

    def __init__(self, argv: Sequence[str], ports: Sequence[int], log: Path) -> None:
        self._argv = list(argv)
        self._ports = list(ports)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self._log.parent
            )
        try:
            self._await_ports(self._process)
        except BaseException:
            self._stop(self._process)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._stop(self._process)

    def _await_ports(self, process: subprocess.Popen[bytes]) -> None:
        looks = int(START_TIMEOUT / LOOK_EVERY)
        waiting = list(self._ports)
        for _ in range(looks):
            waiting = [port for port in waiting if not _listens(port)]
            if not waiting:
                return
            try:
                # The pause between two looks ends at once when the server dies.
                process.wait(LOOK_EVERY)
            except subprocess.TimeoutExpired:
                continue
            raise Unavailable(f"{self._argv[0]} ended with {process.returncode}: {self._last_words()}")
        raise Unavailable(f"{self._argv[0]} does not listen on {waiting}: {self._last_words()}")

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-1000:].strip() or "it printed nothing"

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
