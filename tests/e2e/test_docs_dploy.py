"""The tutorial of apps, as its reader follows it: with a real engine, builder and zone, and git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tests.e2e.engine_process import EngineProcess, started, wait_until
from tests.e2e.transcripts import follow

TUTORIAL = ROOT / "docs" / "tutorial-dploy.md"


@pytest.mark.long
def test_following_the_tutorial_of_apps_shows_what_it_says(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path)
    engine.environ |= {"RE_DPLOY": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    with started(engine):

        def has_zone() -> bool:
            with engine.client() as client:
                return bool(client.apps.zones())

        wait_until("the zone answers", has_zone, 60.0)
        places = {"cp examples/": f"cp {ROOT}/examples/"}
        assert follow(TUTORIAL.read_text(), engine.environ, tmp_path, places) >= 15
