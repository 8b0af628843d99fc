"""A worker with lanes, for tests. Must not know what is tested."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from re_workers import Context, Worker, step
from re_workers.context import Call


class Rail(Worker):
    """Its lanes are the places that it goes to."""

    def __init__(self, **lanes: int) -> None:
        self.open = dict(lanes)
        #: steps with a lane of their own
        self.by_step: dict[str, str] = {}
        #: what it set aside: (attempt, token)
        self.reserved: list[tuple[str, str]] = []
        #: reservations that it still gives out; None: without limit
        self.room: int | None = None
        self.freed: list[tuple[str, str]] = []
        self.went: list[str] = []
        self.breaks: Exception | None = None
        self.go = threading.Event()

    def lanes(self) -> Mapping[str, int]:
        return self.open

    def lane(self, arguments: Mapping[str, Any]) -> str:
        if self.breaks:
            raise self.breaks
        return str(arguments["to"])

    def lane_of(self, subcommand: str, arguments: Mapping[str, Any]) -> str:
        return self.by_step.get(subcommand) or super().lane_of(subcommand, arguments)

    def reserve(self, call: Call, token: str, arguments: Mapping[str, Any]) -> bool:
        if self.breaks:
            raise self.breaks
        if self.room is not None and self.room <= 0:
            return False
        self.room = None if self.room is None else self.room - 1
        self.reserved.append((call.attempt_id, token))
        return True

    def unreserve(self, call: Call, token: str) -> None:
        self.freed.append((call.attempt_id, token))

    def offers(self) -> dict[str, dict[str, Any]]:
        return {name: {**offer, "accepts": {"to": sorted(self.open)}} for name, offer in super().offers().items()}

    @step(idempotent=True)
    def Go(self, ctx: Context, to: str) -> str:
        """Goes there."""
        self.went.append(ctx.attempt_id)
        return to

    @step
    def Wait(self, ctx: Context, to: str) -> str:
        """Goes there when the test says so."""
        while not self.go.wait(0.01):
            ctx.check()
        return to
