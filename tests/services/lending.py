"""A part of a shared server for one test. Must not know which server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def lent(make: Callable[[], str], take_back: Callable[[str], None]) -> Iterator[str]:
    """What `make` returns; `take_back` gets it when the block ends."""
    url = make()
    try:
        yield url
    finally:
        take_back(url)
