"""For authors of workers: run one step in a test, in one line, without an engine. Must not know the bus.

assert run(Greet(), "greet:Hello", {"name": "Ann"}).output == ["Hello Ann"]

What a step runs on its host, runs on this machine; or nowhere, where a ScriptedHost answers in its place:

host = ScriptedHost({"uname -s": "Linux\n", "rm ": (1, "denied\n")})
assert run(Greet(), "greet:Kernel", host=host).data == "Linux"
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, BinaryIO, NamedTuple

from re_core.errors import BadDocument
from re_core.wire import strict_json
from re_core.wire.messages import OUTPUT, PROGRESS, Notification, parse_notification, parse_output
from re_core.wire.redaction import Redaction
from re_workers.context import Call, Context
from re_workers.held_artifacts import Held, HeldArtifacts
from re_workers.host_handle import Rows, Runner, new_run_id
from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.direct import DirectRunner
from re_workers.hosts.port import AS_IT_WAS, Claim, Ended, Got, Put, Run, Say, Stored, TransferFailed
from re_workers.outcomes import Outcome, encode
from re_workers.outgoing import Origin, Outgoing
from re_workers.perform import perform
from re_workers.sdk import Change, Step, Worker
from re_workers.stored_results import LARGE

#: what a run of a ScriptedHost answers: what it prints, or its exit code and what it prints
Answer = str | tuple[int, str]


_ORIGIN = Origin("test", 0, "test/0/1/test")


class ScriptedHost:
    """A host that gives the answers of a table. Nothing is run."""

    def __init__(
        self,
        answers: Mapping[str, Answer | Callable[[Run], Answer]],
        *,
        vars: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """`answers`: a text that a run's script has -> what it answers; the first one that is in it counts. `vars`: of the inventory.
        `files`: path -> what it has."""
        self._answers = answers
        #: path -> its bytes: those that were given, and what the step has put there
        self.files = dict(files or {})
        #: path -> how the step wanted it stored
        self.stored: dict[str, Put] = {}
        #: the inventory's row
        self.row = {"vars": dict(vars or {})}
        #: what was run, in order
        self.runs: list[Run] = []

    def run(
        self,
        run: Run,
        say: Say,
        stop: threading.Event,
        leave: threading.Event | None = None,
        claim: Claim = Claim(),  # noqa: B008  # it is immutable
    ) -> Ended:
        """Raises AssertionError for a run that no answer is for."""
        self.runs.append(run)
        for text, answer in self._answers.items():
            if text in run.script:
                found = answer(run) if callable(answer) else answer
                code, output = (0, found) if isinstance(found, str) else found
                say(output.encode())
                return Ended(code, len(output.encode()), 0, False)
        raise AssertionError(f"no answer of the ScriptedHost is for this run:\n{run.script}")

    def put(self, source: BinaryIO, target: str, how: Put = AS_IT_WAS, stop: threading.Event | None = None) -> Stored:
        """Keep it in `files`."""
        content = source.read()
        is_new = self.files.get(target) != content
        self.files[target], self.stored[target] = content, how
        return Stored(len(content), hashlib.sha256(content).hexdigest(), is_new)

    def get(self, path: str, sink: BinaryIO, most: int, stop: threading.Event | None = None) -> Got:
        """Of `files`. Raises TransferFailed as a host does."""
        content = self.files.get(path)
        if content is None:
            raise TransferFailed(f"ScriptedHost: {path!r}: there is no such file")
        if len(content) > most:
            raise TransferFailed(f"ScriptedHost: {path!r}: it has {len(content)} bytes, and {most} are the most")
        sink.write(content)
        return Got(len(content), hashlib.sha256(content).hexdigest())


class Result(NamedTuple):
    """What a step did, as the engine would receive it."""

    #: `completed` or `failed`; `lost`, `declined` or `handed over` where the step raised that
    status: str
    data: Any
    message: str | None
    #: line by line
    output: list[str]
    #: (transport, notification), in order
    notifications: list[tuple[str, Notification]]
    #: those that it was given, and those that it has stored
    artifacts: Mapping[str, Held] = {}


def run(
    worker: Worker,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    dynamic: Mapping[str, Any] | None = None,
    hosts: Sequence[str] = (),
    group: str = "test",
    timeout: float | None = None,
    cancelled: bool = False,
    redaction: Redaction | None = None,
    host: ScriptedHost | Runner | None = None,
    artifacts: Mapping[str, Held] | None = None,
) -> Result:
    """Run the step `command:Subcommand` as the engine would, parameters checked, and say how it went.

    `parameters` are those of the playbook; the values of `dynamic` stand for those that `parameters` names under `dynamic`.
    `cancelled`: it was cancelled before it began. `redaction`: what the settings would cut out. `host`: what its runs reach; None: this
    machine. `artifacts`: those of its group, each a tar.gz or the bytes of its files by `category/path`. Raises ValueError where `name` is
    another worker's, and AssertionError where its data is not what the step declares.
    """
    outgoing = Outgoing(_ORIGIN, redaction=redaction)
    context, given = _context(worker, name, parameters, dynamic, hosts, group, timeout, outgoing, host)
    context.shelf = shelf = HeldArtifacts(artifacts or {})
    if cancelled:
        context.cancel()
    with _Here(context) if host is None else nullcontext():
        outcome = _outcome(worker, context, given)
    step = worker.find(context.subcommand)
    if step is not None and outcome.status == "completed" and (returned := step.signature.returned) is not None:
        is_stored = isinstance(outcome.data, dict) and outcome.data.get("file") == LARGE
        problem = "" if is_stored else returned.problem(outcome.data)
        assert not problem, problem  # noqa: S101 - it is for tests
    return _result(outcome, outgoing)._replace(artifacts=shelf.held)


def plan(
    worker: Worker,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    dynamic: Mapping[str, Any] | None = None,
    hosts: Sequence[str] = (),
    host: ScriptedHost | Runner | None = None,
    artifacts: Mapping[str, Held] | None = None,
) -> Change:
    """What the step says that it would change. Raises ValueError where it says nothing, and what its plan raises."""
    context, given = _context(worker, name, parameters, dynamic, hosts, "test", None, Outgoing(_ORIGIN), host)
    context.shelf = HeldArtifacts(artifacts or {})
    step = worker.find(context.subcommand)
    if step is None or step.plan is None:
        raise ValueError(f"{name!r} has no plan")
    with _Here(context) if host is None else nullcontext():
        return step.plan(worker, context, **_bound(step, context, given))


class _Here:
    """This machine as the host of a test: its records are gone when the step is over."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> None:
        self._context.reach = self._reached

    def __exit__(self, *ended: object) -> None:
        if self._directory is not None:
            self._directory.cleanup()

    def _reached(self, name: str, rows: Rows) -> Runner:
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="re-test-")
        return DirectRunner(LocalChannel(name), self._directory.name)


