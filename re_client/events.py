"""Event streams, of one deployment or of all, followed over lost connections. Must not know their readers.

The engine's event ids say where a watcher is; asking for what comes after the last one loses and repeats nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from re_client.errors import ApiError, ClientError
from re_client.transport import Transport
from re_core.api.answers import Deployment, Line
from re_core.api.apps import AppLogLine
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


class FeedEvent(NamedTuple):
    """Something happened to a deployment: a CloudEvents document, and its place in the feed."""

    id: str
    document: dict[str, Any]


class ResetEvent(NamedTuple):
    """What happened between two places of the feed is not kept any more; what follows begins behind `now`."""

    last: str
    now: str


FeedItem = FeedEvent | ResetEvent | GapEvent


class BroadcastEvent(NamedTuple):
    """What a release of an app says: a BroadcastMessage."""

    document: dict[str, Any]


class LogEvent(NamedTuple):
    """A line of the log of an app."""

    line: AppLogLine


_Read = TypeVar("_Read")


def follow(transport: Transport, path: str, last: str, pause: Callable[[float], None]) -> Iterator[Event]:
    """What happens, until the engine says `end`. Raises at once where the first connection fails, later after TRIES."""
    return _follow(transport, path, last, pause, _read)


def follow_feed(transport: Transport, path: str, last: str, pause: Callable[[float], None]) -> Iterator[FeedItem]:
    """What happens to deployments, without an end. Raises as `follow` does."""
    return _follow(transport, path, last, pause, _read_feed)


def follow_broadcast(
    transport: Transport, path: str, pause: Callable[[float], None]
) -> Iterator[BroadcastEvent | GapEvent]:
    """What a release of an app says, to its end. Raises as `follow` does."""
    return _follow(transport, path, "", pause, _read_broadcast)


def follow_log(
    transport: Transport, path: str, last: str, pause: Callable[[float], None]
) -> Iterator[LogEvent | GapEvent]:
    """The lines of an app, without an end. Raises as `follow` does."""
    return _follow(transport, path, last, pause, _read_log)


def _follow(
    transport: Transport,
    path: str,
    last: str,
    pause: Callable[[float], None],
    read: Callable[[str, str, str], _Read | None],
) -> Iterator[_Read | GapEvent]:
    connected, refused, backoff = False, 0, Backoff(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        why = "the engine closed the stream"
        try:
            with transport.stream(path, {"last-event-id": last} if last else {}) as stream:
                refused = 0
                for name, data, id in stream:
                    connected, last = True, id or last
                    backoff.reset()
                    if name == "end":
                        return
                    event = read(name, data, id)
                    if event is not None:
                        yield event
        except ClientError as error:
            refused += 1
            if not (connected and error.transient) or refused >= TRIES:
                raise
            why = str(error)
        yield GapEvent(why)
        pause(backoff.next())


def _read(name: str, data: str, id: str) -> Event | None:
    """None for an event that this client does not know: a newer engine may send more."""
    if name not in ("state", "output", "skipped"):
        return None
    document = _document(name, data)
    if name == "skipped":
        return SkippedEvent(document["first"], document["last"])
    return StateEvent(document) if name == "state" else OutputEvent(document)


def _read_feed(name: str, data: str, id: str) -> FeedEvent | ResetEvent | None:
    """As `_read`."""
    if name not in ("message", "reset"):
        return None
    document = _document(name, data)
    return ResetEvent(document["last"], document["now"]) if name == "reset" else FeedEvent(id, document)


def _read_broadcast(name: str, data: str, id: str) -> BroadcastEvent | None:
    """As `_read`."""
    return BroadcastEvent(_document(name, data)) if name == "message" else None


def _read_log(name: str, data: str, id: str) -> LogEvent | None:
    """As `_read`."""
    return LogEvent(_document(name, data)) if name == "line" else None


def _document(name: str, data: str) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise ApiError(f"the event {name} is not JSON; is it a release engine?") from None
