"""Hosts over real ssh: real servers on loopback, and this worker's connections to them. Must not know what the tests expect."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from re_workers.hosts.port import HostRunner, Run, RunKey
from re_workers.hosts.runners import open_runner
from re_workers.hosts.ssh import sockets
from re_workers.hosts.surroundings import Surroundings
from re_workers.steps.confinement import Confinement
from tests.integration.hosts.rig import Heard

#: not a test's own
STOP = threading.Event()


class Farm:
    """The worker's side."""

    def __init__(self, directory: Path, engine: str = "", **how: Any) -> None:
        self.said: list[str] = []
        directory.mkdir(exist_ok=True)
        confinement, engine = Confinement(isolation="off"), engine or str(directory)
        self.surroundings = Surroundings(directory, confinement, engine, say=self.said.append, **how)
        self._sockets = sockets.make(engine)

    def runner(self, rows: Mapping[str, Mapping[str, Any]], name: str = "web1", **how: Any) -> HostRunner:
        """Of a host."""
        return open_runner(name, rows, self.surroundings, **how)

    def clients(self) -> list[psutil.Process]:
        """The ssh processes that it has started and that live."""
        return clients(self._sockets)

    def close(self) -> None:
        """End its connections."""
        self.surroundings.close()


def clients(place: Path) -> list[psutil.Process]:
    """The ssh processes that live and whose sockets are there; other tests of this process may have some, too."""
    return [one for one in psutil.Process().children(recursive=True) if _belongs(one, place)]


def _belongs(process: psutil.Process, place: Path) -> bool:
    try:
        return process.name() == "ssh" and any(word.startswith(f"ControlPath={place}/") for word in process.cmdline())
    except psutil.Error:  # it has ended
        return False


def run(runner: HostRunner, script: str, name: str = "d/0/1", **how: Any) -> tuple[int, bytes]:
    """Exit code and output."""
    heard = Heard()
    ended = runner.run(Run(RunKey(name, runner.host), script, **how), heard, STOP)
    return ended.code, heard.output