def _context(
    worker: Worker,
    name: str,
    parameters: Mapping[str, Any] | None,
    dynamic: Mapping[str, Any] | None,
    hosts: Sequence[str],
    group: str,
    timeout: float | None,
    outgoing: Outgoing,
    host: ScriptedHost | Runner | None,
) -> tuple[Context, dict[str, Any]]:
    command, _, subcommand = name.partition(":")
    if command != worker.command:
        raise ValueError(f"{name!r} is not one of {worker.command}'s steps")
    given = strict_json.loads(strict_json.dumps(dict(parameters or {})))
    values = strict_json.loads(strict_json.dumps(dict(dynamic or {})))
    row = host.row if isinstance(host, ScriptedHost) else {}
    rows = dict.fromkeys(hosts or ("localhost",), row) if row else {}
    call = Call("test/0/1", "test", 0, 1, command, subcommand, group, tuple(hosts), values, timeout, rows)
    context = Context(call, outgoing)
    if host is not None:
        reached: Runner = host
        context.reach = lambda name, rows: reached
    if not isinstance(host, ScriptedHost):
        context.run_id = new_run_id()  # the records of the last test may be there
    return context, given


def _outcome(worker: Worker, context: Context, given: Mapping[str, Any]) -> Outcome:
    step = worker.find(context.subcommand)
    if step is None:
        return Outcome("failed", None, worker.unknown(context.subcommand))
    try:
        arguments = _bound(step, context, given)
    except BadDocument as error:
        return Outcome("failed", None, str(error))
    return perform(worker, step, context, arguments)


def _bound(step: Step, context: Context, given: Mapping[str, Any]) -> dict[str, Any]:
    supplied = {name: context.dynamic[name] for name in given.get("dynamic", ()) if name in context.dynamic}
    return step.signature.bind(given, supplied)


def _result(outcome: Outcome, outgoing: Outgoing) -> Result:
    sent = strict_json.loads(encode(outcome, outgoing.redaction))
    output: list[str] = []
    notifications = []
    for message in outgoing.drain():
        if PROGRESS in message.headers:
            continue
        if message.key == OUTPUT:
            output += parse_output(message.body).removesuffix("\n").split("\n")
        else:
            notifications.append((message.key.removeprefix("notify."), parse_notification(message.body)))
    return Result(sent["status"], sent.get("data"), sent.get("message"), output, notifications)
