"""Fixtures of builds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_workers.steps.confinement import Confinement
from tests.integration.dploy.build_bench import Bench


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
