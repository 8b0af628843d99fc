"""The list of deployments: its rows, filters, order and pages. Must not know the journal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

from re_core.adapters.paging import clamp_int64, cursor_of, read_cursor
from re_core.adapters.sqlite.database import Database, insert
from re_core.adapters.sqlite.layout import CLAIMED
from re_core.model import DeploymentStatus
from re_core.ports import Page, ViewFilter
from re_core.rows import View
from re_core.wire import strict_json

COLUMNS = ", ".join(f'"{name}"' for name in View._fields)
_INTO = f"INSERT INTO views ({COLUMNS})"

#: what changes in a deployment's life, or is missing in a row of an older engine; an update touches only the indexes
#: that name one of these
_CHANGING = (
    "status",
    "ended",
    "done",
    "total",
    "step",
    "reason",
    "due",
    "entry",
    "published",
    "revision",
    "dynamic",
    "claimants",
)
_REPLACE = (
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _CHANGING)} "
    "WHERE excluded.entry >= views.entry"
)


class ViewsPart:
    """See ports.Views."""

    _database: Database

    def write_views(self, views: Sequence[View]) -> None:
        """See ports.Views."""
        with self._database.writing() as connection:
            upsert_views(connection, views)

    def views(self, wanted: ViewFilter, limit: int, cursor: str = "") -> Page:
        """See ports.Views."""
        conditions, parameters = _conditions(wanted)
        if cursor:
            conditions.append("(created, id) < (?, ?)")
            parameters += read_cursor(cursor)
        found: list[View] = []
        for column, value in _drivers(wanted):
            where = " AND ".join([f'"{column}" = ?', *conditions] if column else conditions) or "1"
            query = f"SELECT {COLUMNS} FROM views WHERE {where} ORDER BY created DESC, id DESC LIMIT ?"
            values = [value, *parameters] if column else parameters
            found += map(view_of_row, self._database.rows(query, (*values, clamp_int64(limit + 1))))
        found.sort(key=lambda view: (view.created, view.id), reverse=True)
        rows = found[:limit]
        return Page(rows, cursor_of(rows[-1].created, rows[-1].id) if rows and len(found) > limit else None)

    def active(self) -> list[str]:
        """See ports.Views."""
        rows = self._database.rows("SELECT id FROM views WHERE ended IS NULL ORDER BY created, id")
        return [id for (id,) in rows]

    def claimed(self, workers: Collection[str]) -> dict[str, list[str]]:
        """See ports.Views. The index holds no other rows (layout)."""
        query = f"SELECT id, claimants FROM views WHERE {CLAIMED}"
        wanted = sorted(set(workers))
        found = {id: _among(wanted, text) for id, text in self._database.rows(query)}
        return {id: some for id, some in found.items() if some}

    def due(self, now: int, limit: int) -> list[str]:
        """See ports.Views."""
        query = "SELECT id FROM views WHERE due IS NOT NULL AND due <= ? ORDER BY due, id LIMIT ?"
        return [id for (id,) in self._database.rows(query, (clamp_int64(now), clamp_int64(limit)))]


def upsert_views(connection: sqlite3.Connection, views: Sequence[View]) -> None:
    """Insert or replace, within the caller's transaction."""
    if views:
        rows = [(*view[:-1], _claimants_text(view.claimants)) for view in views]
        insert(connection, _INTO, rows, _REPLACE)


@lru_cache(maxsize=1024)
def _claimants_text(claimants: tuple[str, ...] | None) -> str:
    """JSON of them; a few workers claim the steps of all deployments."""
    return "" if claimants is None else strict_json.dumps(claimants)


def _drivers(wanted: ViewFilter) -> Iterator[tuple[str, str]]:
    """The (column, value) pairs to ask for one after the other, each by an index that gives the newest first.

    One query for all of them (IN) would sort every row that matches before it gave the first.
    """
    if wanted.playbook_id:
        yield "playbook_id", wanted.playbook_id
    elif wanted.groups is not None:
        yield from (("group", group) for group in dict.fromkeys(wanted.groups))
    elif wanted.statuses:
        yield from (("status", status) for status in dict.fromkeys(wanted.statuses))
    elif wanted.user:
        yield "user", wanted.user
    else:
        yield "", ""


def _conditions(wanted: ViewFilter) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    if wanted.groups is None:
        conditions.append("\"group\" <> ''")  # of other kinds than deployments
    if wanted.playbook_id and wanted.groups is not None:
        conditions.append(f'"group" IN ({",".join("?" * len(wanted.groups))})')
        parameters += wanted.groups
    if wanted.statuses and (wanted.playbook_id or wanted.groups is not None):
        conditions.append(f"status IN ({','.join('?' * len(wanted.statuses))})")
        parameters += wanted.statuses
    if wanted.user:
        conditions.append("user = ?")
        parameters.append(wanted.user)
    if wanted.since:
        conditions.append("created >= ?")
        parameters.append(clamp_int64(wanted.since))
    return conditions, parameters


def view_of_row(row: Sequence[Any]) -> View:
    view = View._make(row)
    claimants = tuple(json.loads(row[-1])) if row[-1] else None
    return view._replace(status=DeploymentStatus(view.status), claimants=claimants)


def _among(wanted: Sequence[str], text: str) -> list[str]:
    claimants = json.loads(text) if text else wanted
    return [worker for worker in wanted if worker in claimants]
