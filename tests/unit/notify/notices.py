"""A notice for tests, of the shape that the port asks for."""

from __future__ import annotations

from typing import NamedTuple


class Said(NamedTuple):
    """The least that is a notice."""

    slug: str = "RPMs promoted"
    message: str = "The rpms in my cart are promoted"
    phase: str = "completed"
    target: tuple[str, ...] = ()
