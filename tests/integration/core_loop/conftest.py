"""A harness for every test that wants one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.core_loop.core_harness import CoreHarness

#: CoreHarness, but for the directory
Build = Callable[..., CoreHarness]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Builds houses; the arguments are those of CoreHarness after the directory."""
    built: list[CoreHarness] = []

    def new(**more: Any) -> CoreHarness:
        place = tmp_path / f"harness{len(built)}"
        place.mkdir()
        built.append(CoreHarness(place, **more))
        return built[-1]

    yield new
    for harness in built:
        harness.store.close()


@pytest.fixture
def harness(build: Build) -> CoreHarness:
    """One core, a worker of `noop`, a notifier of `console`."""
    return build()
