"""A forest runner as a process of its own (real_runner.py), to be used, killed and frozen by tests. Must not know the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.e2e.engine_process import wait_until

#: seconds for what takes a few milliseconds on an idle machine
PATIENCE = 60.0

#: seconds between two sessions: a test has no time for the five of the real one
PAUSE = 0.5


class RunnerProcess:
    """One runner; what it prints is in `log`, of all its lives."""

    def __init__(self, directory: Path, address: str, id: str, **environ: str) -> None:
        """`address`: host and port of the gateway. `id`: `<name>.<secret>`."""
        self.log = directory / f"runner-{id.rpartition('.')[0]}.log"
        self.environ: Mapping[str, str] = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'schemas'}",
            "FOREST_SERVER_ADDR": f"http://{address}",
            "FOREST_RUNNER_ID": id,
            "RUNNER_PAUSE": str(PAUSE),
            **environ,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> None:
        """Start it, and wait for nothing."""
        with self.log.open("ab") as log:
            argv = [sys.executable, "-m", "tests.forest.real_runner"]
            self.process = subprocess.Popen(argv, env=self.environ, cwd=ROOT, stdout=log, stderr=log)

    def await_text(self, text: str, times: int = 1) -> None:
        """Wait until it has printed this so many times."""
        wait_until(f"{text!r} in {self.log}: {self.text[-2000:]}", lambda: self.text.count(text) >= times, PATIENCE)

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> None:
        """kill -9, where it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(PATIENCE)
