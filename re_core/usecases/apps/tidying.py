"""Deletes what apps need no more while they go on: configs that no version has, archives that were pushed, and files that were built
to versions that cannot come back. Must not know when.
"""

from __future__ import annotations

import re

from re_core.apps.state import State
from re_core.ports import ArtifactFilter, Store
from re_core.rows import AppRow
from re_core.usecases import artifact_pruning
from re_core.usecases.apps.stored import Unreadable, needed_configs, old_payloads, states

#: milliseconds that both are kept in any case: a request may be under way that names them next
KEPT = artifact_pruning.DAY

#: artifacts that are looked at together
_PAGE = 200


def tidy(store: Store, now: int) -> int:
    """Delete what is a day old and needed no more; how many of both."""
    count = 0
    for row, state in states(store):
        if not isinstance(state, Unreadable):
            count += store.drop_configs(row.id, needed_configs(state), now - KEPT)
            count += _archives(store, row, now) + _payloads(store, row, state, now)
    return count


def _payloads(store: Store, row: AppRow, state: State, now: int) -> int:
    """Delete those of old versions: the quota of artifacts is one for all groups."""
    count, names = 0, None
    for name in sorted(old_payloads(state)):
        artifact = store.artifact(row.group, name)
        if artifact is None or artifact.created >= now - KEPT:
            continue
        names = names or artifact_pruning.Names(store)
        if artifact_pruning.why_kept(store, artifact, now, KEPT, names) is None:
            count += store.delete_artifact(artifact)
    return count


def _archives(store: Store, row: AppRow, now: int) -> int:
    """Delete archives that `rectl apps push` stored; a payload may have nearly the same name, with fewer digits."""
    prefix = f"dploy-{row.name}-source-"
    count, cursor = 0, ""
    names: artifact_pruning.Names | None = None
    while page := store.artifacts(ArtifactFilter((row.group,), prefix), _PAGE, cursor):
        for artifact in page:
            if artifact.created >= now - KEPT or not re.fullmatch("[0-9a-f]{16}", artifact.name.removeprefix(prefix)):
                continue
            names = names or artifact_pruning.Names(store)
            if artifact_pruning.why_kept(store, artifact, now, KEPT, names) is None:
                count += store.delete_artifact(artifact)
        cursor = page[-1].id
    return count
