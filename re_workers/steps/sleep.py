"""`sleep:Seconds`: lets time pass."""

from __future__ import annotations

from typing import Annotated, ClassVar

from re_workers.context import Context
from re_workers.limits import at_least, at_most
from re_workers.sdk import Worker, step

#: seconds; a thread cannot wait for more at once
LONGEST = 365 * 24 * 3600


class Sleep(Worker):
    """Lets time pass."""

    slots: ClassVar[int | None] = 64

    @step(idempotent=True)
    def Seconds(self, ctx: Context, seconds: Annotated[float, at_least(0), at_most(LONGEST)]) -> None:
        """Waits this number of seconds, or until it is cancelled."""
        ctx.wait(seconds)
