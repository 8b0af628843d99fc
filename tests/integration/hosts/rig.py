"""Runs on this machine through real shells, and channels that break. Must not know what the tests expect."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import psutil

from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.port import Ended, Opened, Run, RunKey, Say

#: shells that hosts have as `sh`, where this machine has them
SHELLS = [one for one in ("dash", "bash", "busybox") if shutil.which(one)]


class ThroughShell(LocalChannel):
    """This machine, with another shell as its `sh`."""

    def __init__(self, directory: Path, shell: str) -> None:
        super().__init__(start=self._through)
        directory.mkdir()
        (directory / "sh").symlink_to(shutil.which(shell) or shell)
        self._sh = f"exec {directory}/sh -c"
        self._environment = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        """As of every channel."""
        return super().open(command.replace("exec /bin/sh -c", self._sh, 1), stop)

    def _through(self, argv: list[str], **how: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(argv, env=self._environment, **how)


class Prefixed(LocalChannel):
    """A login shell that does something first."""

    def __init__(self, before: str) -> None:
        super().__init__("web1")
        self._before = before

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        """As of every channel."""
        return super().open(f"{self._before}\n{command}", stop)


class Heard:
    """What a run has printed."""

    def __init__(self) -> None:
        self.output = b""
        self._more = threading.Condition()

    def __call__(self, piece: bytes) -> None:
        with self._more:
            self.output += piece
            self._more.notify_all()

    def until(self, text: bytes) -> None:
        """Wait for it."""
        with self._more:
            assert self._more.wait_for(lambda: text in self.output, 20), self.output


class Runs(Protocol):
    """What runs."""

    def run(self, run: Run, say: Say, stop: threading.Event) -> Ended:
        """As of HostRunner."""
        ...


class Beside(threading.Thread):
    """A run that goes on beside the test."""

    def __init__(self, runs: Runs, run: Run) -> None:
        super().__init__(daemon=True)
        self.heard, self.stop = Heard(), threading.Event()
        self._runs, self._run_of = runs, run
        self._ended: Ended | None = None
        self._problem: Exception | None = None
        self.start()

    def run(self) -> None:
        """Until it has ended."""
        try:
            self._ended = self._runs.run(self._run_of, self.heard, self.stop)
        except Exception as problem:
            self._problem = problem

    def end(self) -> Ended:
        """How it ended. Raises what it raised."""
        self.join(30)
        assert not self.is_alive()
        if self._problem is not None:
            raise self._problem
        assert self._ended is not None
        return self._ended


def key(name: str = "d/0/1", n: int = 0) -> RunKey:
    """Of an attempt on a host."""
    return RunKey(name, "web1", n)


def carrying(name: str, value: str) -> list[int]:
    """Processes that have this variable: those of a run, wherever they went."""
    found = []
    for process in psutil.process_iter():
        try:
            environment: Mapping[str, str] = process.environ()
            if environment.get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
