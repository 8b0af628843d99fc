"""A notifier on the embedded bus, with a transport that does what the test says. Must not know what is tested."""

from __future__ import annotations

from collections.abc import Callable

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.wire.dead_letters import parse_dead_letter
from re_core.wire.messages import NOTIFIED, Message, encode
from re_core.wire.notified import Notified, parse_report
from re_workers.notify.consumer import Notifier
from re_workers.notify.digest import NoticePolicy
from re_workers.notify.handler import Notice
from tests.unit.workers.line import Line
from tests.unit.workers.worker_harness import ManualClock


class Recorder:
    """A transport that does what the test says, notice by notice."""

    transport = "pigeon"

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[str, ...]]] = []
        self.notices: list[Notice] = []
        self.fate: Callable[[Notice], None] = lambda notice: None
        self.closed = False

    def deliver(self, notice: Notice, notification_id: str) -> None:
        self.told.append((notification_id, notice.target))
        self.notices.append(notice)
        self.fate(notice)

    def close(self) -> None:
        self.closed = True


class Loft:
    """A notifier on the embedded bus."""

    def __init__(self, policy: NoticePolicy = NoticePolicy()) -> None:  # noqa: B008  # it is immutable
        self.bus, self.clock, self.handler = EmbeddedBus(), ManualClock(), Recorder()
        self.line = Line(self.bus)
        self.dead = self.bus.subscribe(["re.dead"], 100)
        self.reports = self.bus.subscribe([NOTIFIED], 1000)
        self.notifier = Notifier(self.line, self.clock, "W", self.handler, policy=policy)

    def send(
        self,
        id: str,
        target: tuple[str, ...] = ("a", "b"),
        body: bytes | None = None,
        slug: str = "s",
        phase: str = "completed",
    ) -> None:
        document = {"slug": slug, "message": "m", "phase": phase, "target": list(target)}
        self.bus.publish([Message("notify.pigeon", body or encode(document), id, "D")])

    def later(self, seconds: float) -> None:
        self.clock.time += int(seconds * 1000)
        self.notifier.turn(0)

    def buried(self) -> list[str]:
        deliveries = self.dead.take(100, 0)
        self.dead.ack(deliveries)
        return [parse_dead_letter(delivery.message).reason for delivery in deliveries]

    def reported(self) -> list[Notified]:
        """What the core was told of notices that are done with."""
        deliveries = self.reports.take(1000, 0)
        self.reports.ack(deliveries)
        return [parse_report(delivery.message.body) for delivery in deliveries]

    def unsettled(self) -> int:
        self.notifier.close()
        return len(self.bus.subscribe(["notify.pigeon"], 100).take(100, 0))
