"""One advance under way: what every rule writes to. Pure; must not know the rules."""

from __future__ import annotations

from typing import Any

from re_core.apps import events as e
from re_core.apps.state import State


class Refusal(Exception):
    """A rule found that the event does not fit. Raised before anything was emitted. `code` is stable, kebab-case."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Advance:
    """What one event leads to."""

    __slots__ = ("broadcast_id", "deployment", "effects", "now", "number", "records", "run", "state", "version")

    def __init__(self, state: State, now: int) -> None:
        self.state = state
        self.now = now
        #: of the entry that the records will be in
        self.number = state.entry + 1
        self.records: list[Any] = []
        self.effects: list[e.Effect] = []
        #: what the answer names: the version that the request has made, or the run
        self.version, self.broadcast_id = 0, ""
        self.run, self.deployment = 0, ""

    def emit(self, record: Any) -> None:
        self.state.apply(record, self.now, self.number)
        self.records.append(record)

    def do(self, effect: e.Effect) -> None:
        self.effects.append(effect)

    def answer_version(self, number: int) -> None:
        """The answer names this version."""
        self.version = number
        known = self.state.versions.get(number)
        self.broadcast_id = "" if known is None else known.broadcast_id


def known_already(go: Advance, *_: Any) -> None:
    """A cell of a table: it was carried out before, and nothing changes."""


def unknown(go: Advance, *_: Any) -> None:
    """A cell of a table: the app has not begun. Raises Refusal."""
    raise Refusal("unknown-app", "there is no such app")


def destroyed(go: Advance, *_: Any) -> None:
    """A cell of a table: the app ends or has ended. Raises Refusal."""
    raise Refusal("destroyed", f"{go.state.name} was destroyed")
