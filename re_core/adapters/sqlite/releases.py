"""Releases that forest gateways work at: a row each, replaced by its version. Must not know how a release goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database
from re_core.rows import OVER, Release
from re_core.wire import strict_json

#: the columns, in the order of `_row`
_NAMES = (
    *("id", "deployment", "version", "owner", "status", "created", "runner", "runner_since", "token", "excluded"),
    *("assigned", "called", "expires", '"end"', "late", "document", "saved"),
)
_COLUMNS = ", ".join(_NAMES)
_SELECT = f"SELECT {_COLUMNS} FROM releases"
_INSERT = f"INSERT OR IGNORE INTO releases ({_COLUMNS}) VALUES ({','.join('?' * len(_NAMES))})"
_REPLACE = f"UPDATE releases SET {', '.join(f'{name} = ?' for name in _NAMES)} WHERE id = ? AND version = ?"

#: what the index of the open ones holds, word for word, or SQLite does not use it
_OPEN = f"status <> '{OVER}'"
_OLD = f"status = '{OVER}' AND created < ?"


class ReleasesPart:
    """See ports.Releases."""

    _database: Database

    def save_release(self, release: Release) -> bool:
        """See ports.Releases."""
        row = _row(release)
        with self._database.writing() as connection:
            if release.version == 1:
                done = connection.execute(_INSERT, row)
            else:
                done = connection.execute(_REPLACE, (*row, release.id, release.version - 1))
            if done.rowcount == 1:
                return True
            stands = connection.execute(f"{_SELECT} WHERE id = ?", (release.id,)).fetchone()
        return stands is not None and _release(stands) == _release(row)

    def find_release(self, id: str) -> Release | None:
        """See ports.Releases."""
        return next(iter(self._releases("WHERE id = ?", (id,))), None)

    def release_by_token(self, digest: str) -> Release | None:
        """See ports.Releases."""
        found = self._releases("WHERE token = ? AND token <> ''", (digest,))
        return next(iter(found), None)

    def releases_of(self, deployment: str) -> list[Release]:
        """See ports.Releases."""
        return self._releases("WHERE deployment = ? ORDER BY created, id", (deployment,))

    def open_releases(self, owner: str | None = None) -> list[Release]:
        """See ports.Releases."""
        where, values = _owned(owner)
        return self._releases(f"WHERE {where} ORDER BY created, id", values)

    def open_versions(self, owner: str | None = None) -> dict[str, int]:
        """See ports.Releases."""
        where, values = _owned(owner)
        return dict(self._database.rows(f"SELECT id, version FROM releases WHERE {where}", values))

    def old_releases(self, before: int) -> int:
        """See ports.Releases."""
        return int(self._database.row(f"SELECT count(*) FROM releases WHERE {_OLD}", (clamp_int64(before),))[0])

    def forget_releases(self, before: int, limit: int) -> int:
        """See ports.Releases."""
        some = f"SELECT id FROM releases WHERE {_OLD} ORDER BY created LIMIT ?"
        values = (clamp_int64(before), clamp_int64(limit))
        with self._database.writing() as connection:
            return connection.execute(f"DELETE FROM releases WHERE id IN ({some})", values).rowcount

    def beat_gateway(self, id: str, count: int) -> None:
        """See ports.Releases."""
        with self._database.writing(synced=False) as connection:
            connection.execute("INSERT OR REPLACE INTO gateways (id, count) VALUES (?, ?)", (id, count))

    def gateways(self) -> Mapping[str, int]:
        """See ports.Releases."""
        return dict(self._database.rows("SELECT id, count FROM gateways"))

    def forget_gateway(self, id: str) -> None:
        """See ports.Releases."""
        with self._database.writing(synced=False) as connection:
            connection.execute("DELETE FROM gateways WHERE id = ?", (id,))

    def _releases(self, where: str, values: Sequence[Any]) -> list[Release]:
        return [_release(row) for row in self._database.rows(f"{_SELECT} {where}", values)]


def _owned(owner: str | None) -> tuple[str, tuple[str, ...]]:
    return (_OPEN, ()) if owner is None else (f"owner = ? AND {_OPEN}", (owner,))


def _row(release: Release) -> tuple[Any, ...]:
    end, late = (None if one is None else strict_json.dumps(dict(one)) for one in (release.end, release.late))
    excluded, document = strict_json.dumps(release.excluded), strict_json.dumps(dict(release.document))
    return (
        *(release.id, release.deployment, release.version, release.owner, release.status, release.created),
        *(release.runner, release.runner_since, release.token, excluded),
        *(release.assigned, release.called, release.expires, end, late, document, release.saved),
    )


def _release(row: Sequence[Any]) -> Release:
    id, _, version, owner, status, created, runner, since, token, excluded, *rest = row
    assigned, called, expires, end, late, document, saved = rest
    return Release(
        *(id, version, owner, status, saved, created, runner, since, token, tuple(json.loads(excluded))),
        *(assigned, called, expires),
        end=None if end is None else json.loads(end),
        late=None if late is None else json.loads(late),
        document=json.loads(document),
    )
