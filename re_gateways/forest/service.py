"""RunnerService: what arrives over gRPC, and which status it gets. Must not know how a release is carried out.

A runner calls each method once and repeats nothing: where the store is away its calls wait. On the thread of the event loop,
which never waits for the store itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from re_core.errors import BadDocument, DamagedArtifact, NotFound, StoreRefused, StoreUnavailable
from re_gateways.forest import runner_pb2 as pb
from re_gateways.forest.calls import Calls
from re_gateways.forest.logs import Logs
from re_gateways.forest.release_rows import Busy, ReleaseOver, TokenUnknown
from re_gateways.forest.strangers import Strangers
from re_gateways.forest.streams import Ask, Context, Streams

#: seconds between two tries where the store is away: at first, and at most
PAUSE, MOST_PAUSE = 0.1, 2.0

#: seconds that the request of a call may take, on a connection without a registered runner
REQUEST = 60.0

#: completions that are stored although their runner is gone
MOST_ORPHANS = 200

SERVICE = pb.DESCRIPTOR.services_by_name["RunnerService"].full_name

_log = logging.getLogger(__name__)


async def ask(context: Context, work: Callable[[], Any], pool: Executor) -> Any:
    """What `work` returns, on a thread of the pool, once the store is there. Ends the call where the token opens nothing."""
    pause = PAUSE
    while True:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except TokenUnknown:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "invalid, expired, or revoked release token")
        except ReleaseOver:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the release is over or was cancelled")
        except DamagedArtifact:  # waiting does not repair it
            raise
        except (StoreUnavailable, StoreRefused, Busy) as error:
            _log.debug("a runner's call waits for the store: %s", error, extra={"action": "store_away"})
            await asyncio.sleep(pause)
            pause = min(2 * pause, MOST_PAUSE)


class Service:
    """The methods, as grpc.aio calls them."""

    def __init__(
        self, calls: Calls, streams: Streams, logs: Logs, strangers: Strangers, ask: Ask, heard: Callable[[str], None]
    ) -> None:
        """`heard` gets the peer of each call."""
        self._calls, self._streams, self._logs, self._ask, self._heard = calls, streams, logs, ask, heard
        self._strangers = strangers
        self._completions: set[asyncio.Task[Any]] = set()

    def handlers(self) -> grpc.GenericRpcHandler:
        """For the server. All methods read their requests themselves: a call whose message does not come must be known."""
        one, many = grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        methods = {
            "RegisterRunner": _method(grpc.stream_stream_rpc_method_handler, self._streams.register, pb.RunnerMessage),
            "PushLogs": _method(grpc.stream_unary_rpc_method_handler, self._logs.push, pb.PushLogRequest),
            "GetReleaseFiles": _method(many, self._asked(self._files), pb.GetReleaseFilesRequest),
            "GetSpecFiles": _method(many, self._asked(self._spec), pb.GetSpecFilesRequest),
            "GetReleaseAnnotation": _method(one, self._asked(self._annotation), pb.GetReleaseAnnotationRequest),
            "GetProjectInfo": _method(one, self._asked(self._project), pb.GetProjectInfoRequest),
            "CompleteRelease": _method(one, self._asked(self._complete), pb.CompleteReleaseRequest),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _asked(self, method: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
        """With the one request of the call; None where there is none that can be read."""

        async def call(_: Any, context: Context) -> Any:
            request = await self._strangers.first(context, REQUEST)
            return await method(None if request is grpc.aio.EOF else request, context)

        return call

    async def settle(self, seconds: float) -> None:
        """Wait for completions that are being stored."""
        if self._completions:
            await asyncio.wait(list(self._completions), timeout=seconds)
        for task in self._completions:
            task.cancel()

    async def _files(self, request: Any, context: Context) -> None:
        _, contents = await self._fetch(request, context)
        for file in contents.deployment:
            await context.write(file)

    async def _spec(self, request: Any, context: Context) -> None:
        _, contents = await self._fetch(request, context)
        for file in contents.spec:
            await context.write(file)

    async def _annotation(self, request: Any, context: Context) -> pb.ReleaseAnnotationResponse:
        _, contents = await self._fetch(request, context)
        annotation: pb.ReleaseAnnotationResponse = contents.annotation
        return annotation

    async def _project(self, request: Any, context: Context) -> pb.ProjectInfoResponse:
        token = await self._token(request, context)
        row = await self._ask(context, lambda: self._calls.begin(token))
        about = row.document
        return pb.ProjectInfoResponse(organisation=about["organisation"], project=about["project"])

    async def _fetch(self, request: Any, context: Context) -> Any:
        token = await self._token(request, context)
        try:
            return await self._ask(context, lambda: self._calls.fetch(token))
        except (NotFound, BadDocument) as error:  # it was deleted since it was checked
            _log.warning("a runner cannot fetch its release: %s", error, extra={"action": "artifact_gone"})
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except DamagedArtifact as error:
            _log.error("a runner cannot fetch its release: %s", error, extra={"action": "artifact_damaged"})
            await context.abort(grpc.StatusCode.DATA_LOSS, str(error))

    async def _token(self, request: Any, context: Context) -> str:
        self._heard(context.peer())
        if request is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message cannot be read")
        token: str = request.release_token
        return token

    async def _complete(self, request: Any, context: Context) -> pb.CompleteReleaseResponse:
        token = await self._token(request, context)
        if request.outcome not in (pb.RELEASE_OUTCOME_SUCCESS, pb.RELEASE_OUTCOME_FAILURE):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the outcome is neither SUCCESS nor FAILURE")
        progress = self._calls.arriving(token)
        if progress is not None:
            progress.arrives()
        task = asyncio.ensure_future(self._ask(context, lambda: self._calls.complete(request)))
        self._completions.add(task)
        task.add_done_callback(self._stored)
        if progress is not None:
            task.add_done_callback(lambda _: progress.arrived())
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:  # the runner is gone, and its completion counts all the same
            if progress is None or len(self._completions) > MOST_ORPHANS:
                task.cancel()
            raise
        return pb.CompleteReleaseResponse()

    def _stored(self, task: asyncio.Task[Any]) -> None:
        self._completions.discard(task)
        if not task.cancelled():
            task.exception()  # the call has it, or is gone


def _method(kind: Callable[..., Any], behavior: Callable[..., Any], request: type[Message]) -> Any:
    return kind(behavior, request_deserializer=_reading(request), response_serializer=_write)


def _reading(kind: type[Message]) -> Callable[[bytes], Message | None]:
    """Reads a message; None for what is none, such as text that is not UTF-8."""

    def read(data: bytes) -> Message | None:
        try:
            return kind.FromString(data)
        except DecodeError:
            return None

    return read


def _write(message: Message) -> bytes:
    return message.SerializeToString()
