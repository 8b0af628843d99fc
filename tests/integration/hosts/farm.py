"""Hosts over real ssh: real servers on loopback, and this worker's connections to them. Must not know what the tests expect."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from re_workers.hosts.port import HostRunner, Run, RunKey
from re_workers.hosts.runners import open_runner
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
        confinement = Confinement(isolation="off")
        self.surroundings = Surroundings(directory, confinement, engine or str(directory), say=self.said.append, **how)

    def runner(self, rows: Mapping[str, Mapping[str, Any]], name: str = "web1", **how: Any) -> HostRunner:
        """Of a host."""
        return open_runner(name, rows, self.surroundings, **how)

    def close(self) -> None:
        """End its connections."""
        self.surroundings.close()


def clients() -> list[psutil.Process]:
    """The ssh processes that this one has started and that live."""
    return [one for one in psutil.Process().children(recursive=True) if one.name() == "ssh"]


def run(runner: HostRunner, script: str, name: str = "d/0/1", **how: Any) -> tuple[int, bytes]:
    """Exit code and output."""
    heard = Heard()
    ended = runner.run(Run(RunKey(name, runner.host), script, **how), heard, STOP)
    return ended.code, heard.output
