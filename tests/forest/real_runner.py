"""A program that behaves as the real forest-runner does with `forest/flux@1`: serial, silent, and without a retry.

    FOREST_SERVER_ADDR=http://127.0.0.1:7070 FOREST_RUNNER_ID=build-1.<secret> python -m tests.forest.real_runner

It never sends WorkAck, ignores RegisterAck, sends a heartbeat every 30 s, executes one assignment after the other, fetches in a fixed
order, drops a release silently where anything fails before its handler runs, and completes over the channel that it has although its
stream has broken. After the end of a session it waits (RUNNER_PAUSE, 5 s) and registers again. It prints its id and its tokens.

For tests a destination's metadata may have `say`, a line that is printed, `hold`, a file that must appear before the work goes on, and
`fail`, a file that makes it fail then if it is there.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc

from re_gateways.forest import runner_pb2 as pb

#: seconds between two heartbeats, and by default between two sessions
HEARTBEAT, PAUSE = 30.0, 5.0

_SERVICE = "/forest.v1.RunnerService/"


class HandlerFailed(Exception):
    """The handler could not deploy; the only failure that the gateway hears of."""


class Calls:
    """The calls of one release, all on the runner's one channel."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._channel, self._token = channel, token
        self._lines: queue.Queue[pb.PushLogRequest | None] = queue.Queue()
        push = channel.stream_unary(
            f"{_SERVICE}PushLogs", pb.PushLogRequest.SerializeToString, pb.PushLogResponse.FromString
        )
        self._pushing = push.future(iter(self._lines.get, None))

    def line(self, text: str, channel: str = "stdout") -> None:
        """One line of the log."""
        print(text, flush=True)
        now = int(time.time() * 1000)
        self._lines.put(pb.PushLogRequest(release_token=self._token, channel=channel, line=text, timestamp=now))

    def files(self, method: str, request: Any) -> dict[str, str]:
        """Name -> content of a stream of files. A name that comes twice is an error, as it is to the real one."""
        call = self._channel.unary_stream(
            f"{_SERVICE}{method}", type(request).SerializeToString, pb.ReleaseFile.FromString
        )
        found: dict[str, str] = {}
        for one in call(request):
            if one.file_name in found:
                raise FileExistsError(one.file_name)
            found[one.file_name] = one.file_content
        return found

    def one(self, method: str, request: Any, answer: Any) -> Any:
        """The answer to a single call."""
        call = self._channel.unary_unary(f"{_SERVICE}{method}", type(request).SerializeToString, answer.FromString)
        return call(request)

    def end_log(self) -> None:
        """Half-close the log; an error there never mattered."""
        self._lines.put(None)
        try:
            self._pushing.result(5)
        except (grpc.RpcError, grpc.FutureTimeoutError) as error:
            print(f"warning: logs: {_why(error)}", flush=True)


