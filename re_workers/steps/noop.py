"""`noop:<anything>`: does nothing, well; `noop:Fail`: does nothing, badly. For trying out and for measuring."""

from __future__ import annotations

from typing import Any, ClassVar

from re_workers.context import Context
from re_workers.outcomes import Failed
from re_workers.sdk import ANY, Worker, step


class Noop(Worker):
    """Does nothing."""

    #: nothing is held by a step that takes no time, so many may be in hand
    slots: ClassVar[int | None] = 512

    @step(name=ANY, idempotent=True, quick=True)
    def anything(self, ctx: Context, **parameters: Any) -> None:
        """Completes, whatever it is given."""

    @step(idempotent=True, quick=True)
    def Fail(self, ctx: Context, **parameters: Any) -> None:
        """Fails, whatever it is given."""
        raise Failed("noop:Fail always fails")
