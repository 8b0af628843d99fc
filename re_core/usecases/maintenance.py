"""What is old, of deployments, dead letters, keys, tokens, releases, pipelines and apps, and its deletion in small steps.

Must not know any store. What has not ended is never deleted: the list only proposes, the journal decides.
"""

from __future__ import annotations

from typing import NamedTuple

from re_core.deployment.records import never_began
from re_core.errors import StoreRefused
from re_core.ports import KeyRecord, Store
from re_core.rows import View
from re_core.usecases.apps.stored import drop_apps, old_apps
from re_core.usecases.cdpm.removed import drop_pipelines, old_pipelines
from re_core.usecases.ids import first_id, made_before
from re_core.usecases.inspection import read_journal

#: milliseconds of a day
DAY = 24 * 3600 * 1000

#: deployments, and dead letters, of one step: a fraction of a second
STEP = 50


#: journals, and keys, that are looked at together
_PAGE = 200

#: more than any store holds
_ALL = 2**31 - 2


class Pruned(NamedTuple):
    """How many were deleted."""

    deployments: int = 0
    dead_letters: int = 0
    #: idempotency keys of playbooks, tokens, notifications, and of deployments that never began
    keys: int = 0
    #: journals that only say that their deployment never began
    voids: int = 0
    #: tokens that expired
    tokens: int = 0
    #: rows of releases that are over; most go with their deployment, or by the daily look of a core
    releases: int = 0
    #: that were removed
    pipelines: int = 0
    #: that were destroyed, and of which no zone has anything
    apps: int = 0

    def plus(self, more: Pruned) -> Pruned:
        return Pruned(*(mine + others for mine, others in zip(self, more, strict=True)))


def would_prune(store: Store, before: int) -> Pruned:
    """How many ended, or were stored as dead letters, or were made and never begun, before that time."""
    voids, keys = len(_old_voids(store, before, _ALL)), len(_old_keys(store, before, _ALL))
    over, letters = len(store.ended(before, _ALL)), len(store.old_dead_letters(before, _ALL))
    tokens, pipelines = len(_old_tokens(store, before)), len(old_pipelines(store, before, _ALL))
    apps = len(old_apps(store, before, _ALL))
    return Pruned(over, letters, keys, voids, tokens, store.old_releases(before), pipelines, apps)


def prune_some(store: Store, before: int, limit: int = STEP) -> Pruned:
    """One step: delete up to `limit` deployments that ended before that time, and dead letters; all zero at the end.

    Of a deployment everything goes: journal, output, idempotency keys, row of the list. When no deployment is left, what
    belongs to none follows: keys, journals of ids under which nothing began, tokens that expired, releases that are over,
    pipelines that were removed, and apps that were destroyed.
    """
    over: list[str] = []
    while not over and (proposed := store.ended(before, limit)):
        over, behind = _sorted(store, proposed, before)
        _correct(store, behind)
        if not behind:
            break
    store.forget(over)
    letters = store.old_dead_letters(before, limit)
    for letter in letters:
        store.drop_dead_letter(letter)
    if over or letters:
        return Pruned(len(over), len(letters))
    voids = _old_voids(store, before, limit)
    store.forget(voids)
    keys = _old_keys(store, before, limit)
    store.drop_claims(keys)
    tokens = _old_tokens(store, before)
    for digest in tokens:
        store.revoke_token(digest)
    pipelines = old_pipelines(store, before, limit)
    drop_pipelines(store, pipelines)
    apps = old_apps(store, before, limit)
    drop_apps(store, apps)
    releases = store.forget_releases(before, limit)
    return Pruned(0, 0, len(keys), len(voids), len(tokens), releases, len(pipelines), len(apps))


def _old_tokens(store: Store, before: int) -> list[str]:
    """Digests of tokens that expired before that time."""
    return [one.digest for one in store.tokens() if one.expires is not None and one.expires < before]


def _old_voids(store: Store, before: int, limit: int) -> list[str]:
    """Ids made before that time under which nothing began: no row of the list leads to their journals.

    What is older is rare, since it was deleted, but for what has not ended.
    """
    first, found = first_id(before), list[str]()
    cursor: str | None = ""
    while cursor is not None:
        page = store.journals(_PAGE, cursor)
        rows = {row.id for row in store.rows(page.ids)}
        bare = [id for id in page.ids if id not in rows and made_before(id, first)]
        found += [id for id in bare if _is_void(store, id)]
        beyond = bool(page.ids) and page.ids[-1] >= first
        cursor = None if len(found) >= limit or beyond else page.next
    return found[:limit]


def _is_void(store: Store, deployment: str) -> bool:
    """Whether nothing began under the id. A journal that cannot be read is not judged here."""
    try:
        return never_began(store.entries(deployment, limit=1))
    except StoreRefused:
        return False


def _old_keys(store: Store, before: int, limit: int) -> list[KeyRecord]:
    """Idempotency keys that stand for something made before that time which is no deployment that is still there."""
    first, found = first_id(before), list[KeyRecord]()
    after: KeyRecord | None = None
    while len(found) < limit and (page := store.old_claims(first, _PAGE, after)):
        rows = {row.id for row in store.rows(list({one.deployment for one in page}))}
        bare = [one for one in page if one.deployment not in rows and made_before(one.deployment, first)]
        found += [one for one in bare if not _has_journal(store, one.deployment)]
        after = page[-1]
    return found[:limit]


def _has_journal(store: Store, deployment: str) -> bool:
    try:
        return bool(store.entries(deployment, limit=1))
    except StoreRefused:
        return True


def _sorted(store: Store, proposed: list[str], before: int) -> tuple[list[str], list[View]]:
    """Those that are over by their journals too, and right rows of those that are not.

    A journal that cannot be read is what a prune that was cut off has left; one of a newer engine is left to that.
    """
    over: list[str] = []
    behind: list[View] = []
    for deployment in proposed:
        read = read_journal(store, deployment, None, before)
        if read is None or (read.expected is None and not read.newer):
            over.append(deployment)
        elif read.expected is not None:
            ended = read.expected.ended
            if ended is not None and ended < before:
                over.append(deployment)
            else:
                behind.append(read.expected)
    return over, behind


def _correct(store: Store, rows: list[View]) -> None:
    """A write alone would not replace a row that is ahead of its journal."""
    store.drop_views([row.id for row in rows])
    store.write_views(rows)
