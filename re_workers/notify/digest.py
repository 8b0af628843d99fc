"""One message in place of a flood: which notices wait for others to the same targets, and what is said of all of them. Pure.

Must not know queues or transports. Counted is by the list of targets as a notification has it, since that list gets one message.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from re_core.wire.messages import MAX_SLUG, PHASES
from re_core.wire.notice_facts import NO_FACTS, link_to
from re_workers.notify.handler import Told
from re_workers.notify.templates import Templates

#: milliseconds over which notices are counted, and for which one waits at most
WITHIN = 60_000

#: milliseconds for which one that says that something failed waits at most
URGENT = 10_000

#: lists of targets that are counted; the longest unused one makes room
MOST = 1000

#: notices that one message names; of the others it says how many they are
SHOWN = 30


class NoticePolicy(NamedTuple):
    """What the settings say of notifications of all transports."""

    templates: Templates = Templates({})
    #: notices to the same targets within a minute that come alone; 0: all do
    digest: int = 0


class Digest:
    """Counts the notices to each list of targets. One thread."""

    def __init__(self, alone: int) -> None:
        """`alone`: see NoticePolicy."""
        self._alone = alone
        #: targets -> when the last notices that came alone did
        self._came: OrderedDict[tuple[str, ...], deque[int]] = OrderedDict()
        #: targets -> until when those that wait do
        self._until: dict[tuple[str, ...], int] = {}

    def wait(self, target: tuple[str, ...], phase: str, now: int) -> int:
        """Until when a notice that comes at `now` waits, in the same milliseconds; `now` where it does not."""
        if not self._alone:
            return now
        until = self._until.get(target, 0)
        if until <= now:
            self._until.pop(target, None)
            came = self._recent(target, now)
            if len(came) < self._alone:
                came.append(now)
                return now
            until = now + WITHIN
        if phase == "failed":
            until = min(until, now + URGENT)
        self._until[target] = until
        return until

    def flushed(self, target: tuple[str, ...]) -> None:
        """What has waited was sent; the next one is counted again."""
        self._until.pop(target, None)

    def _recent(self, target: tuple[str, ...], now: int) -> deque[int]:
        came = self._came.pop(target, None) or deque(maxlen=self._alone)
        while came and came[0] <= now - WITHIN:
            came.popleft()
        self._came[target] = came
        if len(self._came) > MOST:
            self._came.popitem(last=False)
        return came


def summary(notices: Sequence[Told], url: str) -> Told:
    """One notice that stands for several to the same targets; `url`: see templates.About. It has the worst of their phases."""
    counts = Counter(notice.phase for notice in notices)
    parts = [f"{counts[phase]} {phase}" for phase in reversed(PHASES) if counts[phase]]
    worst = next(phase for phase in reversed(PHASES) if counts[phase])
    slug = f"{len(notices)} notifications: {', '.join(parts)}"
    # what failed first, each in the order in which they came
    ordered = sorted(notices, key=lambda notice: notice.phase != "failed")
    lines = [_line(notice, url) for notice in ordered[:SHOWN]]
    if len(ordered) > SHOWN:
        lines.append(f"and {len(ordered) - SHOWN} more")
    return Told(slug[:MAX_SLUG], "\n".join(lines), worst, notices[0].target, NO_FACTS)


def summary_id(ids: Sequence[str]) -> str:
    """The id of a summary: the same for the same notices."""
    digest = hashlib.sha256("\n".join(ids).encode("utf-8", "surrogatepass")).hexdigest()
    return f"digest/{digest[:32]}"


def _line(notice: Told, url: str) -> str:
    step = notice.facts.step
    said = step.message.strip().splitlines() if step is not None and notice.phase == "failed" else []
    why = f": {said[0]}" if said else ""
    link = link_to(url, notice.facts.deployment)
    return f"{notice.slug}{why}{f' {link}' if link else ''}"
