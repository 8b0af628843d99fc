"""Store, read, replace and delete playbooks. Must not know how they travel, nor whether their steps make sense (checking)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from re_core import ports
from re_core.api import answers
from re_core.errors import CallerError, Conflict, NotFound, PreconditionFailed
from re_core.rows import PlaybookHead, StoredPlaybook
from re_core.usecases import names
from re_core.usecases.ids import plausible
from re_core.usecases.names import Shelf
from re_core.usecases.times import rfc3339
from re_core.wire import strict_json

#: how often a write without a condition is tried again when somebody was faster
TRIES = 10

#: whether a playbook's etag is one that the caller accepts
Condition = Callable[[str], bool]


#: group, name, id
_TAKEN = "the playbook {}/{} exists already, its id is {}: replace that one, or apply this one"


class Applied(NamedTuple):
    """What became of a playbook that was applied."""

    done: Literal["created", "updated", "unchanged"]
    playbook: StoredPlaybook


class PlaybookPage(NamedTuple):
    """Some playbooks, newest first, and where to go on."""

    rows: Sequence[PlaybookHead]
    next: str | None


def create(playbooks: Shelf, clock: ports.Clock, id: str, document: Mapping[str, Any], user: str) -> StoredPlaybook:
    """Store the first revision; where the id has one already (a repeated request), that one is the answer.

    Raises Conflict where another playbook has its group and name.
    """
    made = _first(clock, id, document, user)
    if (there := playbooks.playbook(id, 1)) is not None:
        return there
    taken = _other(playbooks, made)
    if not taken and playbooks.save_playbook(made):
        return made
    there = playbooks.playbook(id, 1)
    if taken or there is None or not strict_json.equal(there.document, document):
        raise Conflict(_TAKEN.format(made.group, made.name, taken or id))
    return there


def create_again(
    playbooks: ports.Playbooks, clock: ports.Clock, id: str, document: Mapping[str, Any], user: str
) -> StoredPlaybook:
    """As `create`, whether its name is taken or not: as in 2014."""
    made = _first(clock, id, document, user)
    return made if playbooks.save_playbook(made) else playbooks.playbook(id, 1) or made


def apply(
    playbooks: Shelf, clock: ports.Clock, id: str, document: Mapping[str, Any], user: str, condition: Condition | None
) -> Applied:
    """Make this the newest revision of the playbook that has its group and name, or its first one, under `id`.

    It may come any number of times, also at once. Raises PreconditionFailed, and Conflict where several have that name.
    """
    for _ in range(TRIES):
        head = names.named(playbooks, document["group"], document["name"])
        found = playbooks.playbook(head.id) if head is not None else None
        if found is not None:
            _require(found, condition)
            if strict_json.equal(found.document, document):
                return Applied("unchanged", found)
            try:
                return Applied("updated", replace(playbooks, clock, found, document, user, condition))
            except NotFound:  # it was deleted meanwhile
                continue
        if condition is not None:
            raise PreconditionFailed("there is no playbook of that name")
        standing = names.take(playbooks, document["group"], document["name"], id, clock.now())
        made = _first(clock, standing, document, user)
        if playbooks.save_playbook(made):
            return Applied("created", made)
    raise Conflict("others store this playbook all the time; try again")


def _first(clock: ports.Clock, id: str, document: Mapping[str, Any], user: str) -> StoredPlaybook:
    now = clock.now()
    return StoredPlaybook(id, document["group"], document["name"], 1, document, now, now, user)


def _other(playbooks: Shelf, made: StoredPlaybook) -> str:
    """The id of another playbook that has the group and name of this one; empty where there is none, and it has them now."""
    others = [head.id for head in playbooks.playbook_heads(made.group, made.name) if head.id != made.id]
    if others:
        return others[0]
    standing = names.take(playbooks, made.group, made.name, made.id, made.updated)
    return "" if standing == made.id else standing


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
    playbooks: Shelf,
    clock: ports.Clock,
    found: StoredPlaybook,
    document: Mapping[str, Any],
    user: str,
    condition: Condition | None,
) -> StoredPlaybook:
    """Store the next revision of `found`. Raises PreconditionFailed, NotFound, Conflict (another one has its new name, too)."""
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
        renamed = (made.group, made.name) != (found.group, found.name)
        if renamed and (taken := _other(playbooks, made)):
            raise Conflict(_TAKEN.format(made.group, made.name, taken))
        if playbooks.save_playbook(made):
            return made
        found = get(playbooks, found.id)
    raise Conflict("others replace this playbook all the time; try again")


def delete(playbooks: Shelf, found: StoredPlaybook, condition: Condition | None) -> None:
    """Delete it, and the lock of its name; its revisions stay. Raises PreconditionFailed, NotFound, Conflict."""
    for _ in range(TRIES):
        _require(found, condition)
        if playbooks.delete_playbook(found.id, found.revision):
            names.drop(playbooks, found.group, found.name, found.id)
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


def count_by_group(playbooks: ports.Playbooks, groups: Sequence[str] | None) -> list[answers.Group]:
    """Which groups own playbooks, and how many, by name."""
    counts: dict[str, int] = {}
    for row in playbooks.playbook_heads():
        if groups is None or row.group in groups:
            counts[row.group] = counts.get(row.group, 0) + 1
    return [{"name": name, "count": counts[name]} for name in sorted(counts)]


def playbook_document(playbook: StoredPlaybook | PlaybookHead) -> answers.PlaybookRow:
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
