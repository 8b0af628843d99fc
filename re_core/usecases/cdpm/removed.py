"""Pipelines that were removed long ago, and their deletion: journal, keys, positions, and at last the row of the index.

The row of the list only proposes, the journal decides. Must not know when that happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from re_core import ports
from re_core.cdpm.checkpoint import from_document
from re_core.cdpm.ids import KIND, pipeline_key
from re_core.cdpm.state import State, begin, fold
from re_core.deployment.records import Entry
from re_core.errors import NewerFormat, StoreRefused
from re_core.ports import OtherKind, Store, checkpoints, foreign
from re_core.usecases.ids import first_id, made_before


class _Store(ports.Pipelines, ports.Maintenance, Protocol):
    """The parts of a store that a deletion needs."""


def old_pipelines(store: Store, before: int, limit: int) -> list[str]:
    """Ids of up to `limit` pipelines that were removed before that time (milliseconds), or made before it and never begun."""
    first, found = first_id(before), list[str]()
    rows = store.pipelines()
    ended = {row.id: row.ended for row in store.rows([pipeline_key(one.id) for one in rows])}
    for one in rows:
        key = pipeline_key(one.id)
        if key not in ended:
            is_old = made_before(one.id, first) and not store.entries(key, limit=1)
        else:
            at = ended[key]
            is_old = at is not None and at < before and _is_over(store, key)
        if is_old:
            found.append(one.id)
            if len(found) == limit:
                break
    return found


def drop_pipelines(store: _Store, ids: Sequence[str]) -> None:
    """Delete all that is kept of them. Where it is cut off, the row of the index is still there, so that the next time goes on."""
    store.forget([pipeline_key(id) for id in ids])
    for id in ids:
        store.drop_pipeline(id)


def _is_over(store: Store, key: str) -> bool:
    """Whether it was removed by its journal too; one that cannot be read is what a deletion that was cut off has left."""
    try:
        state = checkpoints.load(store, key, lambda: begin(key), _folded, lambda document: from_document(key, document))
    except (NewerFormat, OtherKind):  # for an engine that can read it
        return False
    except StoreRefused:
        return True
    return state.ended is not None


def _folded(state: State, entry: Entry) -> State:
    if entry.kind != KIND:
        raise foreign(entry)
    return fold(state, entry.records, entry.number, entry.at)
