"""What a center asks of a zone, and what the zone reports. Pure; must not know sockets."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from re_dploy.wire.fields import MAX_NUMBER, BadWire, Fields
from re_dploy.wire.names import (
    ADDRESS,
    APP,
    APP_STATES,
    DIGEST,
    FORMAT,
    ID,
    INSTANCE,
    LOG,
    MAX_APPS,
    MAX_ASKED,
    MAX_INSTANCES,
    MAX_LINE,
    MAX_LINES,
    MAX_LOGS,
    MAX_WHY,
    NAME,
    NONE,
    ORDER,
    ORDER_STATES,
    PS_STATES,
    SOURCES,
    ZONE,
    Formation,
    body_of,
    formation_of,
)


class Ask(NamedTuple):
    """What the center wants to know of a zone."""

    #: orders whose lines it wants, and the number of the last line that it has of each
    orders: Mapping[str, int] = NONE
    #: by app, the revision of its routes that is stored where readers look
    routes: Mapping[str, int] = NONE
    #: by `<app>/<instance>`, the generation and the offset behind which it wants lines of the log
    logs: Mapping[str, tuple[int, int]] = MappingProxyType({})
    #: the last app of the page before
    after: str = ""
    #: only this app is reported; empty: all
    only: str = ""
    #: id of the zone's directory that `routes` is about: a zone that was made again numbers its routes from the start
    id: str = ""
    #: the log that was served last on this page: those behind it come first. Empty: from the first on
    served: str = ""

    def emit(self) -> bytes:
        """As it travels."""
        return body_of(
            {
                "orders": dict(self.orders),
                "routes": dict(self.routes),
                "logs": {log: list(behind) for log, behind in self.logs.items()},
                "after": self.after,
                "only": self.only,
                "id": self.id,
                **({"served": self.served} if self.served else {}),
            }
        )


class OrderReport(NamedTuple):
    """How far an order, or a run, is."""

    id: str
    state: str
    #: of a failed one
    why: str = ""
    #: lines behind the one that was asked for
    lines: tuple[str, ...] = ()
    #: number of the last of them: what to ask for next
    next: int = 0
    #: exit code of a run that is over; 128 + number of the signal that ended it
    code: int | None = None

    def document(self) -> dict[str, Any]:
        """As it stands in a report."""
        return {**self._asdict(), "lines": list(self.lines)}


class PsRow(NamedTuple):
    """One instance of an app."""

    #: `web.1`
    name: str
    state: str
    port: int = 0
    pid: int = 0
    #: milliseconds since the epoch, for people
    since: int = 0
    #: how it ended: `code 3`, `signal 9`, `killed`
    exit: str = ""
    restarts: int = 0
    version: int = 0


class AppReport(NamedTuple):
    """What one zone runs of one app."""

    app: str
    app_id: str = ""
    epoch: int = 0
    #: what serves; 0: nothing
    version: int = 0
    digest: str = ""
    formation: Formation = NONE
    generation: int = 0
    state: str = "stopped"
    #: its newest order, without lines
    order: OrderReport | None = None
    ps: tuple[PsRow, ...] = ()
    #: revision of the table of addresses, and the addresses themselves: of processes `web` that serve
    revision: int = 0
    addresses: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As it stands in a report, under its name."""
        return {
            "app_id": self.app_id,
            "epoch": self.epoch,
            "version": self.version,
            "digest": self.digest,
            "formation": dict(self.formation),
            "generation": self.generation,
            "state": self.state,
            "order": self.order.document() if self.order else None,
            "ps": [row._asdict() for row in self.ps],
            "routes": {"revision": self.revision, "addresses": list(self.addresses)},
        }


class LogText(NamedTuple):
    """One line of an instance's log."""

    #: where the line ends in its file: with the log and its generation, the line's id
    offset: int
    #: milliseconds since the epoch
    at: int
    #: `app`, or `dploy` for what the zone says about the instance
    source: str
    text: str


class LogPiece(NamedTuple):
    """Lines of one log, behind the place that was asked for."""

    #: `<app>/<instance>`
    log: str
    #: rises when a log begins from its start
    gen: int
    #: what to ask for next
    offset: int
    lines: tuple[LogText, ...] = ()

    def document(self) -> dict[str, Any]:
        """As it stands in a report."""
        return {**self._asdict(), "lines": [list(line) for line in self.lines]}


class Report(NamedTuple):
    """What a zone says when it is asked."""

    zone: str
    #: random, of the zone's directory: another one means that it was made again
    id: str
    #: of the host's kernel: another one means that the host was started again
    boot: str = ""
    apps: Mapping[str, AppReport] = MappingProxyType({})
    #: those that were asked for and are known
    orders: tuple[OrderReport, ...] = ()
    logs: tuple[LogPiece, ...] = ()
    #: whether apps follow behind the last one of these
    more: bool = False

    def order(self, id: str) -> OrderReport | None:
        """How far an order is that was asked for; None: the zone does not know it."""
        return next((one for one in self.orders if one.id == id), None)

    def document(self) -> dict[str, Any]:
        """What `emit` says."""
        return {
            "v": FORMAT,
            "zone": self.zone,
            "id": self.id,
            "boot": self.boot,
            "apps": {name: app.document() for name, app in self.apps.items()},
            "orders": [order.document() for order in self.orders],
            "logs": [piece.document() for piece in self.logs],
            "more": self.more,
        }

    def emit(self) -> bytes:
        """As it travels."""
        return body_of(self.document())


