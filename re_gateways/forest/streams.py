"""The stream of RegisterRunner: from the first message of a runner to the end of its session.

On the thread of the event loop. Must not know releases: what a runner acknowledges is passed on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc

from re_core.usecases.runners import split_id
from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest.admission import Admission, Admitted, Refused, shown
from re_gateways.forest.peers import Peers
from re_gateways.forest.sessions import Registration, Session, Sessions
from re_gateways.forest.strangers import Strangers
from re_gateways.forest.types import Type, offered

#: seconds that a runner may take for its first message
FIRST_MESSAGE = 10.0

#: types that one runner may offer; more are left out
MOST_TYPES = 64

#: messages that wait for a runner that does not read
MOST_UNREAD = 64

#: acknowledgements of one runner that wait for the store; then it is read no further
MOST_UNSTORED = 64

#: messages of one runner within a second; then it is read no further for a second
MOST_MESSAGES = 100

#: a call of the gateway, of the Python library: generic in what it carries
Context = Any

#: runs a function on the pool of threads, until the store is there
Ask = Callable[[Context, Callable[[], Any]], Awaitable[Any]]

_log = logging.getLogger(__name__)


class Streams:
    """All sessions' streams."""

    def __init__(
        self,
        sessions: Sessions,
        admission: Admission,
        peers: Peers,
        strangers: Strangers,
        most: int,
        ask: Ask,
        acknowledged: Callable[[Session, str, bool], None],
        entered: Callable[[Session], None],
        left: Callable[[Session], None],
        time: Callable[[], float],
    ) -> None:
        """`peers` may connect; `most`: sessions at once. `acknowledged` gets each WorkAck: its runner, the token, whether it takes
        it. `entered` and `left` hear of sessions, on this thread.
        """
        self._sessions, self._admission, self._peers, self._most, self._ask = sessions, admission, peers, most, ask
        self._strangers = strangers
        self._acknowledged, self._entered, self._left, self._time = acknowledged, entered, left, time
        self.stopping = False

    async def register(self, _: Any, context: Context) -> None:
        """One session."""
        first = await self._first(context)
        admitted = await self._admitted(first, context)
        about = Registration(
            admitted.name, context.peer(), _types(first), first.max_concurrent, admitted.parallel, admitted.since
        )
        if first.max_concurrent > 0:
            about = about._replace(parallel=min(about.parallel, first.max_concurrent))
        queue: asyncio.Queue[Any] = asyncio.Queue(MOST_UNREAD)
        closed = asyncio.Event()
        session, old = self._enter(about, queue, closed)
        if old is not None:
            end(old, "another stream has registered with this id")
        try:
            # before anything that waits for it in the queue
            await context.write(pb.ServerMessage(register_ack=pb.RegisterAck(runner_id=admitted.name, accepted=True)))
            await self._carry(session, queue, closed, context)
        finally:
            session.ending = session.ending or "its stream has ended"
            if self._sessions.leave(session):
                self._left(session)
            where = {"action": "runner_left", "runner": session.name}
            _log.info("the runner %s is gone: %s", session.name, session.ending, extra=where)
        if closed.is_set():
            await context.abort(grpc.StatusCode.ABORTED, session.ending)

    async def _first(self, context: Context) -> pb.RunnerRegister:
        first = await self._strangers.first(context, FIRST_MESSAGE)
        if not isinstance(first, pb.RunnerMessage) or first.WhichOneof("message") != "register":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be RunnerRegister")
        register: pb.RunnerRegister = first.register
        return register

    async def _admitted(self, first: pb.RunnerRegister, context: Context) -> Admitted:
        if self.stopping:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the gateway is stopping")
        if len(self._sessions) >= self._most and self._sessions.session(split_id(first.runner_id)[0]) is None:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self._most} runners are connected, the most of this gateway"
            )
        peer = context.peer()
        if self._peers.include(peer):
            found: Admitted | Refused = await self._ask(context, lambda: self._admission.admit(first.runner_id, peer))
        else:
            found = self._admission.refuse(peer, "runners may not connect from this address")
        if isinstance(found, Admitted):
            return found
        log = _log.debug if found.often else _log.warning
        log(
            "refused the runner %s from %s: %s",
            found.name or "without a name",
            shown(peer),
            found.why,
            extra={"action": "runner_refused", "runner": found.name, "peer": shown(peer)},
        )
        code = grpc.StatusCode.RESOURCE_EXHAUSTED if found.often else grpc.StatusCode.PERMISSION_DENIED
        await context.abort(code, found.why)
        raise AssertionError("abort raises")

    def _enter(
        self, about: Registration, queue: asyncio.Queue[Any], closed: asyncio.Event
    ) -> tuple[Session, Session | None]:
        loop = asyncio.get_running_loop()

        def put(message: Any) -> None:
            if queue.full():
                end(session, "it does not read")
            else:
                queue.put_nowait(message)

        def send(message: Any) -> None:
            _later(loop, put, message)

        session, old = self._sessions.enter(about, send, lambda: _later(loop, closed.set))
        types = ", ".join(str(one) for one in about.types) or "nothing"
        where = {"action": "runner_connected", "runner": about.name, "peer": shown(about.peer)}
        _log.info("the runner %s is connected from %s, and takes %s", about.name, shown(about.peer), types, extra=where)
        self._entered(session)
        return session, old

    async def _carry(
        self, session: Session, queue: asyncio.Queue[Any], closed: asyncio.Event, context: Context
    ) -> None:
        """Until either side ends it."""
        acks: asyncio.Queue[pb.WorkAck] = asyncio.Queue(MOST_UNSTORED)
        tasks = [
            asyncio.ensure_future(self._read(session, acks, context)),
            asyncio.ensure_future(self._acknowledge(session, acks, context)),
            asyncio.ensure_future(_write(queue, context)),
            asyncio.ensure_future(closed.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, session: Session, acks: asyncio.Queue[pb.WorkAck], context: Context) -> None:
        begin, count = self._time(), 0
        while True:
            message = await context.read()
            if message is grpc.aio.EOF:
                await acks.join()  # what it said last counts
                return
            kind = message.WhichOneof("message") if isinstance(message, pb.RunnerMessage) else None
            if kind == "heartbeat":
                self._sessions.beat(session, max(0, message.heartbeat.active_releases))
            elif kind == "work_ack":
                self._sessions.heard(session, spoke=True)
                await acks.put(message.work_ack)
            else:
                end(session, "it sent a message that cannot be read, or registered twice")
                return
            count += 1
            if self._time() - begin >= 1:
                begin, count = self._time(), 0
            elif count >= MOST_MESSAGES:
                await asyncio.sleep(1)

    async def _acknowledge(self, session: Session, acks: asyncio.Queue[pb.WorkAck], context: Context) -> None:
        """In the order in which they came. Beside the reading: each waits for the store, and the runner is heard meanwhile."""
        while True:
            ack = await acks.get()
            await self._ask(context, partial(self._acknowledged, session, ack.release_token, ack.accepted))
            acks.task_done()


def end(session: Session, why: str) -> None:
    """The gateway ends that session; from any thread."""
    session.ending = session.ending or why
    session.close()


async def _write(queue: asyncio.Queue[Any], context: Context) -> None:
    while True:
        await context.write(await queue.get())


def _types(first: pb.RunnerRegister) -> tuple[Type, ...]:
    found = (offered(one.organisation, one.name, one.version) for one in first.capabilities[:MOST_TYPES])
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _later(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: Any) -> None:
    """On the loop's thread; nothing where the loop has ended."""
    try:
        loop.call_soon_threadsafe(call, *arguments)
    except RuntimeError:
        _log.debug("the event loop has ended", extra={"action": "stopping"})
