"""Which artifacts may be deleted, and their deletion. Must not know how requests travel, nor any store.

An artifact stays while something may need it: a deployment that used it within the time that the settings say (`artifact_keep`),
so that a rollback finds it; a deployment that has not ended and used it or names it; the newest revision of a playbook of its group
that names it; a version of an app that was built to it, or is still built of it. What names it is any text of a plan, a document or
the dynamic values that is equal to its name: whatever parameter a worker gives it, and if now and then a text means something else,
an artifact stays that could have gone.

A step that begins between the look and the deletion raises the artifact's version, and the deletion does not succeed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from re_core import ports
from re_core.artifacts.names import NAME
from re_core.deployment.records import Accepted
from re_core.errors import Conflict, NotFound, Refused, StoreRefused, StoreUnavailable
from re_core.ports import ArtifactFilter, Store, read_state
from re_core.rows import Artifact, ArtifactUse
from re_core.usecases import artifacts
from re_core.usecases.apps.stored import Unreadable, needed_artifacts, states
from re_core.usecases.artifact_reading import label, verify
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.ids import first_id
from re_core.usecases.inspection import Finding
from re_core.usecases.times import rfc3339

#: milliseconds of a day
DAY = 24 * 3_600_000

#: milliseconds after the begin of a push after which what it left is swept
LEFT = DAY

#: times that a deletion is tried again when a step began meanwhile
_TRIES = 3

#: how the names of artifacts begin that releases of apps make
_OF_APPS = "dploy-"

#: artifacts, and uses, that are looked at together
_PAGE = 200


class Reason(NamedTuple):
    """Why an artifact stays."""

    text: str
    #: the deployment that needs it; empty: none does
    deployment: str = ""


class Names:
    """What the deployments that have not ended, and the playbooks, name; each is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: group -> text -> the deployment
        self._deployments: dict[str, dict[str, str]] | None = None
        #: group -> text -> the playbook
        self._playbooks: dict[str, dict[str, str]] = {}
        #: group -> name of an artifact -> the version of an app; and beginnings of names that may be an app's which cannot be read
        self._apps: dict[str, tuple[dict[str, str], dict[str, str]]] = {}

    def deployment(self, artifact: Artifact) -> str:
        """Id of one that has not ended and names it; empty where none does."""
        if self._deployments is None:
            self._deployments = {}
            for id in self._store.active():
                for record in self._accepted(id):
                    texts = self._deployments.setdefault(record.group, {})
                    texts.update(dict.fromkeys(_texts([record.plan, record.dynamic]), id))
        return self._deployments.get(artifact.group, {}).get(artifact.name, "")

    def playbook(self, artifact: Artifact) -> str:
        """Name of one of its group that names it; empty where none does."""
        if artifact.group not in self._playbooks:
            found = self._playbooks[artifact.group] = {}
            for head in self._store.playbook_heads(artifact.group):
                playbook = self._store.playbook(head.id)
                if playbook is not None:
                    found.update(dict.fromkeys(_texts(playbook.document), playbook.name))
        return self._playbooks[artifact.group].get(artifact.name, "")

    def app(self, artifact: Artifact) -> str:
        """The version of an app that needs it; empty where none does."""
        if not artifact.name.startswith(_OF_APPS):
            return ""
        if artifact.group not in self._apps:
            needed: dict[str, str] = {}
            unread: dict[str, str] = {}
            for row, state in states(self._store, artifact.group):
                if isinstance(state, Unreadable):
                    unread[f"{_OF_APPS}{row.name}-"] = f"the app {row.name}, whose journal cannot be read here,"
                else:
                    needed.update(needed_artifacts(state))
            self._apps[artifact.group] = needed, unread
        needed, unread = self._apps[artifact.group]
        of_unread = (who for begin, who in unread.items() if artifact.name.startswith(begin))
        return needed.get(artifact.name) or next(of_unread, "")

    def _accepted(self, id: str) -> list[Accepted]:
        try:
            entries = self._store.entries(id, limit=1)
        except StoreRefused:  # a journal that cannot be read goes on nowhere
            return []
        return [record for entry in entries for record in entry.records if isinstance(record, Accepted)]


