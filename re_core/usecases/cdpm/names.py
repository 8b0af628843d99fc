"""Group and name of a pipeline node: one node has them, as with playbooks. Must not know what is in its document.

A name is a lock of the store, whose key is unique there. It is released when its node is removed; one of a node that is removed,
or was never stored by a process that died then, is replaced.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from re_core import ports
from re_core.rows import PipelineRow

#: milliseconds after which a process that took a name and stored nothing under it counts as dead
ABANDONED = 60_000


class Shelf(ports.Pipelines, ports.Locks, Protocol):
    """The part of a store that names of nodes stand on."""


def is_removed(row: PipelineRow) -> bool:
    """Whether the node was removed: its row stays for a while without a document, with the keys that sign its last messages."""
    return not row.document


def named(shelf: ports.Pipelines, group: str, name: str) -> PipelineRow | None:
    """The node of that name; None where there is none, or it was removed."""
    found = (row for row in shelf.pipelines(group) if row.name == name and not is_removed(row))
    return next(found, None)


def lock_of(group: str, name: str) -> str:
    """Key of the lock that a name is."""
    return "pipeline:" + hashlib.sha256(f"{group}\0{name}".encode()).hexdigest()


def take(shelf: Shelf, group: str, name: str, id: str, now: int) -> str:
    """Make that name stand for the node `id`, unless it stands for another one; the id that it stands for.

    The node may not be stored yet: its process is about to, or has died. `now` in milliseconds.
    """
    key = lock_of(group, name)
    held = shelf.acquire(key, id, now)
    while held.deployment != id:
        row = shelf.pipeline(held.deployment)
        if row is not None and not is_removed(row) and (row.group, row.name) == (group, name):
            return held.deployment
        if row is None and now - held.at < ABANDONED:
            return held.deployment
        held = shelf.compare_and_swap(key, held, id, now)
    return id


def drop(shelf: ports.Locks, group: str, name: str, id: str) -> None:
    """Release the name of the node `id`."""
    shelf.release(lock_of(group, name), id)
