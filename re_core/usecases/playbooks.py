"""Store, read, replace and delete playbooks. Must not know how they travel, nor whether their steps make sense (checking)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from re_core import ports
from re_core.api import answers
from re_core.errors import CallerError, Conflict, NotFound, PreconditionFailed, UnknownPlaybook
from re_core.rows import PlaybookHead, StoredPlaybook
from re_core.usecases import keys, names
from re_core.usecases.authorization import Allowed, Principal, Verb, can, groups_of, require
from re_core.usecases.ids import plausible
from re_core.usecases.names import Shelf
from re_core.usecases.times import rfc3339
from re_core.wire import strict_json

#: how often a write without a condition is tried again when another caller was faster
TRIES = 10

#: whether a playbook's etag is one that the caller accepts
Condition = Callable[[str], bool]


#: group, name, id
_TAKEN = "the playbook {}/{} exists already, with the id {}: replace it, or use apply"


class _Store(Shelf, ports.IdempotencyKeys, Protocol):
    """The part of a store that creating a playbook needs."""


class Applied(NamedTuple):
    """What became of a playbook that was applied."""

    done: Literal["created", "updated", "unchanged"]
    playbook: StoredPlaybook


class PlaybookPage(NamedTuple):
    """Some playbooks, newest first, and where to go on."""

    rows: Sequence[PlaybookHead]
    next: str | None


def create(
    playbooks: _Store, clock: ports.Clock, principal: Principal, id: str, document: Mapping[str, Any], key: str = ""
) -> StoredPlaybook:
    """Store the first revision, once for an idempotency key (empty: none); where it is there already, that one is the answer.

    `id` is the playbook's, unless the key stands for one. Raises NotAllowed, KeyReused, Conflict where another playbook has its group
    and name.
    """
    require(principal, Verb.AUTHOR, document["group"])
    id, _ = keys.claim(playbooks, principal.subject, "playbooks", key, document, id)
    made = _first(clock, id, document, principal.subject)
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
    playbooks: ports.Playbooks, clock: ports.Clock, principal: Principal, id: str, document: Mapping[str, Any]
) -> StoredPlaybook:
    """As `create`, whether its name is taken or not: as in 2014. Raises NotAllowed."""
    require(principal, Verb.AUTHOR, document["group"])
    made = _first(clock, id, document, principal.subject)
    return made if playbooks.save_playbook(made) else playbooks.playbook(id, 1) or made


def apply(
    playbooks: Shelf,
    clock: ports.Clock,
    principal: Principal,
    id: str,
    document: Mapping[str, Any],
    condition: Condition | None,
) -> Applied:
    """Make this the newest revision of the playbook that has its group and name, or its first one, under `id`.

    It may come any number of times, also at once. Raises NotAllowed, PreconditionFailed, and Conflict where several have that name.
    """
    require(principal, Verb.AUTHOR, document["group"])
    for _ in range(TRIES):
        head = names.named(playbooks, document["group"], document["name"])
        found = playbooks.playbook(head.id) if head is not None else None
        if found is not None:
            _require(found, condition)
            if strict_json.equal(found.document, document):
                return Applied("unchanged", found)
            try:
                return Applied("updated", replace(playbooks, clock, principal, found, document, condition))
            except NotFound:  # it was deleted meanwhile
                continue
        if condition is not None:
            raise PreconditionFailed("there is no playbook of that name")
        standing = names.take(playbooks, document["group"], document["name"], id, clock.now())
        made = _first(clock, standing, document, principal.subject)
        if playbooks.save_playbook(made):
            return Applied("created", made)
    raise Conflict("other requests keep storing this playbook; try again")


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


def get(playbooks: ports.Playbooks, principal: Principal, id: str, revision: int | None = None) -> StoredPlaybook:
    """The newest revision, or that one. Raises NotFound, NotAllowed."""
    found = _find(playbooks, id, revision)
    require(principal, Verb.SEE, found.group)
    return found


def get_in_group(playbooks: ports.Playbooks, principal: Principal, group: str, id: str) -> StoredPlaybook:
    """The newest revision of a playbook of this group. Raises NotAllowed before it looks, NotFound also for one of another group."""
    require(principal, Verb.SEE, group)
    found = _find(playbooks, id)
    if found.group != group:
        raise UnknownPlaybook
    return found


def _find(playbooks: ports.Playbooks, id: str, revision: int | None = None) -> StoredPlaybook:
    found = playbooks.playbook(id, revision) if plausible(id) else None
    if found is None:
        which = "" if revision is None else f" in revision {revision}"
        raise NotFound(f"there is no playbook {id[:60]!r}{which}")
    return found


def revisions(playbooks: ports.Playbooks, principal: Principal, id: str) -> list[StoredPlaybook]:
    """The revisions that the caller sees, newest first, those of a deleted playbook too. Raises NotFound."""
    found = playbooks.revisions(id) if plausible(id) else []
    if not found:
        raise NotFound(f"there is no playbook {id[:60]!r}")
    seen = [one for one in found if isinstance(can(principal, Verb.SEE, one.group), Allowed)]
    if not seen:
        raise NotFound(f"there is no playbook {id[:60]!r} in your groups")
    return seen


def replace(
    playbooks: Shelf,
    clock: ports.Clock,
    principal: Principal,
    found: StoredPlaybook,
    document: Mapping[str, Any],
    condition: Condition | None,
) -> StoredPlaybook:
    """Store the next revision of `found`. Raises NotAllowed, PreconditionFailed, NotFound, Conflict (another one has its new name, too).

    It takes the right in the group that it had, and in that which it gets.
    """
    require(principal, Verb.AUTHOR, found.group)
    require(principal, Verb.AUTHOR, document["group"])
    for _ in range(TRIES):
        _require(found, condition)
        made = found._replace(
            group=document["group"],
            name=document["name"],
            revision=found.revision + 1,
            document=document,
            updated=clock.now(),
            user=principal.subject,
        )
        renamed = (made.group, made.name) != (found.group, found.name)
        if renamed and (taken := _other(playbooks, made)):
            raise Conflict(_TAKEN.format(made.group, made.name, taken))
        if playbooks.save_playbook(made):
            return made
        found = _find(playbooks, found.id)
    raise Conflict("other requests keep replacing this playbook; try again")


def delete(playbooks: Shelf, principal: Principal, found: StoredPlaybook, condition: Condition | None) -> None:
    """Delete it, and the lock of its name; its revisions stay. Raises NotAllowed, PreconditionFailed, NotFound, Conflict."""
    require(principal, Verb.AUTHOR, found.group)
    for _ in range(TRIES):
        _require(found, condition)
        if playbooks.delete_playbook(found.id, found.revision):
            names.drop(playbooks, found.group, found.name, found.id)
            return
        found = _find(playbooks, found.id)
    raise Conflict("other requests keep replacing this playbook; try again")


def listed(
    playbooks: ports.Playbooks,
    principal: Principal,
    group: str | None,
    name: str | None,
    limit: int | None = None,
    cursor: str = "",
) -> PlaybookPage:
    """Newest first, of that group or (None) of all that the caller sees. Raises NotAllowed, CallerError for a bad cursor."""
    groups = groups_of(principal, Verb.SEE, group)
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


def whole(playbooks: ports.Playbooks, principal: Principal, group: str | None) -> list[StoredPlaybook]:
    """Newest first, of that group or (None) of all that the caller sees, with their documents. Raises NotAllowed."""
    heads = listed(playbooks, principal, group, None).rows
    found = (playbooks.playbook(head.id, head.revision) for head in heads)
    return [one for one in found if one is not None]


def count_by_group(playbooks: ports.Playbooks, principal: Principal) -> list[answers.Group]:
    """Which groups own playbooks, and how many, by name: those that the caller sees."""
    groups = groups_of(principal, Verb.SEE)
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
        raise PreconditionFailed(f"the playbook has changed: its revision is now {found.revision}; read it again")


def _place(row: PlaybookHead) -> tuple[int, str]:
    return row.created, row.id


def _parse_cursor(cursor: str) -> tuple[int, str]:
    created, _, id = cursor.partition(".")
    if not (created.isascii() and created.isdigit() and len(created) < 20 and id):
        raise CallerError("cursor: not a cursor of this list")
    return int(created), id
