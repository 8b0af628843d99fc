"""The figures of a process, for those who may see all groups. Must not know how they are counted."""

from __future__ import annotations

from collections.abc import Callable

from re_core.errors import NotAllowed
from re_core.rows import Token


def page(token: Token, make: Callable[[], tuple[bytes, str]]) -> tuple[bytes, str]:
    """The page and its media type. Raises NotAllowed: figures belong to no group."""
    if token.groups is not None:
        raise NotAllowed("figures belong to no group: they need a token that reaches all groups")
    return make()
