"""The sweeper: looks for what is due and says so. Must not act itself: it only sends events (docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Collection

from re_core.core_events import deployment_event, send_events
from re_core.ports import Bus, Clock, Views
from re_core.wire.messages import parse_attempt

#: deployments that one turn asks after
BATCH = 500

#: milliseconds for which a deployment that was asked after is left alone
PAUSE = 5_000

#: `before` of a restart: its claimant is lost, whenever the claim was made
ALL_BEFORE = 2**62


class Sweeper:
    """Sends `due` to the deployments with a due timer. One thread."""

    def __init__(self, bus: Bus, views: Views, clock: Clock) -> None:
        self._bus = bus
        self._views = views
        self._clock = clock
        self._asked: dict[str, int] = {}

    def turn(self) -> int:
        """Look once. Returns how many deployments were asked after. Raises StoreUnavailable, BusUnavailable."""
        now = self._clock.now()
        self._asked = {one: at for one, at in self._asked.items() if 0 <= now - at < PAUSE}
        # those that were asked after may still be among the first: they must not hide the others
        due = [one for one in self._views.due(now, BATCH + len(self._asked)) if one not in self._asked][:BATCH]
        if due:
            send_events(self._bus, [deployment_event(one, "due", {}, str(now)) for one in due])
            self._asked.update(dict.fromkeys(due, now))
        return len(due)


def recover(bus: Bus, views: Views, run: str, spared: Collection[str] = ()) -> int:
    """After a restart of everything in one process: send every deployment the event that all its claimants are lost.

    Must be called after the sequencer subscribed and before any worker does, so that no claim of this run stands before it. `run`
    names this start; `spared` are ids of attempts that a worker of this start goes on with, or reports lost itself. Returns how many
    deployments there are to go on with. Raises BadMessage for what is no id of an attempt.
    """
    kept: dict[str, list[str]] = {}
    for attempt in spared:
        kept.setdefault(parse_attempt(attempt).deployment, []).append(attempt)
    active = views.active()
    send_events(bus, [deployment_event(one, "gone", _all_gone(kept.get(one, [])), run) for one in active])
    return len(active)


def _all_gone(spared: list[str]) -> dict[str, object]:
    body: dict[str, object] = {"before": ALL_BEFORE, "worker": None}
    return {**body, "spared": sorted(spared)} if spared else body
