"""A deployment as server-sent events. Must not know how often anything is read.

Every event's id is `<entry>.<line>`, the viewer's whole position, so that `Last-Event-ID` resumes exactly there. A viewer
of states alone is beyond every line; its ids say line 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import cast

from flask import Blueprint, Response, current_app, request

from re_core.errors import CallerError, NotAuthenticated, TransientError
from re_core.model import DeploymentStatus
from re_core.usecases import describe
from re_core.usecases.authorization import Verb
from re_core.wire import strict_json
from re_rest import auth, request_parsing
from re_rest.deployments import visible
from re_rest.request_parsing import LARGEST
from re_rest.streams import FAR, RECENT, Follower, Moment, Position, Streams

blueprint = Blueprint("events", __name__, url_prefix="/api/v1/deployments")

#: where the application keeps its streams
EXTENSION = "release_engine_streams"

#: seconds of silence after which a comment shows that the line is alive
PING = 15.0

#: bytes of events that are written at once
PIECE = 64 * 1024

#: of every stream: nothing between here and the client may keep it
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@blueprint.get("/<id>/events")
def watch(id: str) -> Response:
    visible(id, Verb.OUTPUT)
    begin = _position(request.headers.get("Last-Event-ID", ""))
    lines = request_parsing.yes_or_no("output", True)
    streams = cast(Streams, current_app.extensions[EXTENSION])
    streams.sit()
    pieces = stream(streams, id, begin, lines=lines, check=auth.standing().check)
    return streamed(pieces, streams.leave)


def streamed(pieces: Iterator[bytes], on_close: Callable[[], None]) -> Response:
    """Server-sent events as a response; `on_close` is called when its client has left."""
    response = Response(pieces, headers=HEADERS, content_type="text/event-stream; charset=utf-8")
    response.call_on_close(on_close)
    return response


def stream(
    streams: Streams,
    id: str,
    seen: Position,
    ping: float = PING,
    lines: bool = True,
    check: Callable[[], None] = lambda: None,
) -> Generator[bytes, None, None]:
    """The events after `seen`, until the deployment is over, its viewer has left, or the server stops; some to a piece.

    `check` is asked again and again, and raises NotAuthenticated when the viewer may not see more.
    """
    seen = seen if lines else seen._replace(line=LARGEST)
    said = time.monotonic()
    with streams.watch(id, lines) as follower:
        while not follower.closed:
            try:
                check()
                moment = follower.wait(seen, min(ping, auth.BELIEVED))
                if moment is None:
                    if time.monotonic() >= said + ping:
                        yield b": ping\n\n"
                        said = time.monotonic()
                    continue
                for piece in _pieces(_frames_of(follower, moment, seen)):
                    check()
                    yield piece
            except (TransientError, NotAuthenticated) as error:
                # the viewer comes again by itself, and goes on where it was
                yield f": {error}\n\n".encode()
                return
            seen, said = seen.joined(moment.at), time.monotonic()
            # what has completed cannot go on again, and a viewer without lines need not wait for the last ones
            if moment.over or (not lines and moment.state.status is DeploymentStatus.COMPLETED):
                yield _frame(seen, "end", strict_json.dumps({"id": id, "status": moment.state.status}))
                return


def _pieces(frames: Iterator[bytes]) -> Iterator[bytes]:
    """As few as may be: each costs a call of the kernel, and its client a read."""
    held: list[bytes] = []
    size = 0
    for frame in frames:
        held.append(frame)
        size += len(frame)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _frames_of(follower: Follower, moment: Moment, seen: Position) -> Iterator[bytes]:
    """What is new for a viewer at `seen`."""
    # a viewer at the start gets first what all of it is about
    pending = moment.at.entry > seen.entry
    if pending and not seen.entry:
        seen, pending = seen._replace(entry=moment.at.entry), False
        yield _frame(seen, "state", moment.document)
    if moment.at.line - seen.line > FAR:
        skipped = {"first": seen.line + 1, "last": moment.at.line - RECENT}
        seen = seen._replace(line=skipped["last"])
        yield _frame(seen, "skipped", strict_json.dumps(skipped))
    for line in follower.lines(seen.line, moment.at.line):
        if pending and line.number > moment.before:
            seen, pending = seen._replace(entry=moment.at.entry), False
            yield _frame(seen, "state", moment.document)
        seen = seen._replace(line=line.number)
        yield _frame(seen, "output", strict_json.dumps(describe.line_document(line, moment.state.plan)))
    if pending:
        yield _frame(seen._replace(entry=moment.at.entry), "state", moment.document)


def _frame(at: Position, event: str, data: str) -> bytes:
    line = 0 if at.line == LARGEST else at.line
    return f"id: {at.entry}.{line}\nevent: {event}\ndata: {data}\n\n".encode()


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
