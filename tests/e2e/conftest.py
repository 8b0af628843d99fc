"""Engines for the tests that run the shipped commands; none of them outlives its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.engine_process import EngineProcess

MakeEngine = Callable[..., EngineProcess]


@pytest.fixture
def new_engine(tmp_path: Path) -> Iterator[MakeEngine]:
    """Makes the test's engines, not started yet; `settings` is the text of the settings file."""
    made: list[EngineProcess] = []

    def make(settings: str = "") -> EngineProcess:
        directory = tmp_path / f"engine-{len(made)}"
        directory.mkdir()
        made.append(EngineProcess(directory, settings))
        return made[-1]

    yield make
    for engine in made:
        engine.end()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine of the test's own, not started yet."""
    engine = EngineProcess(tmp_path)
    yield engine
    engine.end()
