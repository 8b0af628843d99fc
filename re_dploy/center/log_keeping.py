"""Lines of the logs of one zone, on their way from its reports to where readers look. Must not know sockets, nor what is stored how."""

from __future__ import annotations

from collections.abc import Mapping

from re_dploy import wire
from re_dploy.center.shelf import Kept, Shelf, newest


class LogKeeper:
    """Of one zone. One thread calls."""

    def __init__(self, zone: str, shelf: Shelf) -> None:
        self._zone, self._shelf = zone, shelf
        #: id of the zone's directory that the cursors are about; empty: they have to be read
        self._id = ""
        #: log -> generation and offset of what is stored of it
        self._cursors: dict[str, tuple[int, int]] = {}
        #: page of a report -> the log that was served last there
        self._served: dict[str, str] = {}

    def behind(self, after: str) -> Mapping[str, tuple[int, int]]:
        """Where the logs go on that stand on the page of the apps behind `after`."""
        return {log: place for log, place in self._cursors.items() if _app(log) > after}

    def served(self, after: str) -> str:
        """The log after which that page goes on: each has its turn, so that none starves behind those that print much."""
        return self._served.get(after, "")

    def take(self, after: str, page: wire.Report) -> None:
        """A page has come."""
        if page.logs:
            self._served[after] = page.logs[-1].log
        else:
            self._served.pop(after, None)

    def keep(self, report: wire.Report, own: Mapping[str, str]) -> None:
        """Store the lines of the zone's apps, name -> id; of which app lines are is not for the zone to say."""
        if report.id != self._id:
            # another directory: its instances are others, though they may have the same names
            self._id, self._cursors = report.id, dict(self._shelf.cursors(self._zone, report.id))
            return
        skipped = set()
        for piece in report.logs:
            name = _app(piece.log)
            app, there = own.get(name), report.apps.get(name)
            # an earlier app of that name has lines there too
            if app is None or app in skipped or (there is not None and there.app_id != app):
                continue
            kept = self._shelf.keep_lines(report, app, piece)
            if kept is Kept.STORED:
                self._cursors = newest(self._cursors | {piece.log: (piece.gen, piece.offset)})
                continue
            skipped.add(app)
            if kept is Kept.RACED:
                self._id = ""


def _app(log: str) -> str:
    return log.partition("/")[0]