class RealRunner:
    """One runner: sessions, one after the other, for ever."""

    def __init__(self, address: str, runner_id: str, at_once: int, pause: float) -> None:
        self._address = address.removeprefix("http://")
        self._id, self._at_once, self._pause = runner_id, at_once, pause
        self._active = 0

    def run(self) -> None:
        """Until it is killed."""
        while True:
            # it closes at the end of the program alone: a release goes on over it after its session has ended
            channel = grpc.insecure_channel(self._address)
            try:
                self._session(channel)
                print("session ended", flush=True)
            except grpc.RpcError:
                print("failed to register runner", flush=True)
            finally:
                channel.close()
            time.sleep(self._pause)

    def _session(self, channel: grpc.Channel) -> None:
        over = threading.Event()
        register = channel.stream_stream(
            f"{_SERVICE}RegisterRunner", pb.RunnerMessage.SerializeToString, pb.ServerMessage.FromString
        )
        answers = register(self._messages(over))
        try:
            for message in answers:
                if message.HasField("work_assignment"):
                    self._work(channel, message.work_assignment)
                else:
                    print(f"registered as {self._id}", flush=True)
        finally:
            over.set()

    def _messages(self, over: threading.Event) -> Iterator[pb.RunnerMessage]:
        flux = pb.DestinationCapability(organisation="forest", name="flux", version=1)
        hello = pb.RunnerRegister(runner_id=self._id, capabilities=[flux], max_concurrent=self._at_once)
        yield pb.RunnerMessage(register=hello)
        while not over.is_set():
            yield pb.RunnerMessage(heartbeat=pb.RunnerHeartbeat(active_releases=self._active))
            over.wait(HEARTBEAT)

    def _work(self, channel: grpc.Channel, work: pb.WorkAssignment) -> None:
        """One assignment; the next message of the stream is read after it."""
        print(f"assigned {work.release_id} release_token={work.release_token}", flush=True)
        kind = work.destination.type
        if (kind.organisation, kind.name, kind.version) != ("forest", "flux", 1):
            print(f"error: no handler for {kind.organisation}/{kind.name}@{kind.version}", flush=True)
            return
        self._active = 1
        calls = Calls(channel, work.release_token)
        try:
            self._release(calls, work)
        except Exception as error:  # whatever it is, the real one only logs it
            print(f"error: release {work.release_id}: {_why(error)}", flush=True)
        finally:
            calls.end_log()
            self._active = 0

    def _release(self, calls: Calls, work: pb.WorkAssignment) -> None:
        token = work.release_token
        files = calls.files("GetReleaseFiles", pb.GetReleaseFilesRequest(release_token=token))
        calls.files("GetSpecFiles", pb.GetSpecFilesRequest(release_token=token))
        annotation = pb.GetReleaseAnnotationRequest(release_token=token)
        calls.one("GetReleaseAnnotation", annotation, pb.ReleaseAnnotationResponse)
        project = calls.one("GetProjectInfo", pb.GetProjectInfoRequest(release_token=token), pb.ProjectInfoResponse)
        done = pb.CompleteReleaseRequest(release_token=token, outcome=pb.RELEASE_OUTCOME_SUCCESS)
        try:
            _flux(calls.line, work, files, f"{project.organisation}-{project.project}")
        except HandlerFailed as error:
            calls.line(f"ERROR: {error}", "stderr")
            done = pb.CompleteReleaseRequest(
                release_token=token, outcome=pb.RELEASE_OUTCOME_FAILURE, error_message=str(error)
            )
        calls.one("CompleteRelease", done, pb.CompleteReleaseResponse)
        print(f"completed {work.release_id}", flush=True)


def _flux(say: Callable[[str], None], work: pb.WorkAssignment, files: Mapping[str, str], name: str) -> None:
    """As the handler of forest/flux@1 with a local directory. Raises HandlerFailed."""
    metadata = work.destination.metadata
    for key in ("cluster_name", "namespace", "local_path"):
        if key not in metadata:
            raise HandlerFailed(f"destination prepare failed: invalid flux destination metadata: missing field `{key}`")
    manifests = dict(_manifests(work.destination, files))
    if not manifests:
        raise HandlerFailed(f"destination prepare failed: no manifests for destination {work.destination.name}")
    say(f"prepared {len(manifests)} manifest(s) for {work.destination.name}")
    if "say" in metadata:
        say(metadata["say"])
    if "hold" in metadata:
        _await(Path(metadata["hold"]))
    if "fail" in metadata and Path(metadata["fail"]).exists():
        raise HandlerFailed("kustomization is not valid")
    if work.mode == pb.RELEASE_MODE_PLAN:
        return
    place = "/".join([work.destination.environment, work.destination.name, metadata["cluster_name"]])
    folder = Path(metadata["local_path"]) / "releases" / place / metadata["namespace"] / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in manifests.items():
        (folder / file).write_text(content)
    say(f"applied to {metadata['cluster_name']}/{metadata['namespace']}")


def _manifests(destination: pb.DestinationInfo, files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """`<environment>/<entry>/forest/flux@1/<file>`, where the entry is a pattern for the destination's name."""
    for path, content in files.items():
        parts = path.split("/")
        fits = len(parts) == 5 and parts[0] == destination.environment and parts[2:4] == ["forest", "flux@1"]
        if fits and re.search(parts[1], destination.name):
            yield parts[4], content


def _await(file: Path) -> None:
    while not file.exists():
        time.sleep(0.02)


def _why(error: BaseException) -> str:
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        return f"{error.code().name}: {error.details()}"
    return repr(error)


def main() -> None:
    """The program."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if file := os.environ.get("RUNNER_PID_FILE"):
        Path(file).write_text(str(os.getpid()))
    address = os.environ.get("FOREST_SERVER_ADDR", "")
    if not address.startswith("http://"):
        sys.exit("error: FOREST_SERVER_ADDR is not an http:// address")
    name = os.environ.get("FOREST_RUNNER_ID") or f"runner-{uuid.uuid4()}"
    print(f"starting runner {name}", flush=True)
    at_once = int(os.environ.get("FOREST_MAX_CONCURRENT", "4"))
    RealRunner(address, name, at_once, float(os.environ.get("RUNNER_PAUSE", PAUSE))).run()


if __name__ == "__main__":
    main()
