"""`noop:<anything>`: does nothing, well; `noop:Fail`: does nothing, badly. For trying out and for measuring."""

from __future__ import annotations

from typing import Any, ClassVar

from re_workers.context import Context
from re_workers.outcomes import Failed
from re_workers.sdk import ANY, Worker, step


class Noop(Worker):
    """Does nothing."""

    #: what is handed over at once: milliseconds of work, so that little is kept from others, and one batch of the core's
    slots: ClassVar[int | None] = 128

    @step(name=ANY, idempotent=True, quick=True)
    def anything(self, ctx: Context, **parameters: Any) -> None:
        """Completes, whatever it is given."""

    @step(idempotent=True, quick=True)
    def Fail(self, ctx: Context, **parameters: Any) -> None:
        """Fails, whatever it is given."""
        raise Failed("noop:Fail always fails")
