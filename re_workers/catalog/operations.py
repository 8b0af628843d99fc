"""What the steps of the catalogue have in common: look at a host, decide, act. Must not know any of them.

An operation is what is wanted, as a value. It looks by one script, which prints facts; decides by those alone, so that its
decision can be tested without a host and be asked for without acting; and acts by scripts. Run again it finds what it wants, and
does nothing.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Concatenate, Literal, NamedTuple, ParamSpec, Protocol, TypedDict, TypeVar

from re_workers.context import Call, Context
from re_workers.host_handle import HostHandle
from re_workers.outcomes import Failed
from re_workers.sdk import Change, Method, Worker, step

#: begins every script of the catalogue: words that programs print are the same everywhere, and nothing asks a person
_ENVIRONMENT = "LC_ALL=C LANGUAGE=C; export LC_ALL LANGUAGE\n"

#: what a look prints its facts with. A value of `fact` is one line
_PRELUDE = (
    _ENVIRONMENT
    + r"""fact() { printf '@%s=%s\n' "$1" "$2"; }
fact_text() { printf '@%s:%s\n' "$1" "$(printf %s "$2" | base64 | tr -d '\n')"; }
fact_file() { printf '@%s:%s\n' "$1" "$(base64 <"$2" | tr -d '\n')"; }
has() { for one; do command -v "$one" >/dev/null 2>&1 && printf '%s ' "$one"; done; }
"""
)
#: seconds that a look may take
LOOK_LIMIT = 300.0

_FACT = re.compile(r"@(\w+)([=:])(.*)")

Will = Literal["yes", "no", "unknown"]

#: in place of a difference of a step that has secrets
NOT_SHOWN = "the difference is not shown: the step has secrets, and it could quote what one was before"

_Worker = TypeVar("_Worker", bound=Worker)
_Parameters = ParamSpec("_Parameters")


class Changed(TypedDict):
    """What most steps return."""

    #: false: it was so already, and nothing was done
    changed: bool


class Act(NamedTuple):
    """A script for `sh`."""

    script: str
    #: its `$1` …; never pasted into it
    args: tuple[str, ...] = ()
    #: its variables; only they may be secret
    env: Mapping[str, str] = {}
    stdin: str = ""
    #: for people, before it runs: "install nginx"
    words: str = ""
    #: exit codes that are well
    ok: tuple[int, ...] = (0,)
    #: what it prints is not in the output
    quiet: bool = False


class Source(NamedTuple):
    """A content that is not of the host."""

    #: for people: "the artifact shop-1.4"
    words: str
    #: SHA-256 by which it is known
    digest: str
    size: int
    #: its bytes, to be read from their beginning
    open: Callable[[], AbstractContextManager[BinaryIO]]
    #: the same where they are few
    content: bytes | None = None


class Staged(NamedTuple):
    """What has to be on the host before the acts, for the time that they take."""

    source: Source
    #: where it is stored
    path: str
    #: makes the place for it
    before: Act | None = None


class Decision(NamedTuple):
    """What is to be done."""

    will: Will
    diff: str = ""
    #: for people: why, or what is there already
    why: str = ""
    acts: tuple[Act, ...] = ()
    #: what the step returns, beside `changed`
    result: Mapping[str, Any] = {}
    #: what the acts, or `then`, find on the host
    staged: Staged | None = None
    #: what is to be done with what is staged, once that can be looked at; in place of acts
    then: Operation | None = None
    #: look again after acting: the step returns what is there then, and fails where that is not what was wanted
    confirm: bool = False
    #: the rest of what the step returns, of the facts that the last act ends with, at most LAST_LINES; raises Failed for what it refused
    read: Callable[[Mapping[str, str]], Mapping[str, Any]] | None = None
    #: the difference quotes contents of the host, which may have what a secret of the step was before
    quotes: bool = False


class Operation(Protocol):
    """What is wanted of a host."""

    def look(self) -> Act:
        """The script that prints what must be known of the host."""
        ...

    def decide(self, found: Mapping[str, str]) -> Decision:
        """By these facts. Pure. Raises Failed where it cannot be done there: what is missing, what to do."""
        ...


class HostWorker(Worker):
    """A worker whose steps act on hosts."""

    def records(self, call: Call) -> bool:
        """A record on the worker's own machine is out of reach of a worker on another one."""
        return call.reaches or (self.alone and call.stays)


