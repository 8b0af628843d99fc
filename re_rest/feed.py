"""What happens in all groups of a caller, as server-sent events. Must not know how often anything is read.

Every event's id is its place in the feed, the same for every caller and every front end, so that `Last-Event-ID` resumes exactly
behind it. The event `place` has no more to say than its id: how far the feed was looked through.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import NamedTuple, cast

from flask import Blueprint, Response, current_app, request

from re_core.errors import NotAuthenticated, TransientError
from re_core.ports import Store
from re_core.usecases.authorization import Verb, groups_of
from re_core.usecases.feed import Cursor, FeedReader, parse_cursor
from re_core.wire import strict_json
from re_rest import auth, events
from re_rest.app_context import caller, services
from re_rest.feed_tail import FeedTail, Frame
from re_rest.streams import Streams

blueprint = Blueprint("feed", __name__, url_prefix="/api/v1/events")

#: where the application keeps the end of the feed
EXTENSION = "release_engine_feed"

#: seconds in which a front end that lags behind may come to the place that another one has given a caller
CATCH_UP = 3.0


class Wanted(NamedTuple):
    """Which events; an empty tuple of kinds or types means all."""

    #: None: of every group
    groups: tuple[str, ...] | None = None
    kinds: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    def takes(self, frame: Frame) -> bool:
        if self.groups is not None and frame.group not in self.groups:
            return False
        return (not self.kinds or frame.kind in self.kinds) and (not self.types or frame.type in self.types)


@blueprint.get("")
def follow() -> Response:
    wanted = Wanted(
        groups_of(caller(), Verb.SEE, request.args.get("group")),
        tuple(request.args.getlist("kind")),
        tuple(request.args.getlist("type")),
    )
    said = request.headers.get("Last-Event-ID", "")
    tail = cast(FeedTail, current_app.extensions[EXTENSION])
    begin = parse_cursor(said) if said else tail.newest()
    streams = cast(Streams, current_app.extensions[events.EXTENSION])
    streams.sit()
    pieces = stream(tail, services().store, begin, wanted, auth.standing().check)
    return events.streamed(pieces, streams.leave)


def stream(
    tail: FeedTail,
    store: Store,
    at: Cursor,
    wanted: Wanted = Wanted(),  # noqa: B008  # it is immutable
    check: Callable[[], None] = lambda: None,
    ping: float = events.PING,
) -> Generator[bytes, None, None]:
    """The events behind `at`, until the caller has left or the server stops; some to a piece.

    `check` is asked again and again, and raises NotAuthenticated when the caller may not see more.
    """
    reader = FeedReader(store)
    try:
        at, beginning = _begin(tail, store, at)
        yield beginning
        with tail.follow():
            said = time.monotonic()
            while not tail.closed:
                check()
                portion = tail.next(reader, at, min(ping, auth.BELIEVED))
                if portion is not None and portion.lost:
                    # it was too slow: a request with this id goes on from what is still kept
                    yield _reset(at, Cursor(store.feed_range().before))
                    return
                pieces = b"" if portion is None else b"".join(one.data for one in portion.frames if wanted.takes(one))
                at = at if portion is None else portion.at
                if pieces:
                    yield pieces
                elif time.monotonic() >= said + ping:
                    yield _place(at)
                else:
                    continue
                said = time.monotonic()
    except (TransientError, NotAuthenticated) as error:
        # the caller comes again by itself, and goes on where it was
        yield f": {error}\n\n".encode()


def _begin(tail: FeedTail, store: Store, at: Cursor) -> tuple[Cursor, bytes]:
    """Where to begin, and what says so: the place alone, or that something was missed."""
    end = time.monotonic() + CATCH_UP
    while True:
        before, newest = store.feed_range()
        if at.position <= newest or time.monotonic() > end or tail.closed:
            break
        time.sleep(0.1)
    if at.position > newest:
        return Cursor(newest), _reset(at, Cursor(newest))
    if 0 < at.position < before:
        return Cursor(before), _reset(at, Cursor(before))
    return at, _place(at)


def _place(at: Cursor) -> bytes:
    """With data, though it is empty: without any, libraries do not give their users the id."""
    return f"id: {at}\nevent: place\ndata: {{}}\n\n".encode()


def _reset(at: Cursor, now: Cursor) -> bytes:
    """What happened between the two is not kept, or the store is not the one that gave the first one out."""
    data = strict_json.dumps({"last": str(at), "now": str(now)})
    return f"id: {now}\nevent: reset\ndata: {data}\n\n".encode()
