"""The broadcast of a version: its lines, its statuses, and exactly one end. Derived from the journal and the output, never stored.

So every reader gets the same messages under the same numbers, on every process, after every crash. Must not know HTTP or sockets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from re_core import ports
from re_core.apps.broadcasts import TERMINAL, Broadcast, broadcast
from re_core.apps.state import State
from re_core.apps.values import OVER, Version
from re_core.errors import Conflict, NotFound
from re_core.ports import KeyRecord
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.ids import new_id

#: messages of one answer
MOST_MESSAGES = 500
#: milliseconds after the end of a version's job in which lines may still come; the end of the broadcast stands behind all of them
SETTLING = 5_000

#: who has an id whose request was refused, and heard so by who listens
_REFUSED = "-"


class Reader(Protocol):
    """Apps as their journals say."""

    def fresh(self, id: str) -> State:
        """The app with that id, now."""
        ...


class Store(ports.IdempotencyKeys, ports.Output, Protocol):
    """What is needed of a store."""


class Found(NamedTuple):
    """A version, and its app."""

    state: State
    version: Version


class Page(NamedTuple):
    """Some messages, oldest first, and whether the last of them is the end."""

    messages: list[Broadcast]
    over: bool


def claim(keys: ports.IdempotencyKeys, broadcast_id: str, app: str) -> None:
    """Hold an id of a broadcast to the app with that id: of two apps one has it. Raises Conflict.

    It stands for an id of its own, by whose age it is pruned.
    """
    if keys.claim(KeyRecord(_key(broadcast_id), new_id(), app)).digest != app:
        raise Conflict(f"the broadcast id {broadcast_id[:128]!r} is taken: make a new one for each request")


def refuse(keys: ports.IdempotencyKeys, broadcast_id: str) -> bool:
    """Let no request have the id any more; whether it is free until now, so that its end may be said: it is refused."""
    mine = new_id()
    standing = keys.claim(KeyRecord(_key(broadcast_id), mine, _REFUSED))
    return (standing.deployment, standing.digest) == (mine, _REFUSED)


def owner(keys: ports.IdempotencyKeys, broadcast_id: str) -> str:
    """Id of the app that has claimed the id of a broadcast, maybe for a version that there is not yet; empty: none has."""
    standing = keys.standing_claim(_key(broadcast_id))
    return "" if standing is None or standing.digest == _REFUSED else standing.digest


def find(store: Store, reader: Reader, broadcast_id: str) -> Found:
    """The version with that broadcast, of the app that has claimed the id: one journal is read at most. Raises NotFound."""
    app = owner(store, broadcast_id)
    state = reader.fresh(app) if app else None
    for version in state.versions.values() if state is not None else ():
        if state is not None and version.broadcast_id == broadcast_id:
            return Found(state, version)
    raise NotFound(f"there is no broadcast {broadcast_id[:128]!r}")


def page(store: ports.Output, principal: Principal, found: Found, after: int, limit: int, now: int) -> Page:
    """Its messages with a number above `after`. Raises NotAllowed."""
    require(principal, Verb.OUTPUT, found.state.group)
    return read(store, found, after, min(max(1, limit), MOST_MESSAGES), is_settled(found, now))


def read(store: ports.Output, found: Found, after: int, limit: int, settled: bool) -> Page:
    """As `page`, without a question. `settled`: no line comes any more, so that the end may follow the last one."""
    lines = store.output(found.version.job, after, limit) if found.version.job else []
    whole = settled and len(lines) < limit and not _more(store, found, lines)
    messages = broadcast(found.state, found.version.number, lines, after, whole)
    return Page(messages, after >= TERMINAL or any(message.seq == TERMINAL for message in messages))


def is_decided(found: Found) -> bool:
    """Whether the version is over, and so is its job, whose last step may still print."""
    return found.version.status in OVER and found.state.active != found.version.number


def is_settled(found: Found, now: int) -> bool:
    """Whether it has been decided for so long that no line comes any more."""
    return is_decided(found) and now - max(found.version.ended, _job_ended(found)) >= SETTLING


def _job_ended(found: Found) -> int:
    """When the job of a version that is decided had ended at the latest: versions are released one at a time."""
    state, version = found
    if version.job in state.closed:
        return state.closed[version.job]
    later = (job.first for job in state.jobs.values() if not job.run and job.version > version.number)
    return min(later, default=state.entry_at)


def _key(broadcast_id: str) -> str:
    return "dploy:" + hashlib.sha256(broadcast_id.encode()).hexdigest()


def _more(store: ports.Output, found: Found, lines: Iterable[Any]) -> bool:
    """Whether lines stand behind those of a page that was cut by its size."""
    last = max((line.number for line in lines), default=0)
    return bool(last) and store.last_line(found.version.job) > last
