"""Fixtures of builds and zones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from re_workers.steps.confinement import Confinement
from tests.integration.dploy.build_bench import Bench
from tests.integration.dploy.zone_harness import NewZone, Zone, config, marked


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """What is the engine's, and readable for all but for the sandbox."""
    path = tmp_path / "engine" / "secret"
    path.parent.mkdir()
    path.write_text("the engine's")
    return path


@pytest.fixture
def bench(secret: Path) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:  # the builds' user can enter it
        bench = Bench(Path(directory), Confinement([secret.parent]))
        yield bench
        assert bench.living() == []


@pytest.fixture
def new_zone(tmp_path: Path) -> Iterator[NewZone]:
    """Zones of a test, of which nothing is left running after it."""
    made: list[Zone] = []

    def make(directory: Path = tmp_path, /, **more: Any) -> Zone:
        made.append(Zone(config(directory, **more)))
        return made[-1]

    yield make
    for zone in made:
        id = zone.agent.id
        zone.stop()
        assert marked(id) == {}
