"""What an app prints and what its releases say, as documents and as server-sent events. Must not know how lines get into the store.

Every event's id is the number of its line or message, so that `Last-Event-ID` resumes exactly behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import cast

from flask import Blueprint, Response, current_app, request

from re_core.apps.broadcasts import Broadcast
from re_core.errors import CallerError, NotAuthenticated, NotFound, TransientError
from re_core.ports.apps import MOST_LOG_LINES
from re_core.rows import LogLine
from re_core.usecases.apps import apps, logs
from re_core.usecases.apps.broadcast_tail import BroadcastTail, release_of
from re_core.usecases.authorization import Verb
from re_core.wire import strict_json
from re_rest import auth, events, request_parsing
from re_rest.app_context import caller, services
from re_rest.apps import desk, parts
from re_rest.responses import json_answer
from re_rest.streams import Streams

blueprint = Blueprint("app_logs", __name__, url_prefix="/api/v1/apps/<app>")

#: seconds between two readings of a log, and of the lines of a release
LOG_PAUSE, BROADCAST_PAUSE = 0.5, 0.2

#: what follows for a viewer; nothing where there is no news
Next = Callable[[], Sequence[bytes]]


@blueprint.get("/logs")
def tail(app: str) -> Response:
    found = apps.by_name(desk(), caller(), app, Verb.OUTPUT)
    count = request_parsing.whole_number("tail", logs.TAIL, 1, MOST_LOG_LINES)
    return json_answer(logs.log_document(logs.tail(services().store, found, _wanted(), count)))


@blueprint.get("/logs/events")
def follow(app: str) -> Response:
    store = services().store
    found, wanted = apps.by_name(desk(), caller(), app, Verb.OUTPUT), _wanted()
    said = _last_event_id()
    at = store.last_log_line(found.id) if said is None else said

    def read() -> Sequence[bytes]:
        nonlocal at
        lines = logs.after(store, found, at)
        at = lines[-1].number if lines else at
        return [_log_frame(line) for line in lines if wanted.takes(line)]

    return _streamed(read, lambda: False, LOG_PAUSE)


@blueprint.get("/broadcasts/<broadcast>")
def broadcasts(app: str, broadcast: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app, Verb.OUTPUT)
    release = release_of(here.state(found), broadcast)
    if release is None:
        raise NotFound(f"{app} has no release with the broadcast id {broadcast[:128]!r}")
    after = _last_event_id() or 0
    messages = BroadcastTail(here.store, here.clock, here.reader, found.id, release, after)
    return _streamed(lambda: _broadcast_frames(messages.next()), lambda: messages.over, BROADCAST_PAUSE)


def _streamed(read: Next, is_over: Callable[[], bool], pause: float) -> Response:
    streams = cast(Streams, current_app.extensions[events.EXTENSION])
    streams.sit()
    pieces = stream(read, is_over, pause, parts().closed.wait, auth.standing().check)
    return events.streamed(pieces, streams.leave)


def stream(
    read: Next,
    is_over: Callable[[], bool],
    pause: float,
    wait: Callable[[float], bool],
    check: Callable[[], None] = lambda: None,
    ping: float = events.PING,
) -> Generator[bytes, None, None]:
    """What `read` gives, some to a piece, until it is over, the viewer has left, or `wait` says that the server stops.

    `check` is asked again and again, and raises NotAuthenticated when the viewer may not see more.
    """
    # a client must know that it is connected before there is any news
    yield b": ready\n\n"
    said = time.monotonic()
    try:
        while not is_over():
            check()
            frames = read()
            if frames:
                yield b"".join(frames)
                said = time.monotonic()
            elif time.monotonic() >= said + ping:
                yield b": ping\n\n"
                said = time.monotonic()
            elif wait(pause):
                return
        yield b"event: end\ndata: {}\n\n"
    except (TransientError, NotAuthenticated) as error:
        # the viewer comes again by itself, and goes on where it was
        yield f": {error}\n\n".encode()


def _broadcast_frames(messages: Iterable[Broadcast]) -> Sequence[bytes]:
    return [_frame(one.seq, "message", strict_json.dumps(one.document())) for one in messages]


def _log_frame(line: LogLine) -> bytes:
    return _frame(line.number, "line", strict_json.dumps(logs.line_document(line)))


def _frame(id: int, event: str, data: str) -> bytes:
    return f"id: {id}\nevent: {event}\ndata: {data}\n\n".encode()


def _wanted() -> logs.Wanted:
    """Raises CallerError."""
    source = request.args.get("source", "")
    if source not in ("", "app", "dploy"):
        raise CallerError(f"source: expected app or dploy, found {source[:40]!r}")
    return logs.Wanted(request.args.get("ps", ""), source)


def _last_event_id() -> int | None:
    """None where it is not said. Raises CallerError."""
    text = request.headers.get("Last-Event-ID", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 17 and int(text) < request_parsing.LARGEST):
        raise CallerError(f"Last-Event-ID: expected the id of an event, a number, found {text[:40]!r}")
    return int(text)
