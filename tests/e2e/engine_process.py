"""`rectl up` as a process of its own, to be used and killed by tests. Must not know what a test is about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from re_client.api import Client

#: seconds until the engine must answer; a machine that runs many tests at once is slow
READY = 60.0

#: seconds that the engine gets to stop
STOP = 30.0


def wait_until(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, by looking again and again. Fails with `what` when it does not come."""
    end = time.monotonic() + seconds
    pause = 0.005
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


@contextmanager
def running(directory: Path, settings: str = "") -> Iterator[EngineProcess]:
    """An engine that runs while the block lasts, and ends in order."""
    with started(EngineProcess(directory, settings)) as engine:
        yield engine


@contextmanager
def started(engine: EngineProcess) -> Iterator[EngineProcess]:
    """The engine runs while the block lasts, and ends in order."""
    try:
        engine.start()
        yield engine
        assert engine.stop() == 0
    finally:
        engine.end()


class EngineProcess:
    """One data directory, and the engine that runs on it now."""

    def __init__(self, directory: Path, settings: str = "") -> None:
        """`settings` is the text of the settings file."""
        self.directory = directory
        self.log = directory / "engine.log"
        config = directory / "settings.yaml"
        config.write_text(settings)
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(directory),
            "RE_DATA_DIR": str(directory / "data"),
            "RE_HTTP": "127.0.0.1:0",
            # programs of steps are the test's eyes and ears, and write down beside the data directory what they did
            "RE_STEP_ISOLATION": "off",
        }
        if settings:
            self.environ["RE_CONFIG"] = str(config)
        #: what starts it; whatever stands before `rectl` must become it, by exec
        self.command = ["rectl", "up"]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def start(self, *, own_group: bool = False) -> None:
        """Start, and wait until it answers. `own_group`: as the leader of a process group, as a terminal does it."""
        self.spawn(own_group)
        self.await_ready()

    def spawn(self, own_group: bool = False) -> None:
        """Start, and wait for nothing."""
        (self.data / "url").unlink(missing_ok=True)
        group = 0 if own_group else None
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environ, stdout=log, stderr=log, process_group=group)

    def await_ready(self) -> None:
        """Wait until the engine of this moment answers."""
        wait_until(f"{self.log} says ready", self._answers, READY)

    def client(self) -> Client:
        """A client with all rights."""
        return Client((self.data / "url").read_text().strip(), (self.data / "token").read_text().strip())

    def run(self, *words: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`rectl` with these words, as a user on this machine."""
        environ = {**self.environ, **(more or {})}
        return subprocess.run(["rectl", *words], env=environ, capture_output=True, text=True, check=False, timeout=120)

    def worker(self) -> psutil.Process | None:
        """gunicorn's worker, which is the engine."""
        assert self.process is not None
        try:
            return next(iter(psutil.Process(self.process.pid).children()), None)
        except psutil.NoSuchProcess:
            return None

    def kill_master(self) -> None:
        """kill -9 of the process that was started, and wait until all of it is gone."""
        assert self.process is not None
        worker = self.worker()
        self.process.kill()
        self.process.wait(STOP)
        if worker is not None:
            worker.wait(STOP)

    def kill_everything(self) -> None:
        """kill -9 of the process that was started and of the engine under it, at once, as when a machine dies."""
        assert self.process is not None
        worker = self.worker()
        self.process.kill()
        if worker is not None:
            worker.kill()
            worker.wait(STOP)
        self.process.wait(STOP)

    def kill_worker(self) -> None:
        """kill -9 of the engine under the process that was started, which then starts another."""
        worker = self.worker()
        (self.data / "url").unlink(missing_ok=True)
        if worker is not None:
            worker.kill()

    def stop(self) -> int:
        """TERM; the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP)

    def end(self) -> None:
        """TERM, and kill -9 where that does not end it: for the end of a test that may have failed."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill_everything()

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the engine ended: {self.log.read_text()[-3000:]}"
        return (self.data / "url").exists()
