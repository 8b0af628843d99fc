"""`sleep:Seconds`: lets time pass."""

from __future__ import annotations

from typing import ClassVar

from re_workers.context import Context
from re_workers.outcomes import Failed
from re_workers.sdk import Worker, step

#: seconds; a thread cannot wait for more at once
LONGEST = 365 * 24 * 3600.0


class Sleep(Worker):
    """Lets time pass."""

    slots: ClassVar[int | None] = 64

    @step(idempotent=True)
    def Seconds(self, ctx: Context, seconds: float) -> None:
        """Waits so many seconds, or until it is cancelled."""
        if not 0 <= seconds <= LONGEST:
            raise Failed(f"cannot sleep {seconds:g} seconds; from 0 to a year it can be")
        ctx.wait(seconds)