def why_kept(store: Store, artifact: Artifact, now: int, keep: int, names: Names) -> Reason | None:
    """Why it must not be deleted now; None where it may. `keep`: milliseconds after its last use."""
    uses = store.uses(artifact.id)
    if artifact.used is not None and now - artifact.used < keep:
        by = uses[0].deployment if uses else ""
        until = rfc3339(artifact.used + keep)
        who = f"the deployment {by}" if by else "a deployment"
        return Reason(f"{who} used it at {rfc3339(artifact.used)}; it stays until {until} (RE_ARTIFACT_KEEP)", by)
    ended = {row.id for row in store.rows([use.deployment for use in uses]) if row.ended is not None}
    for use in uses:
        if use.deployment not in ended and _goes_on(store, use.deployment):
            return Reason(f"the deployment {use.deployment}, which has not ended, uses it", use.deployment)
    if by := names.deployment(artifact):
        return Reason(f"the deployment {by}, which has not ended, names it", by)
    if book := names.playbook(artifact):
        return Reason(f"the playbook {artifact.group[:100]}/{book[:200]} names it; change or delete the playbook first")
    if version := names.app(artifact):
        return Reason(f"{version} needs it; it stays as long as that version is kept")
    return None


def delete(store: Store, clock: ports.Clock, principal: Principal, name: str, group: str | None, keep: int) -> None:
    """Delete one. Raises NotFound, NotAllowed, and Refused, which names the deployment, where something needs it."""
    for _ in range(_TRIES):
        artifact = artifacts.get(store, principal, name, group, Verb.AUTHOR)
        if (reason := why_kept(store, artifact, clock.now(), keep, Names(store))) is not None:
            raise Refused(f"{label(artifact)} is not deleted: {reason.text}", reason.deployment)
        if store.delete_artifact(artifact):
            return
    raise Conflict(f"steps that use {name!r} begin at this very moment; try again")


def prune(
    store: Store,
    clock: ports.Clock,
    principal: Principal,
    group: str | None,
    older: int,
    keep: int,
    dry_run: bool,
) -> list[Artifact]:
    """Delete, or with `dry_run` find, what was pushed and last used `older` milliseconds ago, in a group or (None) in all.

    Raises NotAllowed.
    """
    require(principal, Verb.AUTHOR, group)
    groups = None if group is None else (group,)
    return list(deletions(store, groups, clock.now(), older, keep, dry_run))


def deletions(
    store: Store, groups: tuple[str, ...] | None, now: int, older: int, keep: int, dry_run: bool = False
) -> Iterator[Artifact]:
    """Delete what is old and not needed; each that was deleted, or would be."""
    cursor = ""
    while page := store.artifacts(ArtifactFilter(groups), _PAGE, cursor):
        names = Names(store)  # of now: deployments are accepted while it goes on
        for artifact in page:
            old = max(artifact.created, artifact.used or 0) < now - older
            free = old and why_kept(store, artifact, now, keep, names) is None
            if free and (dry_run or store.delete_artifact(artifact)):
                yield artifact
        cursor = page[-1].id


def tidy(store: Store, now: int, keep: int) -> int:
    """Drop what pushes that were cut off left, and uses that keep nothing any more; how many of both."""
    count = store.sweep_artifacts(first_id(now - LEFT))
    after: ArtifactUse | None = None
    while page := store.old_uses(now - keep, _PAGE, after):
        ended = {row.id for row in store.rows([use.deployment for use in page]) if row.ended is not None}
        over = [use for use in page if use.deployment in ended or not _goes_on(store, use.deployment)]
        store.drop_uses(over)
        count, after = count + len(over), page[-1]
    return count


def damage(store: Store) -> Iterator[Finding]:
    """Read every artifact; what is wrong with those that cannot be read as they were pushed."""
    cursor = ""
    while page := store.artifacts(ArtifactFilter(), _PAGE, cursor):
        for artifact in page:
            try:
                verify(store, artifact)
            except StoreUnavailable:
                raise
            except StoreRefused as error:
                yield Finding("artifact", "", str(error))
            except NotFound:  # it was deleted meanwhile
                continue
        cursor = page[-1].id


def _goes_on(store: Store, deployment: str) -> bool:
    """Whether it has not ended, by its journal. One that cannot be read goes on nowhere."""
    try:
        state = read_state(store, deployment)
    except StoreUnavailable:
        raise
    except StoreRefused:
        return False
    return state is not None and state.ended is None


def _texts(value: Any) -> Iterator[str]:
    """All strings in it that can be the name of an artifact."""
    if isinstance(value, str):
        if NAME.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
