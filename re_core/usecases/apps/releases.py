"""Releases of an app: pushed, rolled back, tried again, shown. Must not know HTTP, nor what a build does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from re_core.api import apps as api
from re_core.apps import events as e
from re_core.apps.names import BROADCAST_ID, COMMIT
from re_core.apps.releasing import MOST_NOTE
from re_core.apps.state import State
from re_core.apps.values import Kind, Status, Version
from re_core.artifacts import content as forms
from re_core.errors import CallerError, Conflict, NotFound
from re_core.rows import AppRow
from re_core.usecases import artifact_pushing
from re_core.usecases.apps.apps import Desk
from re_core.usecases.apps.asking import Said
from re_core.usecases.apps.broadcasts import claim
from re_core.usecases.apps.configs import require_secrets
from re_core.usecases.apps.stored import ARTIFACT, CREDENTIALS
from re_core.usecases.artifact_pushing import Bounds, Wanted
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.ids import new_id
from re_core.usecases.times import rfc3339

#: releases that are listed, newest first
MOST_LISTED = 100


class Push(NamedTuple):
    """What a push says of itself."""

    commit: str = ""
    note: str = ""
    #: the caller's own; a repetition is answered as the first
    broadcast_id: str = ""


def push(
    desk: Desk,
    principal: Principal,
    found: AppRow,
    said: Push,
    pieces: Iterable[bytes],
    bounds: Bounds,
    source: str = "",
) -> Said:
    """Store a tar.gz that comes in pieces, and queue the release that is built of it. A repetition sends nothing twice.

    Raises NotAllowed, CallerError, BadDocument and TooLarge for the archive, Conflict, BusUnavailable, NoAnswer.
    """
    require_secrets(principal, found.group)
    said = _checked(said)
    known = next((one for one in desk.state(found).versions.values() if one.broadcast_id == said.broadcast_id), None)
    if known is not None:
        return Said(True, version=known.number, broadcast_id=known.broadcast_id)
    claim(desk.store, said.broadcast_id, found.id)
    name = source_name(found, said.broadcast_id)
    wanted = Wanted(found.group, name, forms.ARCHIVE, {})
    artifact_pushing.push_archive(desk.store, desk.clock, principal, wanted, pieces, bounds)
    return build(desk, principal, found, f"{ARTIFACT}{found.group}/{name}", said, source)


def build(desk: Desk, principal: Principal, found: AppRow, archive: str, said: Push, source: str = "") -> Said:
    """Queue the release that is built of the archive at that address. Raises NotAllowed, CallerError, Conflict, NoAnswer."""
    require_secrets(principal, found.group)
    said = _checked(said)
    _check_address(archive)
    claim(desk.store, said.broadcast_id, found.id)
    user = principal.subject
    return desk.say(found, e.Build(archive, said.commit, said.broadcast_id, said.note, user, source))


def rollback(
    desk: Desk,
    principal: Principal,
    found: AppRow,
    number: int = 0,
    note: str = "",
    broadcast_id: str = "",
    source: str = "",
) -> Said:
    """Queue a release with the payload and the config of an earlier one; 0: the last one that differs from what runs.

    Raises NotAllowed, CallerError, NotFound, Conflict where it cannot come back, NoAnswer.
    """
    require(principal, Verb.DEPLOY, found.group)
    said = _checked(Push("", note, broadcast_id))
    claim(desk.store, said.broadcast_id, found.id)
    return desk.say(found, e.Rollback(number, said.note, said.broadcast_id, principal.subject, source))


def retry(
    desk: Desk, principal: Principal, found: AppRow, number: int, broadcast_id: str = "", source: str = ""
) -> Said:
    """Queue once more what failed, under a new number. Raises NotAllowed, NotFound, Conflict, NoAnswer."""
    require(principal, Verb.DEPLOY, found.group)
    state = desk.state(found)
    failed = _version(state, found, number)
    if failed.status is not Status.FAILED:
        raise Conflict(f"v{number} {_how(failed.status)}; only a release that failed is tried again")
    _require_archive(desk, found, failed)
    said = _checked(Push(failed.commit, f"Retry v{number}", broadcast_id))
    claim(desk.store, said.broadcast_id, found.id)
    user = principal.subject
    if failed.kind is Kind.ROLLBACK:
        return desk.say(found, e.Rollback(failed.of, said.note, said.broadcast_id, user, source))
    if failed.kind is Kind.CONFIG:
        raise Conflict(f"v{number} changed the config, which is as it was before: set it again")
    _check_address(failed.archive)
    return desk.say(found, e.Build(failed.archive, failed.commit, said.broadcast_id, said.note, user, source))


def _check_address(archive: str) -> None:
    """Raises CallerError for one with a password, which would stand in the app's journal for ever."""
    if CREDENTIALS.match(archive):
        raise CallerError(
            "the archive's address has a user or a password in front of the host, and addresses are kept and shown; "
            "name one without, or push the archive with rectl apps push"
        )


