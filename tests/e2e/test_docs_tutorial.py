"""The tutorial, as somebody follows it: its files written, its commands run against a real engine, its output seen."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.tree import ROOT
from tests.e2e.engine_process import EngineProcess
from tests.e2e.transcripts import follow

TUTORIAL = ROOT / "docs" / "tutorial.md"

#: where the engine of the tutorial listens
ADDRESS = "http://127.0.0.1:8080"


def test_following_the_tutorial_shows_what_it_says(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path)
    engine.start()
    try:
        url = (engine.data / "url").read_text().strip()
        assert follow(TUTORIAL.read_text(), engine.environ, tmp_path, {ADDRESS: url}) >= 9
    finally:
        assert engine.stop() == 0
