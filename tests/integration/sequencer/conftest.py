"""The houses of the unit tests, at any place."""

from __future__ import annotations

from tests.integration.core_loop.conftest import build, harness

__all__ = ["build", "harness"]
