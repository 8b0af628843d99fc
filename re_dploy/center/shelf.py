"""What zones report, kept where readers look. Several centers may do that: who was slower stores nothing. Must not know zones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from enum import Enum, auto
from typing import Any

from re_core import ports
from re_core.ports import Clock
from re_core.rows import LogCursor, LogLine, ZoneRow
from re_dploy import wire

#: milliseconds after which a report that says nothing new is stored, so that readers know that the zone was heard
FRESHEN = 10_000
#: characters of a line that are kept
MOST_LINE = 4 * 1024
#: log in which a zone says what it did with the processes of an app
ZONE_LOG = "dploy.0"
#: instances of one name of which it is remembered how far their logs are stored: three that ended, five that run, and some to spare
MOST_OF_A_NAME = 12
#: logs of one zone of which that is remembered: what a question of the center names
MOST_PLACES = 10_000
#: milliseconds after a zone was heard last, by any center, after which is stored that it is away
AWAY = 20_000
#: milliseconds after which that is stored once more, so that readers know that a center still asks for the zone
LOOK_AGAIN = 60_000
#: keys of a stored report: app -> why it is not as it should be; why the zone is away; when a center has looked in vain
ERRORS, TROUBLE, LOOKED = "errors", "trouble", "looked"


class Kept(Enum):
    """What has become of lines."""

    STORED = auto()
    #: another center was faster: its cursor has to be read
    RACED = auto()
    #: the app has no row any more
    NO_APP = auto()


class Shelf:
    """Of all zones. Thread-safe; one thread for each zone."""

    def __init__(
        self,
        rows: ports.AppRows,
        clock: Clock,
        redact: Callable[[str], str] = lambda text: text,
        noted: Callable[[str], None] = lambda app: None,
    ) -> None:
        """`redact` takes out of lines what no reader may see; `noted` is called with the app that has new lines."""
        self._rows, self._clock, self._redact, self._noted = rows, clock, redact, noted
        self._lock = threading.Lock()
        self._read: dict[str, ZoneRow | None] = {}
        #: (zone, app) -> how far its logs are stored
        self._cursors: dict[tuple[str, str], LogCursor] = {}

    def stored(self, zone: str) -> tuple[str, Mapping[str, int]]:
        """Id of the zone's directory in its stored report, and by app the revision of its routes there.

        What is said with the next look replaces the row that was read here, and no later one. Raises StoreUnavailable.
        """
        row = self._rows.zone(zone)
        with self._lock:
            self._read[zone] = row
        if row is None:
            return "", {}
        apps = row.report.get("apps", {})
        return row.id, {name: app["routes"]["revision"] for name, app in apps.items() if app["routes"]["revision"]}

    def cursors(self, zone: str, zone_id: str) -> Mapping[str, tuple[int, int]]:
        """By log, the generation and the offset of what is stored of it. Raises StoreUnavailable."""
        found: dict[str, tuple[int, int]] = {}
        for cursor in self._rows.log_cursors(zone):
            with self._lock:
                self._cursors[zone, cursor.app] = cursor
            if cursor.id == zone_id:
                found |= cursor.places
        return found

    def keep(self, report: wire.Report, errors: Mapping[str, str], waiting: Collection[str] = ()) -> None:
        """Store a report. `waiting`: apps that are not as they should be; what another center has found there stays.

        Raises StoreUnavailable, and NotStorable where the report is too long.
        """
        with self._lock:
            row = self._read.get(report.zone)
        now = self._clock.now()
        found = {} if row is None else row.report.get(ERRORS, {})
        document = _document(report, {app: why for app, why in found.items() if app in waiting} | dict(errors))
        if row is not None and row.report == document and row.id == report.id and 0 <= now - row.at < FRESHEN:
            return
        version = 1 if row is None else row.version + 1
        self._rows.save_zone(ZoneRow(report.zone, now, report.id, document, version))

    def away(self, zone: str, why: str) -> None:
        """The zone does not answer; what it reported last stays, with the reason, unless another center hears it.

        Raises StoreUnavailable.
        """
        row, now = self._rows.zone(zone), self._clock.now()
        if row is None:
            row = ZoneRow(zone, 0, "", {"apps": {}}, 0)
        since = now - row.report.get(LOOKED, 0)
        period = LOOK_AGAIN if row.report.get(TROUBLE) == why else FRESHEN
        if 0 <= now - row.at < AWAY or 0 <= since < period:
            return
        report = {**row.report, TROUBLE: why, LOOKED: now}
        self._rows.save_zone(row._replace(report=report, version=row.version + 1))

    def keep_lines(self, report: wire.Report, app: str, piece: wire.LogPiece) -> Kept:
        """Store lines of a log of the app with that id, with the cursor behind them. Raises StoreUnavailable.

        The cursor stands for all logs of the app in this zone, so their pieces come one after the other.
        """
        with self._lock:
            before = self._cursors.get((report.zone, app))
        places = dict(before.places) if before is not None and before.id == report.id else {}
        places = newest(places | {piece.log: (piece.gen, piece.offset)})
        lines = [
            LogLine(line.at, report.zone, ps, line.source, self._redact(text)[:MOST_LINE])
            for line in piece.lines
            for ps, text in [_said_of(piece.log, line.text)]
        ]
        cursor = LogCursor(app, report.zone, report.id, places, 1 if before is None else before.version + 1)
        if not self._rows.add_log_lines(lines, cursor):
            return Kept.NO_APP if self._rows.app(app) is None else Kept.RACED
        with self._lock:
            self._cursors[report.zone, app] = cursor
        if lines:
            self._noted(app)
        return Kept.STORED


def newest(places: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Without instances that the zone cannot have any more: they are numbered, and of each name it keeps few."""
    found: dict[str, list[tuple[int, str]]] = {}
    for log in places:
        name, _, number = log.rpartition("-")
        numbered = bool(name) and number.isdigit()
        found.setdefault(name if numbered else log, []).append((int(number) if numbered else 0, log))
    kept = {log for logs in found.values() for _, log in sorted(logs)[-MOST_OF_A_NAME:]}
    left = [(log, place) for log, place in places.items() if log in kept]
    # names are the zone's word, so that there may be any number of them
    return dict(left[-MOST_PLACES:])


def _said_of(log: str, text: str) -> tuple[str, str]:
    """Which process a line is about, and the line. What the zone says stands in a log of its own, and begins with that."""
    instance = log.partition("/")[2]
    if instance == ZONE_LOG:
        about, _, said = text.partition(" ")
        return about, said
    return instance.rpartition("-")[0] or instance, text


def _document(report: wire.Report, errors: Mapping[str, str]) -> dict[str, Any]:
    """What readers get: no lines, and what the center finds wrong."""
    document = report._replace(orders=(), logs=()).document()
    return {**document, ERRORS: dict(errors)}
