"""One engine per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_gateways.forest.gateway import Gateway
from tests.integration.forest.rig import Rig


@pytest.fixture(autouse=True)
def _quick_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes is in the next heartbeat, which does not wait a second, and is read at once."""
    monkeypatch.setattr("re_core.workforce.capabilities.FRESH", 0)
    monkeypatch.setattr("re_workers.host.NEWS", 0.02)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def gateway(rig: Rig) -> Gateway:
    return rig.gateway()
