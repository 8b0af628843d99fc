"""The bare limit of a gateway: a grpc.aio server that answers every call of a runner from constants, and keeps nothing.

python -m benchmarks.bare_forest prints its port. A line `<releases> <releases a second>` on its input makes it give so many to the
runners that are connected, in turn; it prints `done` once all of them are completed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from re_gateways.forest import runner_pb2 as pb
from tests.forest.async_runner import FLUX
from tests.forest.calls import SERVICE

#: what the one file of a release holds
CONTENT = "x" * 500

_DESTINATION = pb.DestinationInfo(name="dest1", environment="dev", type=FLUX, organisation="acme")


class _Bare:
    """The state: streams, and how many releases are under way."""

    def __init__(self) -> None:
        self.streams: list[asyncio.Queue[pb.ServerMessage]] = []
        self.left = 0
        self.done = asyncio.Event()

    async def register(
        self, requests: AsyncIterator[pb.RunnerMessage], context: Any
    ) -> AsyncIterator[pb.ServerMessage]:
        queue: asyncio.Queue[pb.ServerMessage] = asyncio.Queue()
        self.streams.append(queue)
        reader = asyncio.create_task(_drain(requests))
        try:
            yield pb.ServerMessage(register_ack=pb.RegisterAck(accepted=True))
            while True:
                yield await queue.get()
        finally:
            reader.cancel()
            self.streams.remove(queue)

    async def files(self, request: pb.GetReleaseFilesRequest, context: Any) -> AsyncIterator[pb.ReleaseFile]:
        yield pb.ReleaseFile(file_name="dev/dest1/forest/flux@1/a.yaml", file_content=CONTENT)

    async def specs(self, request: pb.GetSpecFilesRequest, context: Any) -> AsyncIterator[pb.ReleaseFile]:
        yield pb.ReleaseFile(file_name="forest.cue", file_content=CONTENT)

    async def annotation(self, request: pb.GetReleaseAnnotationRequest, context: Any) -> pb.ReleaseAnnotationResponse:
        return pb.ReleaseAnnotationResponse(slug="shop")

    async def project(self, request: pb.GetProjectInfoRequest, context: Any) -> pb.ProjectInfoResponse:
        return pb.ProjectInfoResponse(organisation="acme", project="shop")

    async def logs(self, requests: AsyncIterator[pb.PushLogRequest], context: Any) -> pb.PushLogResponse:
        await _drain(requests)
        return pb.PushLogResponse()

    async def complete(self, request: pb.CompleteReleaseRequest, context: Any) -> pb.CompleteReleaseResponse:
        self.left -= 1
        if not self.left:
            self.done.set()
        return pb.CompleteReleaseResponse()

    async def give(self, total: int, rate: float) -> None:
        """So many releases, and wait until they are completed."""
        self.left = total
        self.done.clear()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(total):
            await asyncio.sleep(began + number / rate - loop.time())
            given = pb.WorkAssignment(release_token="0" * 64, release_id=f"bare/{number}", destination=_DESTINATION)
            self.streams[number % len(self.streams)].put_nowait(pb.ServerMessage(work_assignment=given))
        await self.done.wait()


async def _drain(requests: AsyncIterator[object]) -> None:
    async for _ in requests:
        pass


def _handlers(bare: _Bare) -> grpc.GenericRpcHandler:
    def pair(kind: Any) -> dict[str, Any]:
        return {
            "request_deserializer": kind.FromString,
            "response_serializer": lambda answer: answer.SerializeToString(),
        }

    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "RegisterRunner": grpc.stream_stream_rpc_method_handler(bare.register, **pair(pb.RunnerMessage)),
            "GetReleaseFiles": grpc.unary_stream_rpc_method_handler(bare.files, **pair(pb.GetReleaseFilesRequest)),
            "GetSpecFiles": grpc.unary_stream_rpc_method_handler(bare.specs, **pair(pb.GetSpecFilesRequest)),
            "GetReleaseAnnotation": grpc.unary_unary_rpc_method_handler(
                bare.annotation, **pair(pb.GetReleaseAnnotationRequest)
            ),
            "GetProjectInfo": grpc.unary_unary_rpc_method_handler(bare.project, **pair(pb.GetProjectInfoRequest)),
            "PushLogs": grpc.stream_unary_rpc_method_handler(bare.logs, **pair(pb.PushLogRequest)),
            "CompleteRelease": grpc.unary_unary_rpc_method_handler(bare.complete, **pair(pb.CompleteReleaseRequest)),
        },
    )


async def serve() -> None:
    """Until its input ends."""
    bare = _Bare()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_handlers(bare),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        total, rate = line.split()
        await bare.give(int(total), float(rate))
        print("done", flush=True)
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve())
