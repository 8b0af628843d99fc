"""One server process of the tests: started, awaited until it listens, stopped by its own pid. Knows no protocol.

For tests of failure it is killed, frozen, and started again on the same ports.
"""

from __future__ import annotations

import random
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

from tests.services.signals import Signaller, to_the_tree
from tests.services.unavailable import Unavailable

#: Seconds a server may take from its start until it accepts a connection.
START_TIMEOUT = 60.0
#: Seconds between the signal that asks a server to end and SIGKILL.
STOP_TIMEOUT = 20.0
#: Seconds between two looks at a port that does not answer yet.
LOOK_EVERY = 0.05
#: Every server of the tests binds here and nowhere else.
LOOPBACK = "127.0.0.1"
#: Ports of servers: below those that kernels give to clients, so that nobody takes one while its server is down.
PORTS = range(12_000, 32_000)

#: Not the generator that libraries of the tests seed: two processes must not draw the same ports.
_DICE = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports of the loopback address that nobody listened on a moment ago."""
    found: list[int] = []
    with ExitStack() as holders:
        for port in _DICE.sample(PORTS, len(PORTS)):
            if len(found) == count:
                break
            try:
                holders.enter_context(closing(socket.create_server((LOOPBACK, port))))
            except OSError:
                continue
            found.append(port)
    return found


class Server:
    """A child process that listens on `ports`; a context manager around its life. Its output goes to `log`.

    `ready` says, once the ports answer, whether it is of use. `ends_by` is the signal that ends it in good order.
    """

    def __init__(
        self,
        argv: Sequence[str],
        ports: Sequence[int],
        log: Path,
        *,
        ready: Callable[[], bool] | None = None,
        ends_by: signal.Signals = signal.SIGTERM,
        signaller: Signaller = to_the_tree,
    ) -> None:
        self._argv = list(argv)
        self._ports = list(ports)
        self._log = log
        self._ready = ready
        self._ends_by = ends_by
        self._signaller = signaller
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it listens; again after `stop` or `kill`, on the same ports. Raises Unavailable."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self._log.parent
            )
        self._process = process
        try:
            self._await_ports(process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ask it to end, insist after a while, and wait for the end. Nothing to do when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        self._thaw(process)
        self._signaller(process, self._ends_by)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._signaller(process, signal.SIGKILL)
            process.wait()

    @property
    def pid(self) -> int:
        """Of the process that was started for it: the server's own, unless it runs in a container."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL to it and to all that it started: it has no time to put anything in order."""
        process, self._process, self._frozen = self._process, None, False
        if process is not None:
            self._signaller(process, signal.SIGKILL)
            process.wait()

    def freeze(self) -> None:
        """Stop its clock: connections stay open and nothing answers, until `thaw`."""
        if self._process is not None:
            self._signaller(self._process, signal.SIGSTOP)
            self._frozen = True

    def thaw(self) -> None:
        """Let it go on where it was frozen."""
        if self._process is not None:
            self._thaw(self._process)

    def _thaw(self, process: subprocess.Popen[bytes]) -> None:
        if self._frozen:
            self._signaller(process, signal.SIGCONT)
            self._frozen = False

    def _await_ports(self, process: subprocess.Popen[bytes]) -> None:
        looks = int(START_TIMEOUT / LOOK_EVERY)
        waiting = list(self._ports)
        for _ in range(looks):
            waiting = [port for port in waiting if not _listens(port)]
            if not waiting and (self._ready is None or self._ready()):
                return
            try:
                # The pause between two looks ends at once when the server dies.
                process.wait(LOOK_EVERY)
            except subprocess.TimeoutExpired:
                continue
            raise Unavailable(f"{self._argv[0]} ended with {process.returncode}: {self._last_words()}")
        raise Unavailable(f"{self._argv[0]} does not listen on {waiting or self._ports}: {self._last_words()}")

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-1000:].strip() or "it printed nothing"


class Group:
    """Servers that are one to the tests: started in their order, ended in the opposite one."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = list(servers)

    def start(self) -> None:
        """Start all on the ports and the data that they had, and wait until they listen. Raises Unavailable."""
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        """End all in good order."""
        for server in reversed(self._servers):
            server.stop()

    def kill(self) -> None:
        """SIGKILL to all, and to all that they started."""
        for server in reversed(self._servers):
            server.kill()

    def freeze(self) -> None:
        """Let all keep their connections and answer nothing."""
        for server in reversed(self._servers):
            server.freeze()

    def thaw(self) -> None:
        """Let all go on where they were frozen."""
        for server in self._servers:
            server.thaw()


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
