"""Rows of the list that are behind their deployment, written once a second for all. Must not know why they are behind."""

from __future__ import annotations

from collections.abc import Iterable

from re_core.deployment.deadlines import next_look
from re_core.deployment.summary import view_of
from re_core.ports import Views
from re_core.sequencer.cache import CachedDeployment

#: milliseconds that a row may be behind, so that a list is at most a second late (interfaces: REST)
BEHIND = 800


class Rows:
    """Deployments whose row does not say what their journal says. One thread."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._behind: dict[str, CachedDeployment] = {}
        #: when the first of them fell behind
        self._since = 0

    def note(self, known: CachedDeployment, now: int) -> None:
        """The deployment was handled at `now`; what its row says nobody knows where this core has not written it."""
        deployment = known.state.deployment
        if known.view_entry == known.state.entry and known.view_published >= known.published:
            self._behind.pop(deployment, None)
        else:
            if not self._behind:
                self._since = now
            self._behind[deployment] = known

    def patience(self, timeout: float) -> float:
        """Seconds that may be waited for news, `timeout` at most."""
        return min(timeout, BEHIND / 1000) if self._behind else timeout

    def write_overdue(self, now: int) -> None:
        """Write them all, once the first has been behind for long enough. Raises StoreUnavailable."""
        if not self._behind or 0 <= now - self._since < BEHIND:
            return
        rows = [view_of(known.state, _look(known, now), known.published) for known in self._behind.values()]
        self._views.write_views(rows)
        for known, row in zip(self._behind.values(), rows, strict=True):
            known.view_at, known.view_due, known.view_entry, known.view_published = (
                now,
                row.due,
                row.entry,
                row.published,
            )
        self._behind.clear()

    def forget(self, deployments: Iterable[str]) -> None:
        """What is in memory of these may be ahead of the journal: they are noted again when their events come again."""
        for deployment in deployments:
            self._behind.pop(deployment, None)


def _look(known: CachedDeployment, now: int) -> int | None:
    return None if known.state.ended is not None else next_look(known.state, now)
