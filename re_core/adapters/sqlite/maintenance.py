"""Maintenance of the store. Must not know what a journal or a row says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database
from re_core.adapters.sqlite.layout import STEPS, TABLES
from re_core.adapters.sqlite.views import COLUMNS, view_of_row
from re_core.ports import Ids, KeyRecord, Survey
from re_core.rows import View

#: ids of one statement
_IDS = 500

#: from each deployment to the next by the index, so that its entries are not stepped over
_JOURNALS = """
WITH RECURSIVE found (id) AS (
    SELECT min(deployment) FROM journal WHERE deployment > ?1 OR ?2
    UNION ALL
    SELECT (SELECT min(deployment) FROM journal WHERE deployment > found.id) FROM found WHERE found.id IS NOT NULL
)
SELECT id FROM found WHERE id IS NOT NULL LIMIT ?3
"""

#: table -> the column that names the deployment; one transaction, so the order does not matter
_OF_DEPLOYMENTS = {
    "output": "deployment",
    "requests": "deployment",
    "holds": "deployment",
    "releases": "deployment",
    "journal": "deployment",
    "views": "id",
}


class MaintenancePart:
    """See ports.Maintenance."""

    _database: Database

    def journals(self, limit: int, cursor: str = "") -> Ids:
        """See ports.Maintenance. The cursor is the last id, behind a sign that distinguishes an empty one from none."""
        rows = self._database.rows(_JOURNALS, (cursor[1:], not cursor, clamp_int64(limit + 1)))
        ids = [id for (id,) in rows]
        return Ids(ids[:limit], f">{ids[limit - 1]}" if len(ids) > limit else None)

    def rows(self, ids: Sequence[str]) -> list[View]:
        """See ports.Maintenance."""
        found: list[View] = []
        for some, places in _portions(ids):
            query = f"SELECT {COLUMNS} FROM views WHERE id IN ({places})"
            found += map(view_of_row, self._database.rows(query, some))
        return found

    def drop_views(self, ids: Sequence[str]) -> None:
        """See ports.Maintenance."""
        self._delete({"views": "id"}, ids)

    def ended(self, before: int, limit: int) -> list[str]:
        """See ports.Maintenance."""
        query = (
            "SELECT id FROM views WHERE ended IS NOT NULL AND ended < ? AND \"group\" <> '' ORDER BY ended, id LIMIT ?"
        )
        return [id for (id,) in self._database.rows(query, (clamp_int64(before), clamp_int64(limit)))]

    def ended_of(self, kind: str, before: int, limit: int) -> list[str]:
        """See ports.Maintenance."""
        query = (
            "SELECT id FROM views WHERE ended IS NOT NULL AND ended < ? AND \"group\" = '' AND id >= ? AND id < ? "
            "ORDER BY ended, id LIMIT ?"
        )
        values = (clamp_int64(before), f"{kind}/", f"{kind}0", clamp_int64(limit))
        return [id for (id,) in self._database.rows(query, values)]

    def forget(self, deployments: Sequence[str]) -> None:
        """See ports.Maintenance."""
        self._delete(_OF_DEPLOYMENTS, deployments)

    def old_claims(self, before: str, limit: int, after: KeyRecord | None = None) -> list[KeyRecord]:
        """See ports.Maintenance."""
        query = (
            "SELECT key, deployment, digest FROM requests WHERE deployment < ? AND (deployment, key) > (?, ?) "
            "ORDER BY deployment, key LIMIT ?"
        )
        behind = ("", "") if after is None else (after.deployment, after.key)
        return [KeyRecord._make(row) for row in self._database.rows(query, (before, *behind, clamp_int64(limit)))]

    def drop_claims(self, claims: Sequence[KeyRecord]) -> None:
        """See ports.Maintenance."""
        pairs = [(one.key, one.deployment) for one in claims]
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM requests WHERE key = ? AND deployment = ?", pairs)

    def old_dead_letters(self, before: int, limit: int) -> list[str]:
        """See ports.Maintenance."""
        query = "SELECT id FROM dead_letters WHERE at < ? ORDER BY at, id LIMIT ?"
        return [id for (id,) in self._database.rows(query, (clamp_int64(before), clamp_int64(limit)))]

    def survey(self) -> Survey:
        """See ports.Maintenance. Reads the whole file."""
        counts = {name: self._database.row(f"SELECT count(*) FROM {name}")[0] for name in sorted(TABLES)}
        damage = [" ".join(str(line).split()) for (line,) in self._database.rows("PRAGMA quick_check(10)")]
        advice = "stop the engine, move the file away and restore its last backup"
        problems = tuple(f"the file is damaged: {line}; {advice}" for line in damage if line != "ok")
        return Survey(f"SQLite file {self._database.path}", len(STEPS), counts, problems)

    def _delete(self, tables: dict[str, str], ids: Sequence[str]) -> None:
        for some, places in _portions(ids):
            with self._database.writing() as connection:
                for table, column in tables.items():
                    connection.execute(f"DELETE FROM {table} WHERE {column} IN ({places})", some)


def _portions(ids: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    """Ids in portions that one statement takes, each with its placeholders."""
    for start in range(0, len(ids), _IDS):
        some = ids[start : start + _IDS]
        yield some, ",".join("?" * len(some))
