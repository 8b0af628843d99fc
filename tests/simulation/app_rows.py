"""The store of a world with apps, as far as centers need it, and its clock. Must not know what happens in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from re_core.rows import AppRow, OutputLine, ZoneRow

if TYPE_CHECKING:
    from tests.simulation.apps import AppWorld


class SimClock:
    """See ports.Clock."""

    def __init__(self, world: AppWorld) -> None:
        self._world = world

    def now(self) -> int:
        return self._world.now


class SimRows:
    """The rows that shelves keep zones in, with those of apps, and the output of deployments."""

    def __init__(self, world: AppWorld) -> None:
        self._world = world
        self._zones: dict[str, ZoneRow] = {}
        self.output_of: dict[str, list[OutputLine]] = {}

    def apps(self, group: str | None = None) -> list[AppRow]:
        return [AppRow(id, state.name, state.group, 1) for id, state in self._world.states.items()]

    def zone(self, name: str) -> ZoneRow | None:
        return self._zones.get(name)

    def save_zone(self, row: ZoneRow) -> bool:
        before = self._zones.get(row.name)
        if row.version != (1 if before is None else before.version + 1):
            return False
        self._zones[row.name] = row
        self._world.oracle.stored(row)
        return True

    def log_cursors(self, zone: str) -> list[Any]:
        return []

    def say(self, deployment: str, text: str) -> None:
        """A line of its output."""
        lines = self.output_of.setdefault(deployment, [])
        lines.append(OutputLine(len(lines) + 1, 0, self._world.now, text.rstrip("\n")))

    def output(self, deployment: str, after: int = 0, limit: int = 1000, step: int | None = None) -> list[OutputLine]:
        return self.output_of.get(deployment, [])[after : after + limit]

    def last_line(self, deployment: str) -> int:
        return len(self.output_of.get(deployment, ()))
