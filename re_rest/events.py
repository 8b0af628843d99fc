"""A deployment as server-sent events. Must not know how often anything is read.

Every event's id is `<entry>.<line>`, the viewer's whole position, so that `Last-Event-ID` resumes exactly there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import cast

from flask import Blueprint, Response, current_app, request

from re_core import strict_json
from re_core.errors import CallerError, TransientError
from re_core.usecases import describe
from re_rest.asking import LARGEST
from re_rest.deployments import visible
from re_rest.streams import Follower, Moment, Position, Streams

blueprint = Blueprint("events", __name__, url_prefix="/api/v1/deployments")

#: where the application keeps its streams
EXTENSION = "release_engine_streams"

#: seconds of silence after which a comment shows that the line is alive
PING = 15.0

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@blueprint.get("/<id>/events")
def watch(id: str) -> Response:
    visible(id)
    begin = _position(request.headers.get("Last-Event-ID", ""))
    streams = cast(Streams, current_app.extensions[EXTENSION])
    streams.sit()
    response = Response(stream(streams, id, begin), headers=_HEADERS, content_type="text/event-stream; charset=utf-8")
    response.call_on_close(streams.leave)
    return response


def stream(streams: Streams, id: str, seen: Position, ping: float = PING) -> Generator[bytes, None, None]:
    """The events after `seen`, until the deployment is over, its viewer gone, or the server stopping."""
    with streams.watch(id) as follower:
        while not follower.closed:
            try:
                moment = follower.wait(seen, ping)
            except TransientError as error:
                # the viewer comes again by itself, and goes on where it was
                yield f": {error}\n\n".encode()
                return
            if moment is None:
                yield b": ping\n\n"
                continue
            for at, frame in _news(follower, moment, seen):
                seen = at
                yield frame
            seen = seen.joined(moment.at)
            if moment.over:
                yield _frame(seen, "end", strict_json.dumps({"id": id, "status": moment.state.status}))
                return


def _news(follower: Follower, moment: Moment, seen: Position) -> Iterator[tuple[Position, bytes]]:
    """What is new for a viewer at `seen`, each with the position after it."""
    # who knows nothing yet is told first what all of it is about
    pending = moment.at.entry > seen.entry
    first = pending and not seen.entry
    for line in follower.lines(seen.line, moment.at.line):
        if pending and (first or line.number > moment.before):
            seen, pending = seen._replace(entry=moment.at.entry), False
            yield seen, _frame(seen, "state", moment.document)
        seen = seen._replace(line=line.number)
        yield seen, _frame(seen, "output", strict_json.dumps(describe.line_document(line, moment.state.plan)))
    if pending:
        seen = seen._replace(entry=moment.at.entry)
        yield seen, _frame(seen, "state", moment.document)


def _frame(at: Position, event: str, data: str) -> bytes:
    return f"id: {at.entry}.{at.line}\nevent: {event}\ndata: {data}\n\n".encode()


def _position(text: str) -> Position:
    """Raises CallerError."""
    if not text:
        return Position()
    parts = text.split(".")
    if len(parts) == 2 and all(part.isascii() and part.isdigit() and len(part) < 17 for part in parts):
        entry, line = (int(part) for part in parts)
        if max(entry, line) <= LARGEST:
            return Position(entry, line)
    raise CallerError(f"Last-Event-ID: expected <entry>.<line>, found {text[:40]!r}")
