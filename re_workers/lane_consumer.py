"""One lane of a worker: takes its steps while there is room for them, and parks those for which the worker has none yet.

Must not know where steps of a lane come from, nor which lanes there are.

What comes to a lane went through another process (re_workers/forwarder.py), so the broker's mark of a redelivery is gone: every
step of a lane begins by grant, also one that may be repeated.
"""

from __future__ import annotations

import logging

from re_core.errors import ReleaseEngineError
from re_core.ports import UNOBSERVED, Bus, Clock, Delivery, Observer
from re_core.wire.redaction import Redaction
from re_workers.attempt import Attempt
from re_workers.consumer import StepConsumer
from re_workers.outcomes import Outcome
from re_workers.runs import Spawn, on_thread
from re_workers.sdk import Worker
from re_workers.secrets.resolver import Secrets

#: milliseconds for which a delivery is parked before another process may have it
PARKED = 5_000

_log = logging.getLogger(__name__)


class LaneConsumer(StepConsumer):
    """See StepConsumer. Any thread may call `resize` and `reconsider` too."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        worker: Worker,
        identity: str,
        lane: str,
        capacity: int,
        spawn: Spawn = on_thread,
        redaction: Redaction | None = None,
        observer: Observer = UNOBSERVED,
        secrets: Secrets | None = None,
    ) -> None:
        """`capacity`: attempts at once, at least 1 at first."""
        super().__init__(bus, clock, worker, identity, capacity, spawn, redaction, observer, lane, secrets)
        self.capacity = capacity
        self._changed = False
        #: key of an attempt for which the worker has no room -> milliseconds since the epoch until which it stays here
        self._parked: dict[str, int] = {}

    def running(self) -> list[str]:
        """See StepConsumer."""
        return [key for key in super().running() if key not in self._parked]

    def resize(self, capacity: int) -> None:
        """From now on it takes so many at once; with 0 none, and what runs goes on."""
        if capacity != self.capacity:
            self.capacity = capacity
            self.wake()

    def reconsider(self) -> None:
        """The worker may have room for what is parked."""
        self._changed = True
        if self._parked:  # else what is parked from now on is asked about in the same turn
            self.wake()

    def turn(self, timeout: float) -> int:
        """See StepConsumer."""
        self._window.resize(self.capacity)
        return super().turn(timeout)

    def drain(self) -> None:
        """See StepConsumer."""
        for key in list(self._parked):
            self._give_back(key)
        super().drain()

    def _claim(self, attempt: Attempt) -> None:
        attempt.granted = True
        if self._has_room(attempt):
            super()._claim(attempt)
        elif not attempt.over:
            self._parked[attempt.key] = self._clock.now() + PARKED

    def _has_room(self, attempt: Attempt) -> bool:
        """Ask the worker; where that fails, so does the step."""
        try:
            return self._worker.reserve(attempt.call, attempt.token, attempt.arguments)
        except Exception as error:
            where = {"action": "worker_error", "deployment_id": attempt.call.deployment}
            _log.exception("the worker failed to reserve room for %s", attempt.key, extra=where)
            self._settle(
                attempt, Outcome("failed", None, f"no room could be reserved: {type(error).__name__}: {error}")
            )
            return False

    def _not_begun(self, attempt: Attempt) -> None:
        try:
            self._worker.unreserve(attempt.call, attempt.token)
        except Exception:  # it must not stop all others
            where = {"action": "worker_error", "deployment_id": attempt.call.deployment}
            _log.exception("the worker failed to free the room of %s", attempt.key, extra=where)

    def _tend(self) -> int:
        ends = super()._tend()
        if self._parked:
            self._look_at_parked()
        return ends

    def _look_at_parked(self) -> None:
        now, changed = self._clock.now(), self._changed
        self._changed = False
        for key, limit in list(self._parked.items()):
            attempt = self._window.get(key)
            if attempt is None or attempt.delivery.epoch != self._subscription.epoch:
                self._drop_parked(key)  # it comes again
            elif changed and self._has_room(attempt):
                del self._parked[key]
                super()._claim(attempt)
            elif attempt.over:
                del self._parked[key]
            elif now >= limit:
                self._give_back(key)

    def _move(self, deliveries: list[Delivery]) -> list[Delivery]:
        for key in list(self._parked):
            self._drop_parked(key)
        return super()._move(deliveries)

    def _drop_parked(self, key: str) -> None:
        del self._parked[key]
        self._window.drop(key)

    def _give_back(self, key: str) -> None:
        attempt = self._window.get(key)
        self._drop_parked(key)
        if attempt is None:
            return
        try:
            self._subscription.requeue([attempt.delivery])
        except ReleaseEngineError as error:  # it goes back with the connection
            _log.info("cannot requeue %s: %s", key, error, extra={"action": "bus_away"})
