"""What apps have beside their journals. Must not know what a config or a report says.

The key of an app's document is its name: what must be there once is a key. The log of an app is one document, so that
lines and the cursor behind them are stored by one update, which names the version that it replaces.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from re_core.adapters.mongo.database import Database, Document, attempted, texts
from re_core.adapters.paging import clamp_int64, log_overhang
from re_core.errors import StoreUnavailable
from re_core.ports.apps import MOST_CONFIGS
from re_core.rows import AppRow, ConfigRow, LogCursor, LogLine, ZoneRow
from re_core.wire import strict_json

#: races for one log that are lost before a caller gives up: more than there are zones and centers
_TRIES = 100

_ORDER = [("group", 1), ("_id", 1)]


class AppsPart:
    """See ports.AppRows."""

    _database: Database

    def save_app(self, row: AppRow) -> bool:
        """See ports.AppRows."""
        document, database = _app_document(row), self._database
        if row.version == 1:
            return database.add_or_find(database.apps, document) == document
        which = {name: document[name] for name in ("_id", "id", "group")}
        with database.translating_errors():
            done = database.apps.update_one({**which, "version": row.version - 1}, {"$set": document})
            return done.matched_count == 1 or database.apps.find_one({"_id": row.name}) == document

    def app(self, id: str) -> AppRow | None:
        """See ports.AppRows."""
        return self._app({"id": id})

    def app_by_name(self, name: str) -> AppRow | None:
        """See ports.AppRows."""
        return self._app({"_id": name})

    def apps(self, group: str | None = None) -> list[AppRow]:
        """See ports.AppRows."""
        with self._database.translating_errors():
            found = list(self._database.apps.find({} if group is None else {"group": group}).sort(_ORDER))
        return [row for _, row in self._database.readable("apps", found, app_of)]

    def drop_app(self, id: str) -> bool:
        """See ports.AppRows. The row goes last: with it, what was cut off is found again."""
        with self._database.translating_errors():
            self._database.app_logs.delete_one({"_id": id})
            self._database.app_configs.delete_many({"app": id})
            return self._database.apps.delete_one({"id": id}).deleted_count == 1

    def add_config(self, row: ConfigRow) -> bool:
        """See ports.AppRows."""
        document: Document = {"_id": row.id, **row._asdict()}
        del document["id"]
        with self._database.translating_errors():
            full = self._database.app_configs.count_documents({"app": row.app}, limit=MOST_CONFIGS) >= MOST_CONFIGS
        if full:
            return self.config(row.id) == row
        return attempted(self._database.add_or_find(self._database.app_configs, document), config_of) == row

    def config(self, id: str) -> ConfigRow | None:
        """See ports.AppRows. Raises StoreRefused for a document that is none of ours: its app has other values."""
        with self._database.translating_errors():
            found = self._database.app_configs.find_one({"_id": id})
        return None if found is None else self._database.own("app_configs", found, config_of)

    def drop_configs(self, app: str, keep: Collection[str], before: int) -> int:
        """See ports.AppRows."""
        old = {"app": app, "created": {"$lt": clamp_int64(before)}, "_id": {"$nin": sorted(keep)}}
        with self._database.translating_errors():
            return self._database.app_configs.delete_many(old).deleted_count

    def save_zone(self, row: ZoneRow) -> bool:
        """See ports.AppRows."""
        document: Document = {"_id": row.name, **row._asdict(), "report": strict_json.dumps(dict(row.report))}
        del document["name"]
        zones = self._database.zones
        if row.version == 1:
            return self._database.add_or_find(zones, document) == document
        with self._database.translating_errors():
            done = zones.update_one({"_id": row.name, "version": row.version - 1}, {"$set": document})
            return done.matched_count == 1 or zones.find_one({"_id": row.name}) == document

    def zone(self, name: str) -> ZoneRow | None:
        """See ports.AppRows."""
        with self._database.translating_errors():
            found = self._database.zones.find_one({"_id": name})
        return None if found is None else self._database.own("zones", found, zone_of)

    def zones(self) -> list[ZoneRow]:
        """See ports.AppRows."""
        with self._database.translating_errors():
            found = list(self._database.zones.find().sort("_id", 1))
        return [row for _, row in self._database.readable("zones", found, zone_of)]

    def drop_zone(self, name: str) -> bool:
        """See ports.AppRows."""
        with self._database.translating_errors():
            return self._database.zones.delete_one({"_id": name}).deleted_count == 1

    def add_log_lines(self, lines: Sequence[LogLine], cursor: LogCursor) -> bool:
        """See ports.AppRows."""
        if self.app(cursor.app) is None:
            return False
        logs = self._database.app_logs
        empty: Document = {
            "_id": cursor.app,
            "version": 0,
            "last": 0,
            "sizes": [],
            "lines": [],
            "zones": [],
            "cursors": "{}",
        }
        for _ in range(_TRIES):
            with self._database.translating_errors():
                head = logs.find_one({"_id": cursor.app}, {"lines": 0})
            if head is None:
                head = self._database.add_or_find(logs, empty)
            cursors = self._database.own("app_logs", head, _cursors_of)
            stands = cursors.get(cursor.zone)
            if stands == cursor or cursor.version != (stands.version if stands else 0) + 1:
                return stands == cursor
            change = _change(head, lines, {**cursors, cursor.zone: cursor})
            with self._database.translating_errors():
                if logs.update_one({"_id": cursor.app, "version": head["version"]}, change).matched_count == 1:
                    return True
        raise StoreUnavailable(f"store {self._database.where}: the log of app {cursor.app} changes all the time")

    def log_cursors(self, zone: str) -> list[LogCursor]:
        """See ports.AppRows."""
        with self._database.translating_errors():
            found = list(self._database.app_logs.find({"zones": zone}, {"lines": 0}).sort("_id", 1))
        return [
            cursors[zone] for _, cursors in self._database.readable("app_logs", found, _cursors_of) if zone in cursors
        ]

    def log_lines(self, app: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """See ports.AppRows."""
        with self._database.translating_errors():
            found = self._database.app_logs.find_one({"_id": app, "last": {"$gt": clamp_int64(after)}})
        lines = [] if found is None else self._database.own("app_logs", found, log_of)
        return [line for line in lines if line.number > after][:limit]

    def last_log_line(self, app: str) -> int:
        """See ports.AppRows."""
        with self._database.translating_errors():
            found = self._database.app_logs.find_one({"_id": app}, {"last": 1})
        return 0 if found is None else self._database.own("app_logs", found, lambda document: int(document["last"]))

    def _app(self, which: Document) -> AppRow | None:
        with self._database.translating_errors():
            found = self._database.apps.find_one(which)
        return None if found is None else self._database.own("apps", found, app_of)


def app_of(document: Document) -> AppRow:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    id, name, group = texts(document, "id", "_id", "group")
    return AppRow(id, name, group, int(document["version"]), tuple(map(str, document["zones"])))


def config_of(document: Document) -> ConfigRow:
    """As `app_of`."""
    id, app = texts(document, "_id", "app")
    return ConfigRow(id, app, bytes(document["sealed"]), int(document["created"]))


def zone_of(document: Document) -> ZoneRow:
    """As `app_of`."""
    name, id = texts(document, "_id", "id")
    report = json.loads(document["report"])
    if not isinstance(report, dict):
        raise TypeError("no report")
    return ZoneRow(name, int(document["at"]), id, report, int(document["version"]))


def log_of(document: Document) -> list[LogLine]:
    """As `app_of`; the lines that are kept."""
    lines, last = list(document["lines"]), int(document["last"])
    _cursors_of(document)
    if len(lines) != len(document["sizes"]):
        raise ValueError("the counts of its lines and of their sizes differ")
    first = last - len(lines) + 1
    return [_line(json.loads(line), number) for number, line in enumerate(lines, first)]


def _cursors_of(document: Document) -> dict[str, LogCursor]:
    """Zone -> how far its logs were read."""
    (app,) = texts(document, "_id")
    int(document["version"])
    return {zone: _cursor(app, zone, *one) for zone, one in json.loads(document["cursors"]).items()}


def _cursor(app: str, zone: str, id: str, version: int, places: Mapping[str, Sequence[int]]) -> LogCursor:
    return LogCursor(app, zone, id, {one: (int(gen), int(at)) for one, (gen, at) in places.items()}, int(version))


def _line(values: Sequence[Any], number: int) -> LogLine:
    at, zone, ps, source, text = values
    return LogLine(int(at), str(zone), str(ps), str(source), str(text), number)


def _app_document(row: AppRow) -> Document:
    return {"_id": row.name, "id": row.id, "group": row.group, "version": row.version, "zones": list(row.zones)}


def _change(head: Document, lines: Sequence[LogLine], cursors: Mapping[str, LogCursor]) -> Document:
    """The update that adds the lines and replaces the cursors; what is too much then goes in the same one."""
    sizes = [len(line.text) for line in lines]
    every = [*head["sizes"], *sizes]
    kept = len(every) - log_overhang(every)
    new = [strict_json.dumps(line[:5]) for line in lines]
    saved = {zone: (one.id, one.version, dict(one.places)) for zone, one in cursors.items()}
    return {
        "$set": {
            "version": head["version"] + 1,
            "last": head["last"] + len(lines),
            "zones": sorted(cursors),
            "cursors": strict_json.dumps(saved),
        },
        "$push": {
            "lines": {"$each": new, "$slice": -kept},
            "sizes": {"$each": sizes, "$slice": -kept},
        },
    }
