"""The seven calls of RunnerService as a client makes them. Must not know what a runner does with them."""

from __future__ import annotations

from typing import Any, NamedTuple

import grpc.aio

from re_gateways.forest import runner_pb2 as pb

SERVICE = "forest.v1.RunnerService"


class Calls(NamedTuple):
    """Of one channel; each is called as grpc.aio calls them."""

    register: grpc.aio.StreamStreamMultiCallable[pb.RunnerMessage, pb.ServerMessage]
    files: grpc.aio.UnaryStreamMultiCallable[pb.GetReleaseFilesRequest, pb.ReleaseFile]
    specs: grpc.aio.UnaryStreamMultiCallable[pb.GetSpecFilesRequest, pb.ReleaseFile]
    annotation: grpc.aio.UnaryUnaryMultiCallable[pb.GetReleaseAnnotationRequest, pb.ReleaseAnnotationResponse]
    project: grpc.aio.UnaryUnaryMultiCallable[pb.GetProjectInfoRequest, pb.ProjectInfoResponse]
    logs: grpc.aio.StreamUnaryMultiCallable[pb.PushLogRequest, pb.PushLogResponse]
    complete: grpc.aio.UnaryUnaryMultiCallable[pb.CompleteReleaseRequest, pb.CompleteReleaseResponse]


def calls(channel: grpc.aio.Channel) -> Calls:
    """Those of this channel."""

    def of(name: str, answer: Any) -> tuple[str, Any, Any]:
        return f"/{SERVICE}/{name}", lambda message: message.SerializeToString(), answer.FromString

    return Calls(
        channel.stream_stream(*of("RegisterRunner", pb.ServerMessage)),
        channel.unary_stream(*of("GetReleaseFiles", pb.ReleaseFile)),
        channel.unary_stream(*of("GetSpecFiles", pb.ReleaseFile)),
        channel.unary_unary(*of("GetReleaseAnnotation", pb.ReleaseAnnotationResponse)),
        channel.unary_unary(*of("GetProjectInfo", pb.ProjectInfoResponse)),
        channel.stream_unary(*of("PushLogs", pb.PushLogResponse)),
        channel.unary_unary(*of("CompleteRelease", pb.CompleteReleaseResponse)),
    )
