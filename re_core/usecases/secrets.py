"""Secrets of the engine's own store: set, listed, removed, sealed again. Must not know HTTP, nor how a value is used.

A value stands in a sealed row, in the memory of who opens one, and nowhere else: no event, record or message of an error has one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from re_core import ports
from re_core.api import answers
from re_core.errors import BadDocument, BadSettings, Conflict, NotFound, Problem, Refused
from re_core.ports.peering import Seal
from re_core.rows import SecretRow
from re_core.secret_names import FORM, LEAST_VALUE, MOST_VALUE, environment_of, group_of, is_name
from re_core.usecases.authorization import Allowed, Principal, Verb, can, require
from re_core.usecases.times import rfc3339

#: secrets of one engine
MOST = 10_000

#: rows that are read at once
_PAGE = 1000

#: how often a value is set against another one that is set at the same time
_TRIES = 5


class _Store(ports.SecretRows, Protocol):
    """The part of a store that keeps them."""


class SecretDesk(NamedTuple):
    """What the use cases need."""

    store: _Store
    clock: ports.Clock
    #: None: this engine has no means to seal them
    seal: Seal | None

    def close(self, name: str, value: str) -> bytes:
        """The value, sealed. Raises Refused."""
        try:
            return self._sealing().close(value.encode(), _about(name))
        except BadSettings as error:
            raise Refused(str(error)) from None

    def open(self, row: SecretRow) -> str:
        """The value of a row. Raises Refused."""
        try:
            return self._sealing().open(row.sealed, _about(row.name)).decode()
        except BadSettings as error:
            raise Refused(str(error)) from None

    def _sealing(self) -> Seal:
        if self.seal is None:
            raise Refused("this engine cannot keep secrets: pip install release-engine[secrets]")
        return self.seal


def set_value(desk: SecretDesk, principal: Principal, name: str, value: str) -> answers.Secret:
    """Set or replace it. Raises NotAllowed, BadDocument, Refused, Conflict."""
    _require(principal, name)
    _check(value)
    for _ in range(_TRIES):
        before, now = desk.store.secret(name), desk.clock.now()
        if before is None and desk.store.count_secrets() >= MOST:
            raise Conflict(f"there are {MOST} secrets, the most that the engine keeps; remove some")
        version, created = (1, now) if before is None else (before.version + 1, before.created)
        row = SecretRow(name, desk.close(name, value), version, created, now, principal.subject)
        if desk.store.save_secret(row):
            return _document(row)
    raise Conflict(f"the secret {name} is being set by another request; try again")


def listed(desk: SecretDesk, principal: Principal) -> list[answers.Secret]:
    """All whose value the caller may set, without their values."""
    return [_document(row) for row in _all(desk) if _may(principal, row.name)]


def remove(desk: SecretDesk, principal: Principal, name: str) -> None:
    """Raises NotAllowed, NotFound."""
    _require(principal, name)
    if not desk.store.remove_secret(name):
        raise NotFound(f"there is no secret {name}")


def rotate(desk: SecretDesk, principal: Principal) -> answers.Rotated:
    """Seal all with the first key of the key file, so that the others can be taken out of it. Raises NotAllowed, Refused.

    Both keys stay valid until this is done. A value that is set meanwhile is sealed with the first key already.
    """
    require(principal, Verb.SECRET, None)
    count = 0
    for row in _all(desk):
        sealed = desk.close(row.name, desk.open(row))
        count += desk.store.save_secret(row._replace(sealed=sealed, version=row.version + 1))
    return {"sealed": count}


def _all(desk: SecretDesk) -> list[SecretRow]:
    found: list[SecretRow] = []
    while page := desk.store.secrets(found[-1].name if found else "", _PAGE):
        found += page
    return found


def _may(principal: Principal, name: str) -> bool:
    return isinstance(can(principal, Verb.SECRET, group_of(name), environment_of(name) or None), Allowed)


def _require(principal: Principal, name: str) -> None:
    if not is_name(name):
        require(principal, Verb.SECRET, None)
        raise BadDocument("", [Problem("/name", f"expected {FORM}, found {name[:80]!r}")])
    require(principal, Verb.SECRET, group_of(name), environment_of(name) or None)


def _check(value: str) -> None:
    """Nothing of the value is said."""
    size = len(value.encode("utf-8", "surrogatepass"))
    problem = ""
    if len(value.strip()) < LEAST_VALUE:
        problem = f"expected at least {LEAST_VALUE} characters: less cannot be masked in the output of steps"
    elif size > MOST_VALUE:
        problem = f"expected at most {MOST_VALUE} bytes, found {size}"
    elif "\0" in value or (not value.isprintable() and not _is_text(value)):
        problem = "expected text in UTF-8 without NUL"
    if problem:
        raise BadDocument("", [Problem("/value", problem)])


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _document(row: SecretRow) -> answers.Secret:
    return {
        "name": row.name,
        "group": group_of(row.name),
        "environment": environment_of(row.name) or None,
        "version": row.version,
        "created": rfc3339(row.created),
        "updated": rfc3339(row.updated),
        "user": row.user,
    }


def _about(name: str) -> str:
    """What the sealed bytes are bound to: those of another name do not open."""
    return f"secret/{name}"
