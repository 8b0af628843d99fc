"""One advance under way: what every rule writes to. Pure; must not know the rules."""

from __future__ import annotations

from typing import Any

from re_core.cdpm import events as e
from re_core.cdpm.state import State


class Refusal(Exception):
    """A rule found that the event does not fit. Raised before anything was emitted. `code` is stable, kebab-case."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Advance:
    """What one event leads to."""

    __slots__ = ("effects", "now", "number", "records", "state", "subscriptions")

    def __init__(self, state: State, now: int) -> None:
        self.state = state
        self.now = now
        #: of the entry that the records will be in
        self.number = state.entry + 1
        self.records: list[Any] = []
        self.effects: list[e.Effect] = []
        #: ids that the answer to a subscribe names
        self.subscriptions: list[str] = []

    def emit(self, record: Any) -> None:
        self.state.apply(record, self.now, self.number)
        self.records.append(record)

    def do(self, effect: e.Effect) -> None:
        self.effects.append(effect)


def known_already(go: Advance, *_: Any) -> None:
    """A cell of a table: it was carried out before, and nothing changes."""


def miss(go: Advance, *_: Any) -> None:
    """A cell of a table: this state does nothing with it. Raises Refusal."""
    raise Refusal("not-now", "in this state nothing follows from it")
