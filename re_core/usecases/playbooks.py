"""Store, read, replace and delete playbooks. Must not know how they travel, nor whether their steps make sense (checking)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from re_core import ports
from re_core.errors import CallerError, Conflict, NotFound, PreconditionFailed
from re_core.model import PlaybookHead, StoredPlaybook
from re_core.usecases.ids import plausible
from re_core.usecases.times import rfc3339

#: how often a write without a condition is tried again when somebody was faster
TRIES = 10

#: whether a playbook's etag is one that the caller accepts
Condition = Callable[[str], bool]


class PlaybookPage(NamedTuple):
    """Some playbooks, newest first, and where to go on."""

    rows: Sequence[PlaybookHead]
    next: str | None


def create(
    playbooks: ports.Playbooks, clock: ports.Clock, id: str, document: Mapping[str, Any], user: str
) -> StoredPlaybook:
    """Store the first revision; where the id has one already (a repeated request), that one is the answer."""
    now = clock.now()
    made = StoredPlaybook(id, document["group"], document["name"], 1, document, now, now, user)
    if playbooks.save_playbook(made):
        return made
    return playbooks.playbook(id, 1) or made


def get(playbooks: ports.Playbooks, id: str, revision: int | None = None) -> StoredPlaybook:
    """The newest revision, or that one. Raises NotFound."""
    found = playbooks.playbook(id, revision) if plausible(id) else None
    if found is None:
        which = "" if revision is None else f" in revision {revision}"
        raise NotFound(f"there is no playbook {id[:60]!r}{which}")
    return found


def revisions(playbooks: ports.Playbooks, id: str) -> list[StoredPlaybook]:
    """All revisions, newest first, those of a deleted playbook too. Raises NotFound."""
    found = playbooks.revisions(id) if plausible(id) else []
    if not found:
        raise NotFound(f"there is no playbook {id[:60]!r}")
    return found


def replace(
    playbooks: ports.Playbooks,
    clock: ports.Clock,
    found: StoredPlaybook,
    document: Mapping[str, Any],
    user: str,
    condition: Condition | None,
) -> StoredPlaybook:
    """Store the next revision of `found`. Raises PreconditionFailed, NotFound, Conflict."""
    for _ in range(TRIES):
        _require(found, condition)
        made = found._replace(
            group=document["group"],
            name=document["name"],
            revision=found.revision + 1,
            document=document,
            updated=clock.now(),
            user=user,
        )
        if playbooks.save_playbook(made):
            return made
        found = get(playbooks, found.id)
    raise Conflict("others replace this playbook all the time; try again")


def delete(playbooks: ports.Playbooks, found: StoredPlaybook, condition: Condition | None) -> None:
    """Delete it; its revisions stay. Raises PreconditionFailed, NotFound, Conflict."""
    for _ in range(TRIES):
        _require(found, condition)
        if playbooks.delete_playbook(found.id, found.revision):
            return
        found = get(playbooks, found.id)
    raise Conflict("others replace this playbook all the time; try again")


def listed(
    playbooks: ports.Playbooks,
    groups: Sequence[str] | None,
    name: str | None,
    limit: int | None = None,
    cursor: str = "",
) -> PlaybookPage:
    """Newest first, of these groups (None: all). Raises CallerError for a cursor that is not one."""
    one = groups[0] if groups is not None and len(groups) == 1 else None
    rows = [row for row in playbooks.playbook_heads(one, name) if groups is None or row.group in groups]
    rows.sort(key=_place, reverse=True)
    if cursor:
        after = _parse_cursor(cursor)
        rows = [row for row in rows if _place(row) < after]
    if limit is None or len(rows) <= limit:
        return PlaybookPage(rows, None)
    last = rows[limit - 1]
    return PlaybookPage(rows[:limit], f"{last.created}.{last.id}")


def whole(playbooks: ports.Playbooks, groups: Sequence[str] | None) -> list[StoredPlaybook]:
    """Newest first, of these groups (None: all), with their documents."""
    heads = listed(playbooks, groups, None).rows
    found = (playbooks.playbook(head.id, head.revision) for head in heads)
    return [one for one in found if one is not None]


def count_by_group(playbooks: ports.Playbooks, groups: Sequence[str] | None) -> list[dict[str, Any]]:
    """Which groups own playbooks, and how many, by name."""
    counts: dict[str, int] = {}
    for row in playbooks.playbook_heads():
        if groups is None or row.group in groups:
            counts[row.group] = counts.get(row.group, 0) + 1
    return [{"name": name, "count": counts[name]} for name in sorted(counts)]


def playbook_document(playbook: StoredPlaybook | PlaybookHead) -> dict[str, Any]:
    """One row of the list: all but the document itself."""
    return {
        "id": playbook.id,
        "group": playbook.group,
        "name": playbook.name,
        "revision": playbook.revision,
        "created": rfc3339(playbook.created),
        "updated": rfc3339(playbook.updated),
        "user": playbook.user,
    }


def _require(found: StoredPlaybook, condition: Condition | None) -> None:
    if condition is not None and not condition(found.etag):
        raise PreconditionFailed(f"the playbook has changed: it is at revision {found.revision} now; read it again")


def _place(row: PlaybookHead) -> tuple[int, str]:
    return row.created, row.id


def _parse_cursor(cursor: str) -> tuple[int, str]:
    created, _, id = cursor.partition(".")
    if not (created.isascii() and created.isdigit() and len(created) < 20 and id):
        raise CallerError("cursor: not one that a list gave out")
    return int(created), id
