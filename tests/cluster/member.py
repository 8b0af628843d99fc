"""One process of a cluster: started, stopped, killed, frozen. Must not know what it does, nor who else there is."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tests.e2e.engine_process import wait_until

#: seconds until a process must be ready; a machine that runs many tests at once is slow
READY = 90.0

#: seconds that a process gets to end, beyond what its own deadline is
STOP = 60.0


class Member:
    """A program of the cluster, which may run or not. Its output is in `log`, of all its lives."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        environ: Mapping[str, str],
        directory: Path,
        is_ready: Callable[[], bool],
        family: bool = False,
        ready_file: Path | None = None,
    ) -> None:
        """`ready_file` may be there from a life that was killed.

        `family`: what is done to it is done to its children too (gunicorn's workers, but not the programs of steps).
        """
        self.name, self.argv, self.environ = name, list(argv), dict(environ)
        self.log = directory / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._is_ready, self._family, self._ready_file = is_ready, family, ready_file

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def text(self) -> str:
        """What it has printed so far, in all its lives."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def spawn(self) -> None:
        """Start it, and wait for nothing."""
        assert not self.running, f"{self.name} runs"
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.spawn()
        self.await_ready()

    def await_ready(self) -> None:
        wait_until(f"{self.name} is ready; see {self.log}", self._ready_or_ended, READY)

    def send(self, number: signal.Signals) -> None:
        """A signal to the process alone."""
        assert self.process is not None
        self.process.send_signal(number)

    def await_exit(self, seconds: float = STOP) -> int:
        """The exit code, negative for a signal."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self) -> int:
        """TERM; the exit code."""
        if self.running:
            self.send(signal.SIGTERM)
        return self.await_exit() if self.process else 0

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.tell(signal.SIGKILL)
        self.await_exit()

    def freeze(self) -> None:
        """SIGSTOP: it does nothing, and all its connections stay open."""
        self.tell(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.tell(signal.SIGCONT)

    def tell(self, number: signal.Signals) -> None:
        """A signal to it and to its family, parents first so that a dead child has nobody who replaces it."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def processes(self) -> list[psutil.Process]:
        """It and its family, as far as they live."""
        try:
            mine = psutil.Process(self.pid)
            return [mine, *(mine.children(recursive=True) if self._family else [])]
        except psutil.NoSuchProcess:
            return []

    def memory(self) -> int:
        """Bytes of memory, shared pages divided by those who share them (PSS)."""
        total = 0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total

    def end(self) -> None:
        """Make it end, whatever state it is in: for the end of a test that may have failed."""
        if not self.running:
            return
        family = self.processes()
        self.thaw()
        self.send(signal.SIGTERM)
        try:
            self.await_exit()
        except subprocess.TimeoutExpired:
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.await_exit()

    def _ready_or_ended(self) -> bool:
        assert self.running, f"{self.name} ended with {self.await_exit()}: {self.text[-3000:]}"
        return self._is_ready()
