"""The part of the store that apps have beside their journals: an index, sealed config, what zones reported, lines of logs.

Must not know any technology, nor what a config or a report says.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from re_core.rows import AppRow, ConfigRow, LogCursor, LogLine, ZoneRow

#: config rows of one app: those of the releases that are kept, and a day of changes that led to none
MOST_CONFIGS = 500

#: lines of one app that are kept, and characters of their texts
MOST_LOG_LINES = 1500
MOST_LOG_TEXT = 1024 * 1024


class AppRows(Protocol):
    """All five tables."""

    def save_app(self, row: AppRow) -> bool:
        """Insert it where its version is 1, or replace exactly the version before; one of several callers succeeds.

        False: another caller was faster, or another app has that name. A row that is there and equal in everything is
        the caller's own, whose answer was lost: True.
        """
        ...

    def app(self, id: str) -> AppRow | None:
        """The one with this id."""
        ...

    def app_by_name(self, name: str) -> AppRow | None:
        """The one with this name; a name belongs to one app of the engine."""
        ...

    def apps(self, group: str | None = None) -> list[AppRow]:
        """All of the group, or all, by group and name."""
        ...

    def drop_app(self, id: str) -> bool:
        """Delete its row, configs, log and cursors; False where there is no row. Where it is cut off, calling it again goes on."""
        ...

    def add_config(self, row: ConfigRow) -> bool:
        """Store it; False where its id is there with something else, or its app has MOST_CONFIGS."""
        ...

    def config(self, id: str) -> ConfigRow | None:
        """The one with this id."""
        ...

    def drop_configs(self, app: str, keep: Collection[str], before: int) -> int:
        """Delete those of the app that were created before that time and are not in `keep`; how many were deleted."""
        ...

    def save_zone(self, row: ZoneRow) -> bool:
        """Insert it where its version is 1, or replace exactly the version before; one of several callers succeeds.

        So a caller that reads the row, asks the zone and then saves replaces nothing that the zone said later. False
        where another caller was faster; a row that is there and equal in everything is the caller's own: True. What was
        answered True is what every reader sees from then on, also after the death of the process and of the machine.
        """
        ...

    def zone(self, name: str) -> ZoneRow | None:
        """The one of this name."""
        ...

    def zones(self) -> list[ZoneRow]:
        """All, by name."""
        ...

    def drop_zone(self, name: str) -> bool:
        """False where it is not there."""
        ...

    def add_log_lines(self, lines: Sequence[LogLine], cursor: LogCursor) -> bool:
        """Store the lines of one app, numbered in this order, and how far its zone was read, in one commit.

        Done where the cursor's version is one above that of the cursor that stands (from 1 on); False where it is not,
        since another caller has stored these lines, or where the app has no row. A cursor that stands and is equal in
        everything is the caller's own, whose answer was lost: True. Numbers in `lines` are ignored.

        Of an app the newest lines stay: MOST_LOG_LINES at most, with MOST_LOG_TEXT characters at most.
        """
        ...

    def log_cursors(self, zone: str) -> list[LogCursor]:
        """How far the logs of each app were read from this zone, by app."""
        ...

    def log_lines(self, app: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Lines with a number above `after`, in order, `limit` at most. Numbers of an app begin at 1 and have no gaps."""
        ...

    def last_log_line(self, app: str) -> int:
        """Number of the last stored line; 0 where there is none."""
        ...
