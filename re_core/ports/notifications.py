"""The list of notifications that were sent or failed: for people, bounded, behind nothing. Must not know any technology."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from re_core.wire.notified import Notified


class NotifiedFilter(NamedTuple):
    """Which of them to list. Empty means all."""

    #: None means all, also those that belong to no group; an empty tuple finds nothing
    groups: tuple[str, ...] | None = None
    deployment: str = ""
    #: one of re_core.wire.notified.OUTCOMES
    outcome: str = ""
    transport: str = ""


class Notifications(Protocol):
    """What notifiers have reported."""

    def add_notified(self, rows: Sequence[Notified]) -> None:
        """Keep them, in one commit; an id that is there is left as it is."""
        ...

    def notified(self, wanted: NotifiedFilter, limit: int, before: str = "") -> list[Notified]:
        """Newest first, ids below `before`."""
        ...

    def trim_notified(self, before: int, most: int) -> int:
        """Drop those from before that time, and of the others all but the newest `most`; how many were dropped."""
        ...
