"""A runner that behaves as the real one does: serial, silent, and it never gives up connecting.

Must not know what a test is about: what it does with a release, and what it writes down, is its caller's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import grpc.aio

from re_gateways.forest import runner_pb2 as pb
from tests.forest.calls import Calls, calls

#: seconds between two tries to connect, and between two heartbeats, of the real one
RECONNECT, HEARTBEAT = 5.0, 30.0

#: what the real one says that it could do at once, though it does one after the other
OFFERED = 4

#: the destination type of the real one
FLUX = pb.DestinationCapability(organisation="forest", name="flux", version=1)

#: what one does where a call is not answered
OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


class Outcome(NamedTuple):
    """How a release ended."""

    #: empty where it went well
    error: str = ""
    plan: str | None = None


class Fetched(NamedTuple):
    """What the runner was given for one release."""

    files: dict[str, str]
    specs: dict[str, str]
    annotation: pb.ReleaseAnnotationResponse
    project: pb.ProjectInfoResponse


#: writes a line of the release's log; the first argument is the channel
Say = Callable[[str, str], Awaitable[None]]

#: carries a release out
Work = Callable[[pb.WorkAssignment, Fetched, Say], Awaitable[Outcome]]

#: hears of each thing that happens: what, and the release's id; `ok` comes with the seconds that CompleteRelease took
Note = Callable[[str, str, float], None]


class Runner:
    """One runner; `run` goes on until it is cancelled."""

    def __init__(
        self,
        address: str,
        id: str,
        work: Work,
        note: Note = lambda what, release, seconds: None,
        *,
        kind: pb.DestinationCapability = FLUX,
        reconnect: float = RECONNECT,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        """`address`: host and port of the gateway; `id`: with the secret behind its last dot, where it is enrolled."""
        self._address, self._id, self._work, self._note = address, id, work, note
        self._kind, self._reconnect, self._heartbeat = kind, reconnect, heartbeat
        self._active = 0

    async def run(self) -> None:
        """Connect, work, and connect again when the stream ends."""
        async with grpc.aio.insecure_channel(self._address, options=OPTIONS) as channel:
            stub = calls(channel)
            while True:
                with suppress(grpc.aio.AioRpcError):
                    await self._session(stub)
                self._note("gone", "", 0.0)
                await asyncio.sleep(self._reconnect)

    async def _session(self, stub: Calls) -> None:
        stream = stub.register()
        register = pb.RunnerRegister(runner_id=self._id, capabilities=[self._kind], max_concurrent=OFFERED)
        await stream.write(pb.RunnerMessage(register=register))
        beats = asyncio.create_task(self._beat(stream))
        try:
            while (message := await stream.read()) != grpc.aio.EOF:
                assert isinstance(message, pb.ServerMessage)
                if message.HasField("register_ack"):
                    self._note("registered", "", 0.0)
                elif message.HasField("work_assignment"):
                    # as the real one: the next message is read when this one is done
                    await self._release(stub, message.work_assignment)
        finally:
            beats.cancel()
            stream.cancel()

    async def _beat(self, stream: grpc.aio.StreamStreamCall[pb.RunnerMessage, pb.ServerMessage]) -> None:
        while True:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await stream.write(pb.RunnerMessage(heartbeat=pb.RunnerHeartbeat(active_releases=self._active)))
            await asyncio.sleep(self._heartbeat)

    async def _release(self, stub: Calls, given: pb.WorkAssignment) -> None:
        """Drops it silently where anything fails before it is carried out, and where its end is refused."""
        release, token = given.release_id, given.release_token
        self._note("assigned", release, 0.0)
        logs = stub.logs()

        async def say(channel: str, line: str) -> None:
            now = time.time_ns() // 1_000_000
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await logs.write(pb.PushLogRequest(release_token=token, channel=channel, line=line, timestamp=now))

        try:
            fetched = await _fetch(stub, token)
            self._note("fetched", release, 0.0)
            self._active += 1
            try:
                outcome = await self._work(given, fetched, say)
            finally:
                self._active -= 1
            await self._complete(stub, given, outcome)
        except grpc.aio.AioRpcError as error:
            self._note(f"dropped {error.code().name}", release, 0.0)
        finally:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await logs.done_writing()
            # the call is left to end by itself; it has to be kept until then
            ended = asyncio.ensure_future(_ended(logs))
            _ENDING.add(ended)
            ended.add_done_callback(_ENDING.discard)

    async def _complete(self, stub: Calls, given: pb.WorkAssignment, outcome: Outcome) -> None:
        said = pb.CompleteReleaseRequest(
            release_token=given.release_token,
            outcome=pb.RELEASE_OUTCOME_FAILURE if outcome.error else pb.RELEASE_OUTCOME_SUCCESS,
            error_message=outcome.error,
            plan_output=outcome.plan,
        )
        word = "failure" if outcome.error else "success"
        self._note(f"completes {word}", given.release_id, 0.0)
        began = time.perf_counter()
        await stub.complete(said)
        self._note(f"ok {word}", given.release_id, time.perf_counter() - began)


#: streams of logs that were closed and have not ended
_ENDING: set[asyncio.Future[None]] = set()


async def _ended(logs: grpc.aio.StreamUnaryCall[pb.PushLogRequest, pb.PushLogResponse]) -> None:
    with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        await logs


async def _fetch(stub: Calls, token: str) -> Fetched:
    files = await _all(stub.files(pb.GetReleaseFilesRequest(release_token=token)))
    specs = await _all(stub.specs(pb.GetSpecFilesRequest(release_token=token)))
    annotation = await stub.annotation(pb.GetReleaseAnnotationRequest(release_token=token))
    project = await stub.project(pb.GetProjectInfoRequest(release_token=token))
    return Fetched(files, specs, annotation, project)


async def _all(stream: AsyncIterable[pb.ReleaseFile]) -> dict[str, str]:
    return {file.file_name: file.file_content async for file in stream}