def parse_ask(body: bytes) -> Ask:
    """What the center asks. Raises BadWire."""
    fields = Fields.of(body)
    logs = fields.inner("logs")
    return Ask(
        fields.numbers("orders", ORDER, "ids of orders", MAX_ASKED),
        fields.numbers("routes", APP, "names of apps", MAX_ASKED),
        {log: _place(logs, log) for log in logs.names(MAX_LOGS, LOG, "<app>/<instance>")},
        fields.match("after", APP, NAME, ""),
        fields.match("only", APP, NAME, ""),
        fields.match("id", ID, "the id of a zone's directory", ""),
        fields.match("served", LOG, "<app>/<instance>", ""),
    )


def _place(logs: Fields, log: str) -> tuple[int, int]:
    value = logs.plain(log, 2)
    if len(value) != 2 or not all(type(one) is int and 0 <= one <= MAX_NUMBER for one in value):
        raise logs.wrong(log, "a generation and an offset")
    return value[0], value[1]


def parse_report(body: bytes) -> Report:
    """What a zone reports. Raises BadWire, also for a version of reports that is not known."""
    fields = Fields.of(body)
    fields.number("v", FORMAT, least=FORMAT)
    apps = fields.inner("apps")
    report = Report(
        fields.match("zone", ZONE, NAME),
        fields.match("id", ID, "the id of a zone's directory"),
        fields.text("boot", 64, ""),
        {app: _app_report(app, apps.inner(app)) for app in apps.names(MAX_APPS, APP, "names of apps")},
        tuple(_order_report(one) for one in fields.each("orders", MAX_ASKED)),
        tuple(_log_piece(one) for one in fields.each("logs", MAX_ASKED)),
        fields.flag("more"),
    )
    _check_lines(report)
    return report


def _check_lines(report: Report) -> None:
    many = sum(len(order.lines) for order in report.orders) + sum(len(piece.lines) for piece in report.logs)
    if many > MAX_LINES:
        raise BadWire(f"expected at most {MAX_LINES} lines, found {many}")


def _app_report(app: str, fields: Fields) -> AppReport:
    routes = fields.inner("routes")
    return AppReport(
        app,
        fields.match("app_id", ID, "the id of an app", ""),
        fields.number("epoch", default=0),
        fields.number("version", default=0),
        fields.match("digest", DIGEST, "64 hexadecimal digits", ""),
        formation_of(fields),
        fields.number("generation", default=0),
        fields.word("state", APP_STATES, "stopped"),
        None if fields.is_null("order") else _order_report(fields.inner("order")),
        tuple(_ps_row(one) for one in fields.each("ps", MAX_INSTANCES)),
        routes.number("revision", default=0),
        _addresses(routes),
    )


def _addresses(routes: Fields) -> tuple[str, ...]:
    addresses = routes.texts("addresses", MAX_INSTANCES, 261)
    for place, one in enumerate(addresses):
        if not ADDRESS.fullmatch(one):
            raise BadWire(f"addresses: expected an address, found {one[:80]!r}", f"{routes.place('addresses')}/{place}")
    return addresses


def _order_report(fields: Fields) -> OrderReport:
    return OrderReport(
        fields.match("id", ORDER, "the id of an order"),
        fields.word("state", ORDER_STATES),
        fields.text("why", MAX_WHY, ""),
        fields.texts("lines", MAX_LINES, MAX_LINE),
        fields.number("next", default=0),
        None if fields.is_null("code") else fields.number("code", 255),
    )


def _ps_row(fields: Fields) -> PsRow:
    return PsRow(
        fields.match("name", INSTANCE, "<type>.<number>"),
        fields.word("state", PS_STATES),
        fields.number("port", 65_535, 0),
        fields.number("pid", default=0),
        fields.number("since", default=0),
        fields.text("exit", 100, ""),
        fields.number("restarts", default=0),
        fields.number("version", default=0),
    )


def _log_piece(fields: Fields) -> LogPiece:
    return LogPiece(
        fields.match("log", LOG, "<app>/<instance>"),
        fields.number("gen"),
        fields.number("offset"),
        tuple(_log_text(fields, one) for one in fields.plain("lines", MAX_LINES)),
    )


def _log_text(piece: Fields, line: Any) -> LogText:
    whole, kinds = isinstance(line, list) and len(line) == 4, (int, int, str, str)
    if not whole or any(type(value) is not kind for value, kind in zip(line, kinds, strict=True)):
        raise piece.wrong("lines", "lines of [offset, at, source, text]")
    offset, at, source, text = line
    if not 0 <= offset <= MAX_NUMBER or not 0 <= at <= MAX_NUMBER or source not in SOURCES or len(text) > MAX_LINE:
        raise piece.wrong("lines", f"numbers from 0 to {MAX_NUMBER}, a source, and a text of at most {MAX_LINE}")
    return LogText(offset, at, source, text)
