"""The stream of PushLogs: lines of runners to the steps that print them. On the thread of the event loop.

What it answers never changes a release; the end of a stream is a sign (judge.py), no more. A runner says of each line whether it is
of stdout or stderr; both become one log, as with every step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from re_core.wire.redaction import MARGIN
from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest.calls import Calls, Target
from re_gateways.forest.direct_lines import DirectLines
from re_gateways.forest.progress import ReleaseProgress, ReleasesInProgress
from re_gateways.forest.sessions import Session, Sessions
from re_gateways.forest.strangers import Strangers
from re_gateways.forest.streams import Ask, Context
from re_workers.outgoing import MAX_LINE

#: characters of a line that are looked at; a longer one is cut, and redacted before that
KEPT = MAX_LINE + MARGIN

#: seconds that a line waits for room, and seconds between two looks
PATIENCE, LOOK = 30.0, 0.05


class Logs:
    """All streams of logs."""

    def __init__(
        self,
        calls: Calls,
        in_progress: ReleasesInProgress,
        sessions: Sessions,
        direct: DirectLines,
        most: int,
        strangers: Strangers,
        ask: Ask,
        time: Callable[[], float],
    ) -> None:
        """`most`: streams at once."""
        self._calls, self._in_progress, self._sessions, self._direct = calls, in_progress, sessions, direct
        self._most, self._strangers, self._ask, self._time = most, strangers, ask, time
        self._open = 0

    async def push(self, _: Any, context: Context) -> pb.PushLogResponse:
        """One stream."""
        if self._open >= self._most:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams of logs")
        self._open += 1
        stream = _Stream(self, context)
        try:
            await stream.read()
        finally:
            self._open -= 1
            stream.close()
        return pb.PushLogResponse()

    async def first(self, context: Context) -> Any:
        """The first message of a stream."""
        return await self._strangers.first(context)

    async def target(self, token: str, context: Context) -> Target:
        """Where the next line with that token goes."""
        known = self._calls.known_target(token)
        if known is not None:
            return known
        found: Target = await self._ask(context, lambda: self._calls.target(token))
        return found

    async def take(self, target: Target, text: str) -> bool:
        """A line for that release; waits for room, and drops it where there is none for long."""
        progress = target.progress
        if progress is None:
            return self._direct.add(target.release, text)
        end = self._time() + PATIENCE
        while progress.full and self._in_progress.get(target.release) is progress and self._time() < end:
            await asyncio.sleep(LOOK)
        if self._in_progress.get(target.release) is not progress:
            return self._direct.add(target.release, text)
        if progress.full:
            return False
        progress.line(text)
        return True

    def silent(self, session: Session | None, began: float) -> ReleaseProgress | None:
        """The release to which a stream without any line belongs, by its connection."""
        if session is None or self._sessions.session(session.name) is not session:
            return None
        progress = self._in_progress.get(self._sessions.only(session))
        return progress if progress is not None and progress.assigned <= began and not progress.logs else None

    def session(self, peer: str) -> Session | None:
        """Of the runner on that connection."""
        return self._sessions.of_peer(peer)

    def generation(self, progress: ReleaseProgress) -> int:
        """Of the session that the runner of a release has now; 0 for none."""
        session = self._sessions.session(progress.row.runner)
        return session.generation if session else 0

    def now(self) -> float:
        """Seconds of the steady clock."""
        return self._time()


class _Stream:
    """One stream of logs."""

    def __init__(self, logs: Logs, context: Context) -> None:
        self._logs, self._context = logs, context
        self._began = logs.now()
        self._session = logs.session(context.peer())
        self._in_progress: list[ReleaseProgress] = []
        self._proven = False
        self._dropped = 0
        #: the runner has closed it; else this gateway or the connection has
        self._half_closed = False

    async def read(self) -> None:
        """Until it ends."""
        message = await self._logs.first(self._context)
        while message is not grpc.aio.EOF:
            if not isinstance(message, pb.PushLogRequest):
                await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message cannot be read")
            target = await self._logs.target(message.release_token, self._context)
            self._proven = True
            if target.progress is not None and target.progress not in self._in_progress:
                self._in_progress.append(target.progress)
                target.progress.opened()
            if not await self._logs.take(target, message.line[:KEPT]):
                self._dropped += 1
            elif self._dropped:
                dropped, self._dropped = self._dropped, 0
                await self._logs.take(target, f"[{dropped} lines before this one were dropped]")
            message = await self._context.read()
        self._half_closed = True

    def close(self) -> None:
        """It has ended, or its connection. Only what the runner closes is a sign of it."""
        if self._half_closed and not self._proven:
            progress = self._logs.silent(self._session, self._began)
            if progress is not None:
                progress.opened()
                self._in_progress.append(progress)
        for progress in self._in_progress:
            progress.closed(self._logs.generation(progress), self._half_closed)
