"""Clients of RunnerService, made from the definition of the protocol. They know nothing of the gateway's code but that."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import grpc

from re_gateways.forest import runner_pb2 as pb
from tests.integration.workers.waiting import PATIENCE, until

SERVICE = pb.DESCRIPTOR.services_by_name["RunnerService"]


class Stub:
    """The service's methods, by the names of the definition."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.RegisterRunner = self._method(channel.stream_stream, "RegisterRunner")
        self.PushLogs = self._method(channel.stream_unary, "PushLogs")
        self.GetReleaseFiles = self._method(channel.unary_stream, "GetReleaseFiles")
        self.GetSpecFiles = self._method(channel.unary_stream, "GetSpecFiles")
        self.GetReleaseAnnotation = self._method(channel.unary_unary, "GetReleaseAnnotation")
        self.GetProjectInfo = self._method(channel.unary_unary, "GetProjectInfo")
        self.CompleteRelease = self._method(channel.unary_unary, "CompleteRelease")

    @staticmethod
    def _method(kind: Callable[..., Any], name: str) -> Any:
        method = SERVICE.methods_by_name[name]
        answer: Any = getattr(pb, method.output_type.name)
        return kind(
            f"/{SERVICE.full_name}/{name}",
            request_serializer=lambda message: message if isinstance(message, bytes) else message.SerializeToString(),
            response_deserializer=answer.FromString,
        )


