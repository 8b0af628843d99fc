"""For authors of workers: run one step in a test, in one line, without an engine. Must not know the bus.

assert run(Greet(), "greet:Hello", {"name": "Ann"}).output == ["Hello Ann"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from re_core.errors import BadDocument
from re_core.wire import strict_json
from re_core.wire.messages import OUTPUT, Notification, parse_notification, parse_output
from re_core.wire.redaction import Redaction
from re_workers.context import Call, Context
from re_workers.outcomes import Outcome, encode
from re_workers.outgoing import Origin, Outgoing
from re_workers.perform import perform
from re_workers.sdk import Worker


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
) -> Result:
    """Run the step `command:Subcommand` as the engine would, parameters checked, and say how it went.

    `parameters` are those of the playbook; the values of `dynamic` stand for those that `parameters` names under
    `dynamic`. `cancelled`: it was cancelled before it began. `redaction`: what the
    settings would cut out. Raises ValueError where `name` is another worker's.
    """
    command, _, subcommand = name.partition(":")
    if command != worker.command:
        raise ValueError(f"{name!r} is not one of {worker.command}'s steps")
    given = strict_json.loads(strict_json.dumps(dict(parameters or {})))
    values = strict_json.loads(strict_json.dumps(dict(dynamic or {})))
    call = Call("test/0/1", "test", 0, 1, command, subcommand, group, tuple(hosts), values, timeout)
    outgoing = Outgoing(Origin("test", 0, "test/0/1/test"), redaction=redaction)
    context = Context(call, outgoing)
    if cancelled:
        context.cancel()
    return _result(_outcome(worker, context, given), outgoing)


def _outcome(worker: Worker, context: Context, given: Mapping[str, Any]) -> Outcome:
    step = worker.find(context.subcommand)
    if step is None:
        return Outcome("failed", None, worker.unknown(context.subcommand))
    supplied = {name: context.dynamic[name] for name in given.get("dynamic", ()) if name in context.dynamic}
    try:
        arguments = step.signature.bind(given, supplied)
    except BadDocument as error:
        return Outcome("failed", None, str(error))
    return perform(worker, step, context, arguments)


def _result(outcome: Outcome, outgoing: Outgoing) -> Result:
    sent = strict_json.loads(encode(outcome, outgoing.redaction))
    output: list[str] = []
    notifications = []
    for message in outgoing.drain():
        if message.key == OUTPUT:
            output += parse_output(message.body).split("\n")
        else:
            notifications.append((message.key.removeprefix("notify."), parse_notification(message.body)))
    return Result(sent["status"], sent.get("data"), sent.get("message"), output, notifications)
