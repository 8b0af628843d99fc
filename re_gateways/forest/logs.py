"""The stream of PushLogs: lines of runners to the steps that print them. On the thread of the event loop.

What it answers never changes a release; the end of a stream is a sign (judge.py), no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from re_core.wire.redaction import MARGIN
from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest.calls import Calls, Target
from re_gateways.forest.case import Case, Cases
from re_gateways.forest.direct_lines import DirectLines
from re_gateways.forest.fleet import Fleet, Session
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
        cases: Cases,
        fleet: Fleet,
        direct: DirectLines,
        most: int,
        strangers: Strangers,
        ask: Ask,
        time: Callable[[], float],
    ) -> None:
        """`most`: streams at once."""
        self._calls, self._cases, self._fleet, self._direct = calls, cases, fleet, direct
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
        case = target.case
        if case is None:
            return self._direct.add(target.release, text)
        end = self._time() + PATIENCE
        while case.full and self._cases.get(target.release) is case and self._time() < end:
            await asyncio.sleep(LOOK)
        if self._cases.get(target.release) is not case:
            return self._direct.add(target.release, text)
        if case.full:
            return False
        case.line(text)
        return True

    def silent(self, session: Session | None, began: float) -> Case | None:
        """The release to which a stream without any line belongs, by its connection."""
        if session is None or self._fleet.session(session.name) is not session:
            return None
        case = self._cases.get(self._fleet.only(session))
        return case if case is not None and case.assigned <= began and not case.logs else None

    def session(self, peer: str) -> Session | None:
        """Of the runner on that connection."""
        return self._fleet.of_peer(peer)

    def generation(self, case: Case) -> int:
        """Of the session that the runner of a release has now; 0 for none."""
        session = self._fleet.session(case.row.runner)
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
        self._cases: list[Case] = []
        self._proven = False
        self._dropped = 0

    async def read(self) -> None:
        """Until it ends."""
        message = await self._logs.first(self._context)
        while message is not grpc.aio.EOF:
            if not isinstance(message, pb.PushLogRequest):
                await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message cannot be read")
            target = await self._logs.target(message.release_token, self._context)
            self._proven = True
            if target.case is not None and target.case not in self._cases:
                self._cases.append(target.case)
                target.case.opened()
            if not await self._logs.take(target, message.line[:KEPT]):
                self._dropped += 1
            elif self._dropped:
                dropped, self._dropped = self._dropped, 0
                await self._logs.take(target, f"[{dropped} lines before this one were dropped]")
            message = await self._context.read()

    def close(self) -> None:
        """It has ended, or its connection."""
        if not self._proven:
            case = self._logs.silent(self._session, self._began)
            if case is not None:
                case.opened()
                self._cases.append(case)
        for case in self._cases:
            case.closed(self._logs.generation(case))
