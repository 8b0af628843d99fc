"""The figures of a process, for callers that see every group. Must not know how they are counted."""

from __future__ import annotations

from collections.abc import Callable

from re_core.usecases.authorization import Principal, Verb, require


def page(principal: Principal, make: Callable[[], tuple[bytes, str]]) -> tuple[bytes, str]:
    """The page and its media type. Raises NotAllowed: figures belong to no group."""
    require(principal, Verb.SEE, None)
    return make()
