"""The houses of the unit tests, at any place."""

from __future__ import annotations

from tests.unit.sequencer.conftest import build, house

__all__ = ["build", "house"]
