"""A database for the command to look after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.documents import MongoDB


@pytest.fixture
def mongo_url(mongodb: MongoDB) -> Iterator[str]:
    """A database with nothing in it."""
    with mongodb.database() as url:
        yield url
