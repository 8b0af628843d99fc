"""Enrolled forest runners. Must not know their protocol."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core.adapters.sqlite.database import Database
from re_core.rows import Runner
from re_core.wire import strict_json

_COLUMNS = "name, digest, created, user, parallel, revoked, seen, connected, peer, capabilities, active, offered"
_SELECT = f"SELECT {_COLUMNS} FROM runners"
_PLACES = ",".join("?" * len(Runner._fields))


class RunnersPart:
    """See ports.Runners."""

    _database: Database

    def enroll_runner(self, runner: Runner) -> bool:
        """See ports.Runners."""
        row = runner._replace(capabilities=strict_json.dumps(runner.capabilities))  # type: ignore[arg-type]
        with self._database.writing() as connection:
            connection.execute(f"INSERT OR IGNORE INTO runners ({_COLUMNS}) VALUES ({_PLACES})", row)
            (digest,) = connection.execute("SELECT digest FROM runners WHERE name = ?", (runner.name,)).fetchone()
        return bool(digest == runner.digest)

    def runner(self, name: str) -> Runner | None:
        """See ports.Runners."""
        row = self._database.row(f"{_SELECT} WHERE name = ?", (name,))
        return None if row is None else _runner(row)

    def runners(self) -> list[Runner]:
        """See ports.Runners."""
        return [_runner(row) for row in self._database.rows(f"{_SELECT} ORDER BY name")]

    def set_parallel(self, name: str, parallel: int) -> bool:
        """See ports.Runners."""
        return self._change("UPDATE runners SET parallel = ? WHERE name = ?", (parallel, name))

    def revoke_runner(self, name: str, at: int) -> bool:
        """See ports.Runners."""
        return self._change("UPDATE runners SET revoked = ? WHERE name = ? AND revoked IS NULL", (at, name))

    def forget_runner(self, name: str) -> bool:
        """See ports.Runners."""
        return self._change("DELETE FROM runners WHERE name = ? AND revoked IS NOT NULL", (name,))

    def note_runner(
        self,
        name: str,
        *,
        seen: int,
        connected: str,
        peer: str,
        capabilities: tuple[str, ...],
        active: int,
        offered: int,
        held: str | None = None,
    ) -> None:
        """See ports.Runners."""
        values = (seen, connected, peer, strict_json.dumps(capabilities), active, offered)
        with self._database.writing(synced=False) as connection:
            connection.execute(
                "UPDATE runners SET seen = ?, connected = ?, peer = ?, capabilities = ?, active = ?, offered = ? "
                "WHERE name = ? AND (? IS NULL OR connected = ?)",
                (*values, name, held, held),
            )

    def _change(self, statement: str, values: Sequence[Any]) -> bool:
        with self._database.writing() as connection:
            return connection.execute(statement, values).rowcount == 1


def _runner(row: Sequence[Any]) -> Runner:
    runner = Runner._make(row)
    return runner._replace(capabilities=tuple(json.loads(row[9])))
