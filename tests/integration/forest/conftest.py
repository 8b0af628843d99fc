"""One engine per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_gateways.forest.gateway import Gateway
from tests.integration.forest.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def gateway(rig: Rig) -> Gateway:
    return rig.gateway()
