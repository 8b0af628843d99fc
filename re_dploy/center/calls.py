"""What the center asks of one zone, and what it gets. Must not know sockets, apps or the reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeVar

from re_core.errors import TransientError
from re_dploy import wire

#: seconds in which a zone answers; behind them the call is given up, and may be made again
ANSWER = 5.0
#: pages of one report; a zone with more apps than these hold has a list that does not end
MOST_PAGES = 64


_Read = TypeVar("_Read")


class ZoneAway(TransientError):
    """The zone does not answer."""

    reason = "zone-away"


class ZoneLink(Protocol):
    """The way to one zone. Thread-safe."""

    def ask(self, socket: str, body: bytes, timeout: float) -> bytes:
        """The answer of the zone's socket of that name, within `timeout` seconds. Raises ZoneAway, and BadWire for an error."""
        ...


class Seen(NamedTuple):
    """What a zone has of one app, and how far one order is; None: it does not know it."""

    app: wire.AppReport | None
    order: wire.OrderReport | None


class Zone:
    """One zone. Every method raises ZoneAway, also where its answer cannot be read."""

    def __init__(self, name: str, link: ZoneLink) -> None:
        self.name = name
        self._link = link

    def order(self, order: wire.Order) -> wire.Answer:
        """Give an order; the zone works on."""
        return self._ask("deploy", order.emit(), wire.parse_answer)

    def control(self, control: wire.Control) -> wire.Answer:
        """Say a word about one app."""
        return self._ask("control", control.emit(), wire.parse_answer)

    def stop(self, stop: wire.Stop) -> wire.StopAnswer:
        """Stop apps."""
        return self._ask("stop", stop.emit(), wire.parse_stop_answer)

    def look(self, ask: wire.Ask) -> wire.Report:
        """One page of a report."""
        report = self._ask("status", ask.emit(), wire.parse_report)
        if report.zone != self.name:
            raise ZoneAway(f"{self.name}: its address belongs to the zone {report.zone}")
        return report

    def app(self, app: str, order: str = "", after: int = 0) -> Seen:
        """What it has of one app, and how far an order is, with lines behind `after`."""
        report = self.look(wire.Ask({order: after} if order else {}, only=app))
        return Seen(report.apps.get(app), report.order(order))

    def reports(self, question: Callable[[str], wire.Ask]) -> Iterator[tuple[str, wire.Report]]:
        """Its report, page by page, each with the name of the app that it begins behind; `question` asks for one page."""
        after = ""
        for _ in range(MOST_PAGES):
            report = self.look(question(after))
            yield after, report
            if not report.more or not report.apps:
                return
            after = max(report.apps)

    def _ask(self, socket: str, body: bytes, parse: Callable[[bytes], _Read]) -> _Read:
        try:
            return parse(self._link.ask(socket, body, ANSWER))
        except wire.BadWire as error:
            raise ZoneAway(f"{self.name}: {error}") from None
