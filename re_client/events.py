"""A deployment's event stream, followed to its end over lost connections. Must not know who watches.

The engine's event ids say where a watcher is; asking for what comes after the last one loses and repeats nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from re_client.errors import ApiError, ClientError
from re_client.transport import Transport
from re_core.api.answers import Deployment, Line
from re_core.backoff import Backoff

#: seconds before a connection is tried again, doubling up to the second
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
#: connections in a row that fail, after which it is given up: about five minutes
TRIES = 60


class StateEvent(NamedTuple):
    """The deployment changed; this is all of it as it is now."""

    document: Deployment


class OutputEvent(NamedTuple):
    """A step printed a line."""

    line: Line


class GapEvent(NamedTuple):
    """The connection is lost and is being made again; no event is lost."""

    why: str


class SkippedEvent(NamedTuple):
    """More was printed than a watcher is sent: lines from `first` to `last` are left out here, and kept by the engine."""

    first: int
    last: int


Event = StateEvent | OutputEvent | GapEvent | SkippedEvent


def follow(transport: Transport, path: str, last: str, pause: Callable[[float], None]) -> Iterator[Event]:
    """What happens, until the engine says `end`. Raises at once where the first connection fails, later after TRIES."""
    heard, refused, backoff = False, 0, Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        why = "the engine closed the stream"
        try:
            with transport.stream(path, {"last-event-id": last} if last else {}) as stream:
                refused = 0
                for name, data, id in stream:
                    heard, last = True, id or last
                    backoff.reset()
                    if name == "end":
                        return
                    event = _read(name, data)
                    if event is not None:
                        yield event
        except ClientError as error:
            refused += 1
            if not (heard and error.transient) or refused >= TRIES:
                raise
            why = str(error)
        yield GapEvent(why)
        pause(backoff.next())


def _read(name: str, data: str) -> Event | None:
    """None for an event that this client does not know: a newer engine may send more."""
    if name not in ("state", "output", "skipped"):
        return None
    try:
        document = json.loads(data)
    except ValueError:
        raise ApiError(f"the event {name} is not JSON; is a release engine there?") from None
    if name == "skipped":
        return SkippedEvent(document["first"], document["last"])
    return StateEvent(document) if name == "state" else OutputEvent(document)
