"""One notification a day for each rule of `notify_routes` with `daily`: what ended since the day before. Must not know transports.

It is made from the list of deployments, so nothing has to be kept until then. Of several cores the one that claims the day's key sends
it; a day on which nothing ended has none. A time that passed while no core ran is made up for at the next start.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from re_core import ports
from re_core.model import DeploymentStatus
from re_core.playbook.notice_routes import Daily, Route
from re_core.ports import Bus, Clock, KeyRecord, Published, ViewFilter
from re_core.rows import View
from re_core.usecases.ids import new_id
from re_core.usecases.keys import key_digest
from re_core.wire.messages import APP, MAX_SLUG, Message, notification_message
from re_core.wire.notice_facts import ABOUT, Facts, link_to, write

#: seconds between two looks at the clock
LOOK = 30.0

#: milliseconds that a deployment may have taken to be found: it is looked for by its begin
LONGEST = 7 * 24 * 3600 * 1000

#: rows that one digest looks at, and deployments that it names; of the others it says how many they are
MOST_ROWS, SHOWN = 20_000, 100

#: rows that are read at once
_PAGE = 500

#: how a deployment ended -> the phase of its notification
_PHASES = {
    DeploymentStatus.COMPLETED: "completed",
    DeploymentStatus.FAILED: "failed",
    DeploymentStatus.CANCELLED: "failed",
}

_log = logging.getLogger(__name__)


class _Store(ports.Journal, ports.Views, ports.IdempotencyKeys, Protocol):
    """The part of a store that this needs."""


class Day(NamedTuple):
    """What a digest is about: what ended from `begin` to before `end`, milliseconds since the epoch."""

    begin: int
    end: int
    #: the end, as people of the zone read it
    words: str


class DailyDigests:
    """One thread."""

    def __init__(self, bus: Bus, store: _Store, clock: Clock, rules: Sequence[Route], url: str) -> None:
        """`rules`: those without `daily` are left out. `url`: of the front end, for links; may be empty."""
        self._bus, self._store, self._clock, self._url = bus, store, clock, url
        self._rules = [rule for rule in rules if rule.daily is not None]
        #: key of a rule and a day -> the id of its notification, claimed here and not sent yet
        self._claimed: dict[str, str] = {}
        #: keys that are done, or another core's
        self._over: dict[int, str] = {}

    @property
    def needed(self) -> bool:
        """Whether there is a rule."""
        return bool(self._rules)

    def turn(self) -> float:
        """Send what is due. Returns how many seconds may pass before the next turn. Raises StoreUnavailable, BusUnavailable."""
        now = self._clock.now()
        for number, rule in enumerate(self._rules):
            assert rule.daily is not None  # noqa: S101  # only such are there
            day = day_before(rule.daily, now)
            key = _key(rule, day)
            if self._over.get(number) != key and self._is_ours(key):
                self._send(rule, day, self._claimed[key])
                del self._claimed[key]
            self._over[number] = key
        return LOOK

    def _is_ours(self, key: str) -> bool:
        if key not in self._claimed:
            id = new_id()
            if self._store.claim(KeyRecord(key, id, "")).deployment != id:
                return False
            self._claimed[key] = id
        return True

    def _send(self, rule: Route, day: Day, id: str) -> None:
        ended = sorted(
            _ended(self._store, rule, day), key=lambda row: (_PHASES[row.status] != "failed", row.ended or 0)
        )
        if not ended:
            return
        messages = [_message(rule, transport, day, ended, f"{id}/{transport}", self._url) for transport in rule.to]
        for message, taken in zip(messages, self._bus.publish(messages), strict=True):
            if taken is not Published.TAKEN:
                where = {"action": "digest_dropped"}
                _log.warning("a daily digest is dropped: no notifier has ever consumed %s", message.key, extra=where)


def day_before(daily: Daily, now: int) -> Day:
    """The day that ended when it was last this time of the day there."""
    zone = ZoneInfo(daily.zone)
    here = datetime.fromtimestamp(now / 1000, UTC).astimezone(zone)
    end = here.replace(hour=daily.hour, minute=daily.minute, second=0, microsecond=0)
    if end > here:
        end -= timedelta(days=1)
    begin = end - timedelta(days=1)  # by the clock of the wall: 23 or 25 hours where that was set
    return Day(_milliseconds(begin), _milliseconds(end), f"{end:%d %b %H:%M} ({daily.zone})")


def _milliseconds(time: datetime) -> int:
    return int(time.astimezone(UTC).timestamp() * 1000)


def _key(rule: Route, day: Day) -> str:
    of_rule = hashlib.sha256(repr(rule).encode()).hexdigest()
    return key_digest("engine", "daily digest", f"{of_rule}/{day.end}")


def _ended(store: _Store, rule: Route, day: Day) -> Iterator[View]:
    for row in _rows(store, day):
        phase = _PHASES.get(row.status)
        if phase not in rule.outcomes or row.ended is None or not day.begin <= row.ended < day.end:
            continue
        if rule._replace(environments=()).covers(row.group, row.playbook) and _is_there(store, rule, row):
            yield row


def _rows(store: _Store, day: Day) -> Iterator[View]:
    wanted, cursor, count = ViewFilter(since=day.begin - LONGEST), "", 0
    while count < MOST_ROWS:
        page = store.views(wanted, _PAGE, cursor)
        yield from page.rows
        count += len(page.rows)
        if not page.next:
            return
        cursor = page.next


def _is_there(store: _Store, rule: Route, row: View) -> bool:
    """Whether a step of the deployment is of an environment of the rule: its journal knows."""
    if not rule.environments:
        return True
    state = ports.read_state(store, row.id)
    found = set() if state is None else {step.spec.environment for step in state.plan.steps}
    return rule.covers(row.group, row.playbook, found - {""})


def _message(rule: Route, transport: str, day: Day, ended: Sequence[View], id: str, url: str) -> Message:
    counts = Counter(row.status.value for row in ended)
    parts = ", ".join(f"{counts[one.value]} {one.value}" for one in _PHASES if counts[one.value])
    groups = sorted({row.group for row in ended})
    whose = f"{groups[0]}: " if len(groups) == 1 else ""
    slug = f"{whose}{len(ended)} deployment{'s' * (len(ended) > 1)}: {parts}"[:MAX_SLUG]
    lines = [f"What ended in the day before {day.words}:", *(_line(row, url) for row in ended[:SHOWN])]
    if len(ended) > SHOWN:
        lines.append(f"and {len(ended) - SHOWN} more")
    phase = "failed" if any(_PHASES[row.status] == "failed" for row in ended) else "completed"
    document = {"slug": slug, "message": "\n".join(lines), "phase": phase, "target": list(rule.to[transport])}
    facts = Facts(group=groups[0] if len(groups) == 1 else "", at=day.end)
    return notification_message(transport, document, id, "", APP, {ABOUT: write(facts)})


def _line(row: View, url: str) -> str:
    why = f": {row.reason.splitlines()[0][:200]}" if row.reason and row.status is not DeploymentStatus.COMPLETED else ""
    who, link = f" by {row.user}" if row.user else "", link_to(url, row.id)
    return f"{row.status.value}: {row.group}/{row.playbook}{who}{why}{f' {link}' if link else ''}"
