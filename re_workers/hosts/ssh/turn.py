"""When a session may begin that has a slot of its connection. Must not know what it waits for.

What waits for its turn holds its slot, and what has the turn never waits for a slot: so it always comes to its end, and what waits
goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

_Of = TypeVar("_Of")


class Turn(Protocol):
    """Of one session."""

    def take(self) -> None:
        """Wait for it. Raises HostError."""
        ...

    def end(self) -> None:
        """Others may have it. Safe to repeat."""
        ...


class _AnyTime:
    def take(self) -> None:
        """At once."""

    def end(self) -> None:
        """Nothing waits for it."""


#: of a session that waits for none
ANY_TIME: Turn = _AnyTime()


def in_turn(turn: Turn, begin: Callable[[], _Of]) -> _Of:
    """What `begin` returns; the turn goes on with it, and ends at once where `begin` raises."""
    turn.take()
    try:
        return begin()
    except BaseException:
        turn.end()
        raise
