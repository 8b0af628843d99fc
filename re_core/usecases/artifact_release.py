"""Gives an artifact to the worker that runs a step for its group. Must not know the bus.

The journal says whether the worker runs the step, and of which group the deployment is: no other group's artifacts are given. What is
read is kept as long as after any other use.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from re_core import ports
from re_core.artifacts.names import NAME
from re_core.deployment.senders import OPEN, Sender
from re_core.errors import ReleaseEngineError
from re_core.usecases.artifact_reading import content_of, missing
from re_core.usecases.artifacts import record_use
from re_core.usecases.granted import granted
from re_core.wire import artifact_messages as m
from re_core.wire.artifact_messages import ArtifactRequest
from re_core.wire.messages import parse_attempt

#: bytes of the files that one answer lists
MOST_LISTED = 256 * 1024


class _Store(ports.Journal, ports.Artifacts, Protocol):
    """The part of a store that this needs."""


class Shelf(NamedTuple):
    """What the use case needs."""

    store: _Store
    clock: ports.Clock


class Given(NamedTuple):
    """The body of an answer, and what it is."""

    kind: str
    body: bytes


def give(here: Shelf, request: ArtifactRequest, sender: Sender = OPEN) -> Given:
    """What was asked for, by `sender`. Raises NotReleased, NotFound, DamagedArtifact, BadMessage, StoreUnavailable."""
    state, _ = granted(here.store, request.attempt, request.token, request.worker, sender)
    group = state.accepted.group
    artifact = here.store.artifact(group, request.name) if NAME.fullmatch(request.name) else None
    if artifact is None:
        raise missing(group, request.name)
    if request.ask == "files" and request.number == 0:
        record_use(here.store, group, request.name, parse_attempt(request.attempt).deployment, here.clock.now())
    content = content_of(here.store, artifact)
    if request.ask == "piece":
        return Given(m.PIECE, _piece(here, content.holder, request.number))
    files = m.fitting(content.files[request.number :], MOST_LISTED)
    listing = m.Listing(artifact.digest, content.kind, content.size, artifact.created, len(content.files), files)
    return Given(m.LISTED, listing.body())


def _piece(here: Shelf, holder: str, number: int) -> bytes:
    found = here.store.piece(holder, number)
    if found is None:
        raise Lacking(f"piece {number} of the artifact is missing; push the same files again, which repairs it")
    return found


class Lacking(ReleaseEngineError):
    """Bytes of an artifact are not there."""

    reason = "damaged"
