"""What the store has of apps: their states, what they need of artifacts and configs, and the deletion of those that are gone.

The row of the list only proposes, the journal decides. Must not know when something is deleted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from re_core.apps.checkpoint import from_document
from re_core.apps.names import KIND, app_id, app_key
from re_core.apps.payloads import kept_payloads
from re_core.apps.state import State, begin, fold
from re_core.apps.values import OVER
from re_core.deployment.records import Entry
from re_core.errors import NewerFormat, StoreRefused
from re_core.ports import OtherKind, Store, checkpoints, foreign
from re_core.rows import AppRow
from re_core.usecases.ids import first_id, made_before

#: begins the address of an archive that has a user or a password in front of its host, well-formed or not
CREDENTIALS = re.compile(r"((?:[^/?#@]*:)?[/\\]*)[^/?#]*@")

#: how an archive is named that stands in the artifact store
ARTIFACT = "artifact:"


class Unreadable(NamedTuple):
    """An app whose journal this engine cannot read, so that all that is its may be needed."""

    row: AppRow


def states(store: Store, group: str | None = None) -> Iterator[tuple[AppRow, State | Unreadable]]:
    """The apps of the group, or all."""
    for row in store.apps(group):
        key = app_key(row.id)
        try:
            yield row, _load(store, key)
        except (NewerFormat, OtherKind, StoreRefused):
            yield row, Unreadable(row)


def needed_artifacts(state: State) -> dict[str, str]:
    """Name of an artifact of the app's group -> what needs it: payloads that may come back, and archives of what is not over."""
    found: dict[str, str] = {}
    kept = kept_payloads(state)
    for version in state.versions.values():
        label = f"v{version.number} of the app {state.name}"
        own, archive = f"{ARTIFACT}{state.group}/", version.archive
        if version.status not in OVER and archive.startswith(own):
            found[archive.removeprefix(own)] = label
        if version.payload is not None and version.payload.digest in kept:
            found[version.payload.artifact] = label
    return {} if state.ended is not None else found


def old_payloads(state: State) -> set[str]:
    """Names of artifacts that were built to versions, and that nothing of the app can need again."""
    built = {one.payload.artifact for one in state.versions.values() if one.payload is not None}
    return built - needed_artifacts(state).keys()


def needed_configs(state: State) -> set[str]:
    """Ids of the config rows that a version or the next one is made of."""
    return {
        state.config.id,
        *(one.config for one in state.versions.values()),
        *(one.head for one in state.versions.values()),
    }


def old_apps(store: Store, before: int, limit: int) -> list[str]:
    """Ids of up to `limit` apps of which nothing was left before that time (milliseconds), or made before it and never begun."""
    found = [app_id(key) for key in store.ended_of(KIND, before, limit) if _is_over(store, key)]
    first = first_id(before)
    aged = [row.id for row in store.apps() if made_before(row.id, first)]
    listed = {row.id for row in store.rows([app_key(id) for id in aged])}
    for id in aged:
        if len(found) < limit and app_key(id) not in listed and not store.entries(app_key(id), limit=1):
            found.append(id)
    return found


def drop_apps(store: Store, ids: list[str]) -> None:
    """Delete all that is kept of them. Where it is cut off, the row of the index is still there, so that the next time goes on."""
    store.forget([app_key(id) for id in ids])
    for id in ids:
        store.drop_app(id)


def _is_over(store: Store, key: str) -> bool:
    """Whether nothing is left of it by its journal too; one that cannot be read is what a deletion that was cut off has left."""
    try:
        return _load(store, key).ended is not None
    except (NewerFormat, OtherKind):  # for an engine that can read it
        return False
    except StoreRefused:
        return True


def _load(store: Store, key: str) -> State:
    return checkpoints.load(store, key, lambda: begin(key), _folded, lambda document: from_document(key, document))


def _folded(state: State, entry: Entry) -> State:
    if entry.kind != KIND:
        raise foreign(entry)
    return fold(state, entry.records, entry.number, entry.at)
