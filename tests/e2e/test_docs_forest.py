"""Connect a forest runner, as a reader follows it: with a program in place of the real runner that behaves as that does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.architecture.tree import ROOT
from tests.e2e.engine_process import EngineProcess
from tests.e2e.transcripts import follow

PAGE = ROOT / "docs" / "how-to" / "connect-a-forest-runner.md"

#: where the gateway of the page listens, and where its runner deploys
ADDRESS, PLACE = "127.0.0.1:7070", "/srv/flux"


def test_following_the_page_connects_a_runner_that_releases_something(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path)
    engine.environ["RE_FOREST_LISTEN"] = "127.0.0.1:0"
    programs, pid = tmp_path / "bin", tmp_path / "runner.pid"
    programs.mkdir()
    runner = programs / "forest-runner"
    runner.write_text(
        f"#!/bin/sh\nPYTHONPATH={ROOT}:{ROOT / 'schemas'} exec {sys.executable} -m tests.forest.real_runner\n"
    )
    runner.chmod(0o755)
    here = {**engine.environ, "PATH": f"{programs}:{engine.environ['PATH']}", "RUNNER_PID_FILE": str(pid)}
    engine.start()
    try:
        places = {ADDRESS: (engine.data / "forest").read_text().strip(), PLACE: str(tmp_path / "flux")}
        assert follow(PAGE.read_text(), here, tmp_path, places) == 10
    finally:
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGKILL)
        assert engine.stop() == 0
