"""Which releases of its dependencies a node has received, and why it does not build one. Must not know HTTP."""

from __future__ import annotations

from collections.abc import Iterator

from re_core.api import pipelines as api
from re_core.cdpm import records as r
from re_core.cdpm.ids import pipeline_key
from re_core.deployment.records import Entry
from re_core.rows import PipelineRow
from re_core.usecases.cdpm.nodes import Desk
from re_core.usecases.cdpm.votes import LOOKED_BACK
from re_core.usecases.times import rfc3339

#: rows of the answer
SHOWN = 100


def received(desk: Desk, row: PipelineRow) -> list[api.ReceivedRelease]:
    """The newest SHOWN, newest first, as far as the newest LOOKED_BACK entries of its journal say."""
    newest = desk.state(row).entry
    found: dict[tuple[str, int | str, str], api.ReceivedRelease] = {}
    for entry in desk.store.entries(pipeline_key(row.id), max(0, newest - LOOKED_BACK), LOOKED_BACK):
        for document in _received(entry):
            found[document["dependency"], document["release"], document["created"]] = document
        for record in entry.records:
            if isinstance(record, r.Passed):
                waited = found.get((record.dependency, record.id, record.created_at))
                if waited is not None:
                    waited["skipped"] = record.why
    return list(reversed(found.values()))[:SHOWN]


def _received(entry: Entry) -> Iterator[api.ReceivedRelease]:
    for record in entry.records:
        if isinstance(record, r.Received):
            yield {
                "dependency": record.dependency,
                "release": record.id,
                "created": record.created_at,
                "version": _text(record, "new_version"),
                "ref": _text(record, "ref"),
                "major": record.major,
                "received": rfc3339(entry.at),
                "skipped": record.skipped,
            }


def _text(record: r.Received, name: str) -> str:
    found = record.document.get(name)
    return found if isinstance(found, str) else ""
