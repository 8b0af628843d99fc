"""Which workers live. Must not know how they say so."""

from __future__ import annotations

import json
from typing import Any

from re_core.adapters.offers import offers_of
from re_core.adapters.paging import clamp_int64
from re_core.adapters.places import place_of, place_text
from re_core.adapters.sqlite.database import Database
from re_core.rows import WorkerRecord
from re_core.wire import strict_json

_COLUMNS = "id, slots, offers, running, seen, beat, degraded, place, credential, fault"


class RegistryPart:
    """See ports.Registry."""

    _database: Database

    def register(self, worker: WorkerRecord) -> None:
        """See ports.Registry."""
        offers, running, degraded = map(strict_json.dumps, (worker.offers, worker.running, dict(worker.degraded)))
        with self._database.writing() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO workers ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (
                    worker.id,
                    worker.slots,
                    offers,
                    running,
                    worker.seen,
                    worker.beat,
                    degraded,
                    place_text(worker.place),
                    worker.credential,
                    worker.fault,
                ),
            )

    def workers(self, seen_since: int = 0) -> list[WorkerRecord]:
        """See ports.Registry."""
        query = f"SELECT {_COLUMNS} FROM workers WHERE seen >= ? ORDER BY id"
        return [_worker(*row) for row in self._database.rows(query, (clamp_int64(seen_since),))]

    def forget_workers(self, seen_before: int) -> None:
        """See ports.Registry."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM workers WHERE seen < ?", (clamp_int64(seen_before),))


def _worker(id: str, slots: int, offers: str, running: str, seen: int, beat: int, *more: Any) -> WorkerRecord:
    degraded, place, credential, fault = more
    said = offers_of(offers), tuple(json.loads(running)), seen, beat, json.loads(degraded)
    return WorkerRecord(id, slots, *said, place_of(place), credential, fault)
