"""What apps have beside their journals. Must not know what a config or a report says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

from re_core.adapters.paging import clamp_int64, log_overhang
from re_core.adapters.sqlite.database import Database, insert
from re_core.ports.apps import MOST_CONFIGS
from re_core.rows import AppRow, ConfigRow, LogCursor, LogLine, ZoneRow
from re_core.wire import strict_json

_APP = 'SELECT id, name, "group", version, zones FROM apps'
_CONFIG = "SELECT id, app, sealed, created FROM app_configs WHERE id = ?"
_ZONE = "SELECT name, at, id, report, version FROM zones"
_CURSOR = "SELECT app, zone, id, places, version FROM app_log_cursors"

#: tables whose rows name the app in the column `app`
_OF_APP = ("app_logs", "app_log_cursors", "app_configs")


class AppsPart:
    """See ports.AppRows."""

    _database: Database

    def save_app(self, row: AppRow) -> bool:
        """See ports.AppRows."""
        values = (*row[:4], strict_json.dumps(row.zones))
        new = 'INSERT OR IGNORE INTO apps (id, name, "group", version, zones) VALUES (?,?,?,?,?)'
        replace = (
            'UPDATE apps SET version = ?4, zones = ?5 WHERE id = ?1 AND name = ?2 AND "group" = ?3 AND version = ?4 - 1'
        )
        with self._database.writing() as connection:
            if connection.execute(new if row.version == 1 else replace, values).rowcount == 1:
                return True
            stands = connection.execute(f"{_APP} WHERE id = ?", (row.id,)).fetchone()
        return stands is not None and _app(stands) == row

    def app(self, id: str) -> AppRow | None:
        """See ports.AppRows."""
        return next(iter(self._apps("id = ?", id)), None)

    def app_by_name(self, name: str) -> AppRow | None:
        """See ports.AppRows."""
        return next(iter(self._apps("name = ?", name)), None)

    def apps(self, group: str | None = None) -> list[AppRow]:
        """See ports.AppRows."""
        return self._apps("1") if group is None else self._apps('"group" = ?', group)

    def drop_app(self, id: str) -> bool:
        """See ports.AppRows."""
        with self._database.writing() as connection:
            for table in _OF_APP:
                connection.execute(f"DELETE FROM {table} WHERE app = ?", (id,))
            return connection.execute("DELETE FROM apps WHERE id = ?", (id,)).rowcount == 1

    def add_config(self, row: ConfigRow) -> bool:
        """See ports.AppRows."""
        with self._database.writing() as connection:
            stands = connection.execute(_CONFIG, (row.id,)).fetchone()
            if stands is not None:
                return ConfigRow._make(stands) == row
            (count,) = connection.execute("SELECT count(*) FROM app_configs WHERE app = ?", (row.app,)).fetchone()
            if count >= MOST_CONFIGS:
                return False
            connection.execute("INSERT INTO app_configs (id, app, sealed, created) VALUES (?,?,?,?)", row)
        return True

    def config(self, id: str) -> ConfigRow | None:
        """See ports.AppRows."""
        row = self._database.row(_CONFIG, (id,))
        return None if row is None else ConfigRow._make(row)

    def drop_configs(self, app: str, keep: Collection[str], before: int) -> int:
        """See ports.AppRows."""
        with self._database.writing() as connection:
            query = "SELECT id FROM app_configs WHERE app = ? AND created < ?"
            old = [id for (id,) in connection.execute(query, (app, clamp_int64(before))) if id not in keep]
            connection.executemany("DELETE FROM app_configs WHERE id = ?", [(id,) for id in old])
        return len(old)

    def save_zone(self, row: ZoneRow) -> bool:
        """See ports.AppRows."""
        values = (row.name, row.at, row.id, strict_json.dumps(dict(row.report)), row.version)
        new = "INSERT OR IGNORE INTO zones (name, at, id, report, version) VALUES (?,?,?,?,?)"
        replace = "UPDATE zones SET at = ?2, id = ?3, report = ?4, version = ?5 WHERE name = ?1 AND version = ?5 - 1"
        with self._database.writing() as connection:
            if connection.execute(new if row.version == 1 else replace, values).rowcount == 1:
                return True
            stands = connection.execute(f"{_ZONE} WHERE name = ?", (row.name,)).fetchone()
        return stands is not None and _zone(stands) == row

    def zone(self, name: str) -> ZoneRow | None:
        """See ports.AppRows."""
        row = self._database.row(f"{_ZONE} WHERE name = ?", (name,))
        return None if row is None else _zone(row)

    def zones(self) -> list[ZoneRow]:
        """See ports.AppRows."""
        return [_zone(row) for row in self._database.rows(f"{_ZONE} ORDER BY name")]

    def drop_zone(self, name: str) -> bool:
        """See ports.AppRows."""
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM zones WHERE name = ?", (name,)).rowcount == 1

    def add_log_lines(self, lines: Sequence[LogLine], cursor: LogCursor) -> bool:
        """See ports.AppRows."""
        with self._database.writing() as connection:
            query = f"{_CURSOR} WHERE app = ? AND zone = ?"
            found = connection.execute(query, (cursor.app, cursor.zone)).fetchone()
            stands = None if found is None else _cursor(found)
            if stands == cursor:
                return True
            known = connection.execute("SELECT 1 FROM apps WHERE id = ?", (cursor.app,)).fetchone()
            if known is None or cursor.version != (stands.version if stands else 0) + 1:
                return False
            values = (cursor.app, cursor.zone, cursor.id, cursor.version, strict_json.dumps(dict(cursor.places)))
            connection.execute(
                "INSERT OR REPLACE INTO app_log_cursors (app, zone, id, version, places) VALUES (?,?,?,?,?)", values
            )
            _append(connection, cursor.app, lines)
        return True

    def log_cursors(self, zone: str) -> list[LogCursor]:
        """See ports.AppRows."""
        return [_cursor(row) for row in self._database.rows(f"{_CURSOR} WHERE zone = ? ORDER BY app", (zone,))]

    def log_lines(self, app: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """See ports.AppRows."""
        query = (
            "SELECT at, zone, ps, source, text, number FROM app_logs WHERE app = ? AND number > ? "
            "ORDER BY number LIMIT ?"
        )
        rows = self._database.rows(query, (app, clamp_int64(after), clamp_int64(limit)))
        return [LogLine._make(row) for row in rows]

    def last_log_line(self, app: str) -> int:
        """See ports.AppRows."""
        return _last(self._database.row("SELECT max(number) FROM app_logs WHERE app = ?", (app,)))

    def _apps(self, where: str, *values: str) -> list[AppRow]:
        query = f'{_APP} WHERE {where} ORDER BY "group", name, id'
        return [_app(row) for row in self._database.rows(query, values)]


def _append(connection: sqlite3.Connection, app: str, lines: Sequence[LogLine]) -> None:
    """Number the lines and store them; delete what is too much then."""
    last = _last(connection.execute("SELECT max(number) FROM app_logs WHERE app = ?", (app,)).fetchone())
    rows = [(app, number, *line[:5]) for number, line in enumerate(lines, last + 1)]
    insert(connection, "INSERT INTO app_logs (app, number, at, zone, ps, source, text)", rows)
    query = "SELECT length(text) FROM app_logs WHERE app = ? ORDER BY number"
    over = log_overhang([size for (size,) in connection.execute(query, (app,))])
    if over:
        first = "SELECT min(number) FROM app_logs WHERE app = ?1"
        connection.execute(f"DELETE FROM app_logs WHERE app = ?1 AND number < ({first}) + ?2", (app, over))


def _last(row: Sequence[Any]) -> int:
    return row[0] or 0


def _app(row: Sequence[Any]) -> AppRow:
    id, name, group, version, zones = row
    return AppRow(id, name, group, version, tuple(json.loads(zones)))


def _zone(row: Sequence[Any]) -> ZoneRow:
    name, at, id, report, version = row
    return ZoneRow(name, at, id, json.loads(report), version)


def _cursor(row: Sequence[Any]) -> LogCursor:
    app, zone, id, places, version = row
    return LogCursor(
        app, zone, id, {one: (int(gen), int(at)) for one, (gen, at) in json.loads(places).items()}, version
    )
