"""What pipelines have beside their journals. Must not know what their documents say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database
from re_core.ports.pipelines import MOST_KEYS, MOST_OPENS
from re_core.rows import PeerFile, PipelineKey, PipelineRow, Position
from re_core.wire import strict_json

_COLUMNS = 'id, "group", name, source, version, playbooks, document'
_SELECT = f"SELECT {_COLUMNS} FROM pipelines"
_INSERT = f"INSERT OR IGNORE INTO pipelines ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)"
_REPLACE = (
    'UPDATE pipelines SET version = ?5, playbooks = ?6, document = ?7 WHERE source = ?4 AND id = ?1 AND "group" = ?2 '
    "AND name = ?3 AND version = ?5 - 1"
)
_POSITION = "SELECT id, pipeline, delivered, delivered_at, acknowledges, opens FROM cdpm_positions WHERE id = ?"
_KEYS = "SELECT pipeline, kid, public, sealed, created FROM cdpm_keys WHERE pipeline = ?"


class PipelinesPart:
    """See ports.Pipelines."""

    _database: Database

    def save_pipeline(self, row: PipelineRow) -> bool:
        """See ports.Pipelines."""
        values = _values(row)
        with self._database.writing() as connection:
            if connection.execute(_INSERT if row.version == 1 else _REPLACE, values).rowcount == 1:
                return True
            stands = connection.execute(f"{_SELECT} WHERE id = ?", (row.id,)).fetchone()
        return stands is not None and _pipeline(stands) == _pipeline(values)

    def pipeline(self, id: str) -> PipelineRow | None:
        """See ports.Pipelines."""
        return next(iter(self._pipelines("id = ?", id)), None)

    def pipeline_by_source(self, url: str) -> PipelineRow | None:
        """See ports.Pipelines."""
        return next(iter(self._pipelines("source = ?", url)), None)

    def pipelines(self, group: str | None = None) -> list[PipelineRow]:
        """See ports.Pipelines."""
        return self._pipelines("1") if group is None else self._pipelines('"group" = ?', group)

    def pipelines_of_playbook(self, id: str) -> list[PipelineRow]:
        """See ports.Pipelines."""
        return self._pipelines("EXISTS (SELECT 1 FROM json_each(pipelines.playbooks) WHERE value = ?)", id)

    def drop_pipeline(self, id: str) -> bool:
        """See ports.Pipelines."""
        with self._database.writing() as connection:
            for table in ("cdpm_positions", "cdpm_keys"):
                connection.execute(f"DELETE FROM {table} WHERE pipeline = ?", (id,))
            return connection.execute("DELETE FROM pipelines WHERE id = ?", (id,)).rowcount == 1

    def open_position(self, subscription: str, pipeline: str, iat: int, jti: str, since: int) -> bool:
        """See ports.Pipelines."""
        with self._database.writing() as connection:
            stands = connection.execute(_POSITION, (subscription,)).fetchone()
            opens = () if stands is None else _position(stands).opens
            recent = [one for one in opens if one[0] >= since]
            if len(recent) >= MOST_OPENS or any(one[1] == jti for one in recent):
                return False
            text = strict_json.dumps([*recent, (iat, jti)])
            connection.execute(
                "INSERT INTO cdpm_positions (id, pipeline, opens) VALUES (?,?,?) "
                "ON CONFLICT (id) DO UPDATE SET opens = excluded.opens",
                (subscription, pipeline, text),
            )
        return True

    def position(self, subscription: str) -> Position | None:
        """See ports.Pipelines."""
        row = self._database.row(_POSITION, (subscription,))
        return None if row is None else _position(row)

    def save_positions(self, positions: Sequence[Position]) -> None:
        """See ports.Pipelines."""
        rows = [(one.delivered, one.delivered_at, one.acknowledges, one.id) for one in positions]
        with self._database.writing(synced=False) as connection:
            connection.executemany(
                "UPDATE cdpm_positions SET delivered = ?, delivered_at = ?, acknowledges = ? WHERE id = ?", rows
            )

    def add_key(self, key: PipelineKey) -> bool:
        """See ports.Pipelines."""
        with self._database.writing() as connection:
            there = [PipelineKey._make(row) for row in connection.execute(_KEYS, (key.pipeline,)).fetchall()]
            same = [one for one in there if one.kid == key.kid]
            if same or len(there) >= MOST_KEYS:
                return same == [key]
            connection.execute("INSERT INTO cdpm_keys (pipeline, kid, public, sealed, created) VALUES (?,?,?,?,?)", key)
        return True

    def keys(self, pipeline: str) -> list[PipelineKey]:
        """See ports.Pipelines."""
        return [PipelineKey._make(row) for row in self._database.rows(f"{_KEYS} ORDER BY created, kid", (pipeline,))]

    def drop_key(self, pipeline: str, kid: str) -> bool:
        """See ports.Pipelines."""
        with self._database.writing() as connection:
            done = connection.execute("DELETE FROM cdpm_keys WHERE pipeline = ? AND kid = ?", (pipeline, kid))
            return done.rowcount == 1

    def peer_file(self, url: str) -> PeerFile | None:
        """See ports.Pipelines."""
        query = "SELECT url, etag, data, read_at, changed_at FROM cdpm_files WHERE url = ?"
        row = self._database.row(query, (url,))
        return None if row is None else PeerFile._make(row)

    def save_peer_file(self, file: PeerFile) -> None:
        """See ports.Pipelines."""
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO cdpm_files (url, etag, data, read_at, changed_at) VALUES (?,?,?,?,?)", file
            )

    def forget_peer_files(self, read_before: int) -> int:
        """See ports.Pipelines."""
        with self._database.writing() as connection:
            before = (clamp_int64(read_before),)
            return connection.execute("DELETE FROM cdpm_files WHERE read_at < ?", before).rowcount

    def _pipelines(self, where: str, *values: str) -> list[PipelineRow]:
        query = f'{_SELECT} WHERE {where} ORDER BY "group", name, id'
        return [_pipeline(row) for row in self._database.rows(query, values)]


def _values(row: PipelineRow) -> tuple[Any, ...]:
    playbooks, document = strict_json.dumps(row.playbooks), strict_json.dumps(dict(row.document))
    return (row.id, row.group, row.name, row.source, row.version, playbooks, document)


def _pipeline(row: Sequence[Any]) -> PipelineRow:
    id, group, name, source, version, playbooks, document = row
    return PipelineRow(id, group, name, source, version, json.loads(document), tuple(json.loads(playbooks)))


def _position(row: Sequence[Any]) -> Position:
    id, pipeline, delivered, delivered_at, acknowledges, opens = row
    ids = tuple((int(iat), str(jti)) for iat, jti in json.loads(opens))
    return Position(id, pipeline, delivered, delivered_at, bool(acknowledges), ids)
