"""Group and name of a playbook: one playbook has them (docs/decisions/0016). Must not know what is in a playbook.

A name is a lock of the store, whose key is unique there: of several callers that store a new name at once one gets it, and the others
get the id that it stands for. A lock is released when its playbook is deleted; one whose playbook has another name now, or
was deleted by a process that died then, is replaced. Playbooks of the API of 2014 and of older engines hold none, so the
list is asked too.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from re_core import ports
from re_core.errors import Conflict
from re_core.rows import PlaybookHead

#: milliseconds after which a process that took a name and stored nothing under it counts as dead
ABANDONED = 60_000


class Shelf(ports.Playbooks, ports.Locks, Protocol):
    """The part of a store that playbooks stand on."""


def named(shelf: ports.Playbooks, group: str, name: str) -> PlaybookHead | None:
    """The one playbook of that name; None where there is none. Raises Conflict, with the ids, where there are several."""
    found = shelf.playbook_heads(group, name)
    if len(found) > 1:
        ids = ", ".join(head.id for head in found[:10])
        raise Conflict(f"{len(found)} playbooks are named {group[:100]}/{name[:200]}; use the id of one: {ids}")
    return found[0] if found else None


def lock_of(group: str, name: str) -> str:
    """Key of the lock that a name is."""
    return "playbook:" + hashlib.sha256(f"{group}\0{name}".encode()).hexdigest()


def take(shelf: Shelf, group: str, name: str, id: str, now: int) -> str:
    """Make that name stand for the playbook `id`, unless it stands for another one; the id that it stands for.

    The playbook may not be stored yet: its process is about to, or has died. `now` in milliseconds.
    """
    key = lock_of(group, name)
    held = shelf.acquire(key, id, now)
    while held.deployment != id:
        revisions = shelf.revisions(held.deployment)
        newest = shelf.playbook(held.deployment)
        if newest is not None and (newest.group, newest.name) == (group, name):
            return held.deployment
        if not revisions and now - held.at < ABANDONED:
            return held.deployment
        held = shelf.compare_and_swap(key, held, id, now)
    return id


def drop(shelf: ports.Locks, group: str, name: str, id: str) -> None:
    """Release the name of the playbook `id`, which was deleted under it: it can store nothing any more."""
    shelf.release(lock_of(group, name), id)
