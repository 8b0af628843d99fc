"""Credentials of workers: added, listed, revoked, removed. Must not know HTTP, nor what is signed.

The private half never comes here: the operator's side makes it, and gives the public half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

from re_core import ports
from re_core.api import workers as documents
from re_core.errors import BadDocument, BadMessage, Conflict, NotFound, Problem
from re_core.rows import WorkerCredential
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.times import rfc3339
from re_core.wire.broker_rights import rights_of
from re_core.wire.places import read_place
from re_core.wire.proof import key_bytes

#: credentials of one engine, commands and environments of one
MOST, MOST_WORDS = 10_000, 50


class Wanted(NamedTuple):
    """A credential to add."""

    name: str
    #: public half of its key, in base64
    public: str
    commands: Sequence[str] = ()
    pool: str = ""
    environments: Sequence[str] = ()


class CredentialDesk(NamedTuple):
    """What the use cases need."""

    store: ports.CredentialRows
    clock: ports.Clock
    #: name of the topic exchange
    exchange: str = "re"


def add(desk: CredentialDesk, principal: Principal, wanted: Wanted) -> documents.NewWorkerCredential:
    """Store the public half. Raises NotAllowed, BadDocument, Conflict where the name is taken, or there are too many."""
    require(principal, Verb.ADMIN, None)
    row = WorkerCredential(
        wanted.name,
        wanted.public,
        tuple(dict.fromkeys(wanted.commands)),
        wanted.pool,
        tuple(dict.fromkeys(wanted.environments)),
        desk.clock.now(),
        principal.subject,
    )
    _check(row)
    if len(desk.store.credentials()) >= MOST:
        raise Conflict(f"there are {MOST} credentials, the most that the engine keeps; remove revoked ones")
    if not desk.store.add_credential(row):
        raise Conflict(
            f"there is a credential {row.name!r} with another key; take another name, or revoke and remove it first"
        )
    return {
        **_document(row),
        "rabbitmq": cast(documents.BrokerRights, rights_of(row, desk.exchange)._asdict()),
    }


def listed(desk: CredentialDesk, principal: Principal) -> list[documents.WorkerCredential]:
    """All, by name. Raises NotAllowed."""
    require(principal, Verb.ADMIN, None)
    return [_document(row) for row in desk.store.credentials()]


def revoke(desk: CredentialDesk, principal: Principal, name: str) -> documents.WorkerCredential:
    """Grant nothing for it from now on; twice is the same as once. Raises NotAllowed, NotFound.

    What it was granted before goes on, and its outcome counts.
    """
    require(principal, Verb.ADMIN, None)
    desk.store.revoke_credential(name, desk.clock.now())
    return _document(_found(desk, name))


def remove(desk: CredentialDesk, principal: Principal, name: str) -> None:
    """Delete a revoked one: no outcome of its steps counts from then on. Raises NotAllowed, NotFound, Conflict."""
    require(principal, Verb.ADMIN, None)
    if _found(desk, name).revoked is None:
        raise Conflict(f"the credential {name!r} is not revoked; revoke it first, and let its steps end")
    desk.store.remove_credential(name)


def _check(row: WorkerCredential) -> None:
    problems = []
    try:
        key_bytes(row.public)
    except BadMessage as error:
        problems.append(Problem("/public_key", str(error)))
    try:
        read_place({"pool": row.pool, "environments": list(row.environments)})
    except BadMessage as error:
        problems += error.problems
    if row.environments and not row.pool:
        problems.append(Problem("/pool", "a worker that is bound to environments needs a pool of its own"))
    if problems:
        raise BadDocument("", problems)


def _found(desk: CredentialDesk, name: str) -> WorkerCredential:
    found = desk.store.credential(name)
    if found is None:
        raise NotFound(f"there is no credential {name[:80]!r}")
    return found


def _document(row: WorkerCredential) -> documents.WorkerCredential:
    return {
        "name": row.name,
        "public_key": row.public,
        "commands": list(row.commands),
        "pool": row.pool or None,
        "environments": list(row.environments),
        "created": rfc3339(row.created),
        "user": row.user,
        "revoked": rfc3339(row.revoked),
    }
