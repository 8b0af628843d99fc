"""What is said of workers' messages that do not count because of who sent them. Must not know why they do not.

A worker that keeps asking would fill the log: the same of the same worker is said once a minute. The figures count all.
"""

from __future__ import annotations

import logging
from typing import Any

from re_core.deployment import events as e
from re_core.deployment.machine import unproven
from re_core.deployment.state import State
from re_core.ports import Clock, Observer

#: milliseconds in which the same is said once, and lines that are remembered for it
QUIET, MOST = 60_000, 1_000

_log = logging.getLogger(__name__)


class UnprovenLog:
    """One thread."""

    def __init__(self, clock: Clock, observer: Observer) -> None:
        self._clock, self._observer = clock, observer
        #: (worker, why) -> when it was said last
        self._said: dict[tuple[str, str], int] = {}
        #: what was refused last: it is judged once more on a fresh state
        self._last: Any = None

    def refused(self, state: State, event: e.Event) -> None:
        """This event changed nothing; where that is so because of its sender, say so."""
        why = unproven(state, event)
        if not why or not isinstance(event, e.WorkerEvent) or event is self._last:
            return
        self._last = event
        self._observer.unproven("claim" if isinstance(event, e.ClaimMade) else "report")
        now, line = self._clock.now(), (event.worker, why)
        said = self._said.get(line)
        if said is not None and 0 <= now - said < QUIET:
            return
        if len(self._said) >= MOST:
            self._said.clear()
        self._said[line] = now
        where = {"action": "worker_unproven", "deployment_id": state.deployment, "worker": event.worker}
        _log.warning(
            "step %d is refused to the worker %s: %s", event.step, event.worker or "(unnamed)", why, extra=where
        )
