"""What is to be concluded of a release from what was seen of its runner. Pure: times are arguments, in seconds of one steady clock.

A conclusion is an opinion: it counts only once it is stored by compare-and-swap, which a completion may win.

A runner says little. It cannot be reached but by its own stream, acknowledges nothing, and goes on with its release when the
stream breaks. So silence alone never means that a release has ended, only that contact with it is lost; and while a
completion is being stored there is no conclusion at all.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

#: seconds without any call after which an assignment is taken back from an idle runner
UNFETCHED = 120.0
#: seconds that a call may come late after the runner's stream has ended; nothing was fetched by then
UNFETCHED_GONE = 5.0
#: seconds between the end of the logs and the conclusion that the release was dropped
DROPPED = 5.0
#: seconds after which a stream that is still up has proved that its runner answers HTTP/2 pings (server.KEEPALIVE)
PROVEN = 10.0
#: seconds between two readings of heartbeats that count as two
APART = 5.0
#: seconds between what is seen and a conclusion on it: what was under way may still come
SETTLING = 5.0
#: seconds that a completion may come after contact with the runner was lost
LEASE = 90.0
#: seconds after a cancel in which the end of a running release may still be seen
CANCEL_WAIT = 20.0


class Beat(NamedTuple):
    """One heartbeat."""

    #: when it was read
    at: float
    #: releases that the runner says it executes
    active: int


class SessionView(NamedTuple):
    """The stream of the runner that is up now."""

    generation: int
    #: when its last message was read
    heard: float
    #: the last two heartbeats, older first
    beats: tuple[Beat, ...] = ()


class HalfClosed(NamedTuple):
    """The logs of the release ended in order, so far as can be seen."""

    at: float
    #: of the session at that time; 0 where there was none
    generation: int


class Evidence(NamedTuple):
    """All that is known of one release that is assigned."""

    #: sent to its runner, or adopted from another gateway
    assigned: float
    #: since when the runner has nothing else to do
    idle: float
    #: first call with its token; None where there was none
    called: float | None = None
    #: last call with its token, or message on its stream of logs
    active: float = 0.0
    #: generation of the session that held it at its first call; 0 after a restart of the gateway
    held_by: int = 0
    session: SessionView | None = None
    #: since when its runner has no session; None where there is one, or where this gateway never saw one
    gone: float | None = None
    #: streams of its logs that are open
    logs: int = 0
    half_closed: HalfClosed | None = None
    #: a completion has arrived and is being stored
    completing: bool = False
    #: the step was cancelled
    cancelled: float | None = None
    #: no pause of this process, no failed beat since then
    calm: float = 0.0


class Conclusion(NamedTuple):
    """What follows."""

    kind: Literal["take back", "failed", "lost", "cancelled"]
    text: str


def judge(seen: Evidence, now: float) -> Conclusion | None:
    """What follows from this now; None: nothing yet."""
    if seen.completing:
        return None
    if seen.cancelled is not None:
        return _cancelled(seen, seen.cancelled, now)
    if seen.called is None:
        return _unfetched(seen, now)
    if now - seen.calm < SETTLING:  # after a pause of this process: what has arrived meanwhile is read first
        return None
    return _dropped(seen, now) or _idle(seen, seen.called, now) or _gone(seen, now)


def _unfetched(seen: Evidence, now: float) -> Conclusion | None:
    """Nothing was done: another runner may have it."""
    if seen.gone is not None and now - seen.gone >= UNFETCHED_GONE:
        return Conclusion("take back", "the runner disconnected before it fetched anything")
    if now - max(seen.assigned, seen.idle) >= UNFETCHED:
        return Conclusion("take back", f"the runner fetched nothing within {UNFETCHED:g} s")
    return None


def _has_closed(seen: Evidence, now: float) -> bool:
    """Whether the end of the logs came from a runner that is still there: a broken connection looks the same."""
    end, session = seen.half_closed, seen.session
    if end is None or seen.logs or session is None or session.generation != end.generation or now - end.at < DROPPED:
        return False
    return session.heard > end.at or now - end.at >= PROVEN


def _dropped(seen: Evidence, now: float) -> Conclusion | None:
    if _has_closed(seen, now):
        return Conclusion("failed", "the runner dropped the release: it closed the logs and reported no outcome")
    return None


def _idle(seen: Evidence, called: float, now: float) -> Conclusion | None:
    """The runner says twice that it executes nothing."""
    session = seen.session
    if session is None or len(session.beats) < 2:
        return None
    first, second = session.beats[-2:]
    if first.active or second.active or first.at < called or second.at - first.at < APART:
        return None
    if seen.active > first.at or seen.calm > second.at or now - second.at < SETTLING:
        return None
    if session.generation == seen.held_by:
        return Conclusion("failed", "the runner dropped the release: it executes nothing and reported no outcome")
    return Conclusion("lost", "the runner came back without the release; its completion may have met no gateway")


def _gone(seen: Evidence, now: float) -> Conclusion | None:
    if seen.gone is None or seen.logs or now - seen.gone < LEASE:
        return None
    return Conclusion("lost", f"the runner has been away for {LEASE:g} s; whether it finished is unknown")


def _cancelled(seen: Evidence, at: float, now: float) -> Conclusion | None:
    if seen.called is None:
        return Conclusion("cancelled", "nothing was fetched")
    if _has_closed(seen, now):
        return Conclusion("cancelled", "the runner has ended it")
    if now - at >= CANCEL_WAIT:
        return Conclusion("lost", "the runner has no way to learn of the cancel and may still be working")
    return None