class Outbound:
    """What a client sends on a stream: an iterator that a test fills and ends."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()

    def send(self, message: Any) -> None:
        self._queue.put(message)

    def end(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> Iterator[Any]:
        while (message := self._queue.get()) is not None:
            yield message


class Logs:
    """One stream of PushLogs."""

    def __init__(self, stub: Stub) -> None:
        self._out = Outbound()
        self._call = stub.PushLogs.future(iter(self._out))

    def line(self, token: str, text: str, channel: str = "stdout", at: int = 0) -> None:
        self._out.send(pb.PushLogRequest(release_token=token, channel=channel, line=text, timestamp=at))

    def raw(self, data: bytes) -> None:
        self._out.send(data)

    def half_close(self) -> None:
        self._out.end()

    def code(self) -> grpc.StatusCode:
        """How it ended."""
        self._out.end()
        code: grpc.StatusCode = self._call.code()
        return code


class Wire:
    """A runner that does what the test says, message by message."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)])
        self.stub = Stub(self.channel)
        self._out = Outbound()
        self.received: queue.Queue[Any] = queue.Queue()
        self.call: Any = None
        self._reader: threading.Thread | None = None
        #: when the gateway read the last message on its stream; None where the stream has ended
        self.read_at: Callable[[], float | None] = lambda: None

    def open(self) -> None:
        """Begin the stream, and say nothing."""
        self.call = self.stub.RegisterRunner(iter(self._out))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def register(self, id: str, *types: str, most: int = 4) -> pb.RegisterAck:
        """Begin the stream and register; what the gateway answers."""
        self.open()
        self.say_register(id, *types, most=most)
        message = self.received.get(timeout=PATIENCE)
        assert isinstance(message, pb.ServerMessage), message
        return message.register_ack

    def say_register(self, id: str, *types: str, most: int = 4) -> None:
        capabilities = [capability(one) for one in types or ("forest/flux@1",)]
        register = pb.RunnerRegister(runner_id=id, capabilities=capabilities, max_concurrent=most)
        self._out.send(pb.RunnerMessage(register=register))

    def beat(self, active: int = 0) -> None:
        """Returns once the gateway has read it, so that the time of it is certain."""
        before = self.read_at()
        self.say_beat(active)
        if before is not None:
            until(lambda: (now := self.read_at()) is None or now > before)

    def say_beat(self, active: int) -> None:
        self._out.send(pb.RunnerMessage(heartbeat=pb.RunnerHeartbeat(active_releases=active)))

    def ack(self, token: str, accepted: bool) -> None:
        self._out.send(pb.RunnerMessage(work_ack=pb.WorkAck(release_token=token, accepted=accepted)))

    def raw(self, message: Any) -> None:
        self._out.send(message)

    def assignment(self) -> pb.WorkAssignment:
        """The next one."""
        message = self.received.get(timeout=PATIENCE)
        assert isinstance(message, pb.ServerMessage), message
        assert message.WhichOneof("message") == "work_assignment"
        return message.work_assignment

    def has_nothing(self) -> bool:
        return self.received.empty()

    def ended(self) -> grpc.StatusCode:
        """How the gateway ended the stream."""
        message = self.received.get(timeout=PATIENCE)
        assert isinstance(message, grpc.StatusCode), message
        return message

    def leave(self) -> None:
        """End the stream, as a runner does that is stopped; the connection stays."""
        self._out.end()
        if self._reader is not None:
            self._reader.join(PATIENCE)

    def close(self) -> None:
        """The connection ends."""
        self._out.end()
        self.channel.close()
        if self._reader is not None:
            self._reader.join(PATIENCE)

    def _read(self) -> None:
        try:
            for message in self.call:
                self.received.put(message)
            self.received.put(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            self.received.put(error.code())

    # the calls of a release

    def logs(self) -> Logs:
        return Logs(self.stub)

    def fetch(self, token: str) -> dict[str, str]:
        """The four calls of every release; the files of the deployment."""
        request = {"release_token": token}
        files = {
            one.file_name: one.file_content for one in self.stub.GetReleaseFiles(pb.GetReleaseFilesRequest(**request))
        }
        list(self.stub.GetSpecFiles(pb.GetSpecFilesRequest(**request)))
        self.stub.GetReleaseAnnotation(pb.GetReleaseAnnotationRequest(**request))
        self.stub.GetProjectInfo(pb.GetProjectInfoRequest(**request))
        return files

    def complete(self, token: str, error: str | None = None, plan: str | None = None) -> None:
        """Report success, or a failure with that error."""
        self.stub.CompleteRelease(completion(token, error, plan))

    def complete_code(self, token: str, error: str | None = None) -> grpc.StatusCode:
        """What a completion is answered."""
        return code_of(lambda: self.complete(token, error))


def capability(text: str) -> pb.DestinationCapability:
    organisation, rest = text.split("/")
    name, version = rest.split("@")
    return pb.DestinationCapability(organisation=organisation, name=name, version=int(version))


def completion(token: str, error: str | None = None, plan: str | None = None) -> pb.CompleteReleaseRequest:
    outcome = pb.RELEASE_OUTCOME_SUCCESS if error is None else pb.RELEASE_OUTCOME_FAILURE
    return pb.CompleteReleaseRequest(release_token=token, outcome=outcome, error_message=error or "", plan_output=plan)


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    """The status of a call."""
    try:
        call()
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


class SerialRunner:
    """As the real one behaves: one release after the other whatever it offers, silent about what it drops, no WorkAck.

    It goes on with its release when the stream breaks, and registers again after it.
    """

    def __init__(
        self,
        port: int,
        id: str,
        type: str = "forest/flux@1",
        work: Callable[[SerialRunner, pb.WorkAssignment, Mapping[str, str], Callable[[str], None]], None] | None = None,
        pause: float = 0.05,
        beat: float = 0.05,
    ) -> None:
        """`work` gets itself, the assignment, the files and what prints a line; it raises for a failure."""
        self.type, self._port, self._id, self._work = type, port, id, work
        self._pause, self._beat_every = pause, beat
        self._active = 0
        self._stopped = threading.Event()
        #: names of its calls, in order; release ids that it carried out, and those it dropped
        self.calls: list[str] = []
        self.done: list[str] = []
        self.dropped: list[str] = []
        self.errors: list[str] = []
        self.registrations = 0
        #: grpc cancels a call that is collected as garbage, with the lines that it has not sent yet; the real one sends them
        self._logs: list[Logs] = []
        self.wire: Wire | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> SerialRunner:
        """Until it is registered."""
        until(lambda: self.registrations)
        return self

    def terminate(self) -> None:
        """As SIGTERM does: all of its streams end at once, and it says nothing more."""
        self._stopped.set()
        if self.wire is not None:
            self.wire.channel.close()

    def stop(self) -> None:
        """The same, and wait until it has ended."""
        self.terminate()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        self.wire = Wire(self._port)
        while not self._stopped.is_set():
            with suppress(grpc.RpcError, ValueError):
                self._session(self.wire)
            self._stopped.wait(self._pause)
        self.wire.channel.close()

    def _session(self, wire: Wire) -> None:
        out = Outbound()
        out.send(
            pb.RunnerMessage(
                register=pb.RunnerRegister(runner_id=self._id, capabilities=[capability(self.type)], max_concurrent=4)
            )
        )
        beats = threading.Thread(target=self._beats, args=(out,), daemon=True)
        try:
            for message in wire.stub.RegisterRunner(iter(out)):
                if message.WhichOneof("message") == "register_ack":
                    self.registrations += 1
                    beats.start()
                else:
                    self._release(wire, message.work_assignment)
        finally:
            out.end()

    def _beats(self, out: Outbound) -> None:
        session = self.registrations
        while not self._stopped.is_set() and session == self.registrations:
            out.send(pb.RunnerMessage(heartbeat=pb.RunnerHeartbeat(active_releases=self._active)))
            self._stopped.wait(self._beat_every)

    def _release(self, wire: Wire, work: pb.WorkAssignment) -> None:
        if str_type(work.destination.type) != self.type:
            self.dropped.append(work.release_id)
            return
        self._active = 1
        logs = Logs(wire.stub)
        self._logs.append(logs)
        self.calls.append("PushLogs")
        token = work.release_token
        try:
            files = self._fetch(wire, token)
            error = self._carry_out(work, files, lambda text: logs.line(token, text))
            self.calls.append("CompleteRelease")
            wire.complete(token, error)
            self.done.append(work.release_id)
        except grpc.RpcError as error:
            self.dropped.append(work.release_id)
            self.errors.append(str(error))
        finally:
            logs.half_close()
            self._active = 0

    def _fetch(self, wire: Wire, token: str) -> dict[str, str]:
        self.calls += ["GetReleaseFiles", "GetSpecFiles", "GetReleaseAnnotation", "GetProjectInfo"]
        return wire.fetch(token)

    def _carry_out(self, work: pb.WorkAssignment, files: Mapping[str, str], line: Callable[[str], None]) -> str | None:
        try:
            if self._work is not None:
                self._work(self, work, files, line)
        except RuntimeError as error:
            line(f"ERROR: {error}")
            return str(error)
        return None


def str_type(one: pb.DestinationCapability) -> str:
    return f"{one.organisation}/{one.name}@{one.version}"
