"""A notice for tests, of the shape that the port asks for."""

from __future__ import annotations

from typing import NamedTuple

from re_core.wire.notice_facts import NO_FACTS, Facts


class Said(NamedTuple):
    """The least that is a notice."""

    slug: str = "RPMs promoted"
    message: str = "The rpms in my cart are promoted"
    phase: str = "completed"
    target: tuple[str, ...] = ()
    facts: Facts = NO_FACTS