def operation_step(
    returns: Any = Changed, *, idempotent: bool = True, timeout: float | None = None
) -> Callable[
    [Callable[Concatenate[_Worker, Context, _Parameters], Operation]],
    Method[_Worker, Concatenate[Context, _Parameters], dict[str, Any]],
]:
    """Make a step, with its plan, of a method that returns what is wanted; `returns`: the type of its data.

    @operation_step()
    def Start(self, ctx: Context, service: str) -> Operation:
        return Service("start", service)
    """

    def mark(make: Callable[..., Operation]) -> Any:
        @functools.wraps(make)
        def act(worker: Worker, ctx: Context, **arguments: Any) -> dict[str, Any]:
            return carry_out(ctx, make(worker, ctx, **arguments))

        @functools.wraps(make)
        def plan(worker: Worker, ctx: Context, **arguments: Any) -> Change:
            return foresee(ctx, make(worker, ctx, **arguments))

        act.__annotations__ = {**make.__annotations__, "return": returns}
        marked: Any = step(recorded=True, idempotent=idempotent, timeout=timeout)(act)
        marked.plan(plan)
        return marked

    return mark


def only_looks(marked: Any) -> Any:
    """Of a step that changes nothing: say so as its plan. Stands above `step`."""

    @functools.wraps(marked)
    def plan(worker: Worker, ctx: Context, **arguments: Any) -> Change:
        return Change("no", why="it only looks")

    marked.plan(plan)
    return marked


def carry_out(ctx: Context, operation: Operation, host: HostHandle | None = None) -> dict[str, Any]:
    """Do it, on the step's host: `{"changed": …}` with the operation's result.

    Raises Failed, Cancelled, Lost as HostHandle.run.
    """
    handle = host or ctx.host
    decision = operation.decide(found_by(handle, operation.look()))
    if decision.will == "no":
        ctx.output(f"{handle.name}: unchanged" + (f": {decision.why}" if decision.why else ""))
        return {"changed": False, **decision.result}
    if decision.diff:
        ctx.output(NOT_SHOWN if decision.quotes and ctx.secret_parameters else decision.diff.rstrip("\n"))
    if decision.staged is not None:
        _stage(ctx, handle, decision.staged)
    if decision.then is not None:
        return {**_done_with(ctx, handle, decision), **decision.result}
    last = ""
    for act in decision.acts:
        last = perform_act(handle, act, ctx)
    if decision.read is not None:
        return {"changed": True, **decision.result, **decision.read(facts_of(last))}
    if decision.confirm:
        decision = operation.decide(found_by(handle, operation.look()))
        if decision.will == "yes":
            raise Failed(f"{handle.name}: all was done, and it is not as it should be: {decision.why}")
    return {"changed": True, **decision.result}


def _stage(ctx: Context, handle: HostHandle, staged: Staged) -> None:
    if staged.before is not None:
        perform_act(handle, staged.before, ctx)
    ctx.output(f"{handle.name}: send {staged.source.words} ({staged.source.size} bytes)")
    with staged.source.open() as stream:
        handle.put(stream, staged.path, mode=0o600)


def _done_with(ctx: Context, handle: HostHandle, decision: Decision) -> dict[str, Any]:
    """What comes of the staged file, which goes in any case."""
    assert decision.then is not None  # noqa: S101  # the caller has looked
    try:
        return carry_out(ctx, decision.then, handle)
    except Failed:
        if decision.staged is not None:
            handle.run('rm -f -- "$1"', decision.staged.path, quiet=True, check=False)
        raise


def foresee(ctx: Context, operation: Operation, host: HostHandle | None = None) -> Change:
    """What it would change; only looks. Raises as `carry_out`."""
    decision = operation.decide(found_by(host or ctx.host, operation.look()))
    return Change(decision.will, decision.diff, decision.why)


def found_by(handle: HostHandle, look: Act) -> dict[str, str]:
    """The facts that a look has printed. Raises Failed with what else it has printed where it failed."""
    ran = handle.run(
        _PRELUDE + look.script, *look.args, env=look.env, stdin=look.stdin, quiet=True, check=False, timeout=LOOK_LIMIT
    )
    if ran.code not in look.ok:
        said = [line for line in ran.out.splitlines() if not line.startswith("@")]
        raise Failed(f"{handle.name}: looking failed with exit code {ran.code}: {' / '.join(said[-3:]) or 'no output'}")
    return facts_of(ran.out)


def perform_act(handle: HostHandle, act: Act, ctx: Context) -> str:
    """Run it; its last lines, where it may say facts too: these are not in the output."""
    if act.words:
        ctx.output(f"{handle.name}: {act.words}")
    script = _PRELUDE + act.script
    ran = handle.run(script, *act.args, env=act.env, stdin=act.stdin, ok=act.ok, quiet=act.quiet, hide=_FACT)
    return "\n".join(ran.last)


def facts_of(text: str) -> dict[str, str]:
    """Of the lines that a look has printed. Pure. What is no fact is left out."""
    found = {}
    for line in text.splitlines():
        if match := _FACT.fullmatch(line):
            name, form, value = match.groups()
            found[name] = value if form == "=" else _decoded(value)
    return found


def content_of(value: str) -> bytes:
    """The bytes that `fact_file` has printed, as `found` has them."""
    return value.encode("utf-8", "surrogateescape")


def _decoded(value: str) -> str:
    """Bytes that are no UTF-8 stay what they are: see `content_of`."""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except binascii.Error:
        return ""