def _require_archive(desk: Desk, found: AppRow, failed: Version) -> None:
    """Raises Conflict where what was pushed is not kept any more, so that it would fail again."""
    prefix = f"{ARTIFACT}{found.group}/"
    if failed.kind is not Kind.BUILD or not failed.archive.startswith(prefix):
        return
    if desk.store.artifact(found.group, failed.archive.removeprefix(prefix)) is None:
        raise Conflict(f"the archive of v{failed.number} is not kept any more: push it again")


def listed(desk: Desk, principal: Principal, found: AppRow) -> list[api.AppReleaseRow]:
    """The newest MOST_LISTED, newest first. Raises NotAllowed."""
    require(principal, Verb.SEE, found.group)
    state = desk.state(found)
    return [_row(state, state.versions[number]) for number in sorted(state.versions, reverse=True)[:MOST_LISTED]]


def one(desk: Desk, principal: Principal, found: AppRow, number: int) -> api.AppRelease:
    """Release `number`. Raises NotAllowed, NotFound."""
    require(principal, Verb.SEE, found.group)
    state = desk.state(found)
    version = _version(state, found, number)
    payload = version.payload
    return {
        **_row(state, version),
        "zones": list(version.zones),
        "ready": list(version.ready),
        "switched": list(version.switched),
        "config": list(version.config_names),
        "formation": dict(version.formation),
        "processes": {} if payload is None else dict(payload.processes),
        "payload": None
        if payload is None
        else {"digest": payload.digest, "size": payload.size, "python": payload.python},
    }


def source_name(found: AppRow, broadcast_id: str) -> str:
    """Of the artifact that a pushed archive is until its release is over."""
    return f"dploy-{found.name}-source-{hashlib.sha256(broadcast_id.encode()).hexdigest()[:16]}"


def asked_document(said: Said, names: list[str] | None = None) -> api.ReleaseAsked:
    """What a request has led to."""
    document: api.ReleaseAsked = {"release": said.version or None, "broadcast_id": said.broadcast_id or None}
    if names is not None:
        document["names"] = names
    return document


def _checked(said: Push) -> Push:
    """With a broadcast id in any case. Raises CallerError."""
    if not COMMIT.fullmatch(said.commit):
        raise CallerError(f"commit: expected up to 64 hexadecimal digits, found {said.commit[:80]!r}")
    if len(said.note) > MOST_NOTE:
        raise CallerError(f"note: expected at most {MOST_NOTE} characters, found {len(said.note)}")
    broadcast_id = said.broadcast_id or new_id()
    if not BROADCAST_ID.fullmatch(broadcast_id):
        raise CallerError(f"broadcast_id: expected 1 to 128 letters, digits and :._-, found {broadcast_id[:80]!r}")
    return said._replace(broadcast_id=broadcast_id)


def _version(state: State, found: AppRow, number: int) -> Version:
    version = state.versions.get(number)
    if version is None:
        status = state.old.get(number)
        kept = f"; of v{number} it is only known that it {_how(Status(status))}" if status else ""
        raise NotFound(f"release {number} of {found.name} not found{kept}")
    return version


def _how(status: Status) -> str:
    return str(status) if status in (Status.FAILED, Status.SUCCEEDED) else f"is {status}"


def _row(state: State, one: Version) -> api.AppReleaseRow:
    return {
        "release": one.number,
        "status": one.status,
        "current": one.number == state.current,
        "kind": one.kind,
        "commit": one.commit,
        "note": one.note,
        "user": one.who,
        "created": rfc3339(one.at),
        "ended": rfc3339(one.ended or None),
        "why": one.why,
        "stage": one.stage,
        "of": one.of or None,
        "deployment": one.job or None,
        "broadcast_id": one.broadcast_id,
    }
