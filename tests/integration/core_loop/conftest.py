"""A house for every test that wants one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.core_loop.house import House

#: House, but for the directory
Build = Callable[..., House]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Builds houses; the arguments are those of House after the directory."""
    built: list[House] = []

    def new(**more: Any) -> House:
        place = tmp_path / f"house{len(built)}"
        place.mkdir()
        built.append(House(place, **more))
        return built[-1]

    yield new
    for house in built:
        house.store.close()


@pytest.fixture
def house(build: Build) -> House:
    """One core, a worker of `noop`, a notifier of `console`."""
    return build()
