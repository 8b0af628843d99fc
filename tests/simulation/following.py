"""How a simulated worker goes on with a recorded run, as re_workers/hosts/runs.py does. Must not know queues or the core."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from re_workers.hosts.runs import END_PATIENCE, SLACK
from re_workers.outcomes import Cancelled, Failed, HandedOver, Lost
from tests.simulation.hosts import BROKEN, DONE, ENDED, GONE, Record

if TYPE_CHECKING:
    from re_workers.attempt import Attempt
    from tests.simulation.steps import Under
    from tests.simulation.worker import WorkerProcess

#: milliseconds between two looks
LOOK = 500


class Following:
    """One attempt in one process, from its begin there to what it says."""

    def __init__(self, process: WorkerProcess, under: Under) -> None:
        self._process, self._under = process, under
        self._record: Record | None = None
        self._cancelled: int | None = None
        #: what the step's method raises; None where it returns
        self.end: Exception | None = None

    def visit(self) -> None:
        """Look how it stands, now and again until there is something to say."""
        process, world = self._process, self._process.world
        if not process.alive or self._under.done:
            return
        if process.frozen or not self._is_over():
            world.after(LOOK, self.visit)
            return
        world.ledger.end(self._attempt.call.attempt_id, process.name)
        self._under.finish()

    @property
    def _attempt(self) -> Attempt:
        return self._under.attempt

    def _is_over(self) -> bool:
        ctx = self._attempt.context
        try:
            if ctx.stopping.is_set() and not ctx.cancelled.is_set():
                raise HandedOver("its process stops")
            return self._has_ended()
        except (Cancelled, Failed, HandedOver, Lost) as end:
            self.end = end
            return True

    def _has_ended(self) -> bool:
        host, ctx, now = self._process.world.host, self._attempt.context, self._process.world.time.now
        if ctx.cancelled.is_set() and self._cancelled is None:
            self._cancelled = now
        if host.is_away(self._process.name):
            return self._wait(now)
        record = self._record = self._record or self._meet()
        if self._cancelled is not None:
            host.end(record)
        if record.attempt not in host.records or record.state == GONE:
            raise Lost("the host was booted again while the run was there")
        if record.state != ENDED:
            return False
        if record.code != DONE:
            ctx.check()
            raise Failed(f"it ended with {record.code}")
        return True

    def _wait(self, now: int) -> bool:
        if self._cancelled is not None and now - self._cancelled > END_PATIENCE * 1000:
            raise Lost("the host cannot be reached, so that the run could not be ended")
        if self._record is None and not self._attempt.context.claim.resumed:
            raise Failed("the host cannot be reached")
        return False

    def _meet(self) -> Record:
        """The first session."""
        host, ctx, arguments = self._process.world.host, self._attempt.context, self._attempt.arguments
        claim, known = ctx.claim, ctx.attempt_id in host.records
        if claim.resumed:
            self._process.world.faults.happened["runs adopted"] += 1
        if not known:
            ctx.check()
        host.supersede(claim.earlier)
        if claim.resumed and not known:
            age = None if claim.at is None else time.monotonic() - claim.at + SLACK
            if age is None or host.uptime < age:
                raise Lost("the host has no record of the run, and was booted after its step began")
        if not known:
            self._process.world.ledger.begin(ctx.attempt_id, self._process.name)
        code = BROKEN if ctx.attempt <= arguments.get("fails", 0) else DONE
        record = host.begin(ctx.attempt_id, int(arguments.get("takes", 0)), code)
        if record is None:
            raise Failed("a later attempt of the step has begun there")
        return record
