"""`command:Run`, `command:Script`: programs on the step's host. Must not know the bus.

The line is a string for the shell, as people type it: pipes, `&&` and variables work, and nothing that comes from
outside is pasted into it. A script of several lines ends with the first one that fails (`sh -e`), unless its author says
otherwise. The deployment's dynamic values are variables of the program: `cart-id` is `RE_DYNAMIC_CART_ID`, in capitals and
with `_` for whatever is neither A to Z, a digit nor `_`; strings as they are, all else as JSON. The prefix is why no caller
can set PATH or LD_PRELOAD.

On a host of the inventory the program runs there, with a record (hosts/). A host that the inventory does not have is a name: the
program runs on this machine, once for each of the step's hosts, with `RE_HOST` naming it, as it always did.

Programs have no way to what is the engine's (confinement.py). Each runs in a session of its own, so that it can be
ended with all its children, and its environment names the step that started it (orphans.py).
"""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from re_core.playbook.formats import carried, variable_of, variable_problems
from re_core.runtime import killing
from re_workers.context import Call, Context
from re_workers.host_handle import HostHandle, Ran
from re_workers.hosts.agent import line
from re_workers.limits import at_least, at_most, fits, items, public
from re_workers.outcomes import Cancelled, Failed, Lost
from re_workers.outgoing import MAX_LINE
from re_workers.running_attempts import RunningAttempts
from re_workers.sdk import Change, Worker, step
from re_workers.steps.confinement import Confinement
from re_workers.steps.orphans import ATTEMPT, ENGINE
from re_workers.steps.program import Program

#: lines of output that a failure repeats
LAST_LINES = 5

#: which host this run is for
HOST = "RE_HOST"

#: to which trace what the program does belongs, as tracing libraries and CI systems read it (W3C Trace Context)
TRACEPARENT = "TRACEPARENT"

#: shells that know `-e`
SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"})

#: where a program gets a secret
_BY_ENVIRONMENT = "give it to the program as a variable, env: {NAME: {secret: …}}, and use $NAME"

_Text = Annotated[str, fits("re-text")]
_Word = Annotated[str, fits("re-text"), public(_BY_ENVIRONMENT)]
_Path = Annotated[str, fits("re-path")]
_Words = _Word | Annotated[list[_Word], items(1, 100)]
_Env = dict[Annotated[str, fits("re-variable")], _Text] | None
_Code = Annotated[int, at_least(0), at_most(255)]
_Creates = Annotated[_Path | None, "a path: where it is there, nothing is run"]
_Removes = Annotated[_Path | None, "a path: where it is not there, nothing is run"]

_Unchanged = Annotated[
    Annotated[list[_Code], items(1, 20)] | None,
    "exit codes that count as success, and mean that it has changed nothing",
]
_ChangedIf = Annotated[
    _Text | None, "it has changed something only where one of the last five lines of its output has this text"
]

#: whether something is at `$1`: exit code 0, or 1
_IS_THERE = '[ -e "$1" ] || [ -L "$1" ]'
#: before the program that runs it: puts what comes on standard input into a file
_SCRIPT = r"""
RE_FILE=$(umask 077 && mktemp) || exit 1
trap 'rm -f -- "$RE_FILE"' EXIT
trap 'exit 143' TERM
cat >"$RE_FILE" || exit 1
"""


class _Wanted(NamedTuple):
    """What a step asks of its host."""

    script: str
    cwd: str
    env: dict[str, str]
    stdin: str
    ok: tuple[int, ...]
    creates: str | None
    removes: str | None
    unchanged: tuple[int, ...] = ()
    changed_if: str | None = None

    def has_changed(self, ran: Ran) -> bool:
        """Whether it has changed something, as far as its author says how that is seen."""
        said = self.changed_if is None or any(self.changed_if in one for one in ran.last)
        return said and ran.code not in self.unchanged


class Command(Worker):
    """Runs command lines."""

    slots: ClassVar[int | None] = 16

    def __init__(
        self, engine: str = "", notes: RunningAttempts | None = None, confinement: Confinement | None = None
    ) -> None:
        """`engine` names this installation; a later start finds by it what an earlier one left running.

        `notes` keep which attempts run a program, where no other process knows it then. `confinement` starts the programs.
        """
        self._engine = engine
        self._notes = notes
        self._confinement = confinement or Confinement(isolation="off")

    def records(self, call: Call) -> bool:
        """A record on the worker's own machine is out of reach of a worker on another one."""
        return call.reaches or (self.alone and call.stays)

    @step(environment=True, recorded=True)
    def Run(
        self,
        ctx: Context,
        cmd: Annotated[str, fits("re-script"), public(_BY_ENVIRONMENT)],
        cwd: Annotated[str, fits("re-path")] | None = None,
        env: _Env = None,
        shell: _Words = "/bin/sh",
        failfast: bool | None = None,
        stdin: Annotated[str, "what the program reads", fits("re-text"), public(_BY_ENVIRONMENT)] = "",
        ok: Annotated[
            list[_Code] | None, "exit codes that count as success; 0 where nothing is said", items(1, 20)
        ] = None,
        creates: _Creates = None,
        removes: _Removes = None,
        unchanged: _Unchanged = None,
        changed_if: _ChangedIf = None,
    ) -> object:
        """Runs `cmd` with the shell on the host; fails with an exit code that is not 0, or none of `ok`.

        Returns data only where `ok`, `creates`, `removes`, `unchanged` or `changed_if` is given: whether it has changed something, and
        its exit code.
        """
        argv = _argv(shell, failfast, cmd)
        variables = _variables(ctx)
        asked = bool(ok or creates or removes or unchanged or changed_if)
        if ctx.call.rows or stdin or asked:
            given, said = {**variables, **(env or {})}, (creates, removes, tuple(unchanged or ()), changed_if)
            wanted = _Wanted(f"exec {line(argv)}", cwd or "", given, stdin, _well(ok, unchanged), *said)
            data = self._on_host(ctx, wanted)
            return data if asked else None
        self._here(ctx, argv, cwd, {**self._confinement.environment(), **variables, **(env or {})})
        return None

    @step(environment=True, recorded=True)
    def Script(
        self,
        ctx: Context,
        script: Annotated[str, "all of the file, which stands on the host while it runs", public(_BY_ENVIRONMENT)],
        interpreter: Annotated[_Words, "what runs it"] = "/bin/sh",
        args: Annotated[list[_Word] | None, "that the script gets", items(0, 1000)] = None,
        cwd: Annotated[str, fits("re-path")] | None = None,
        env: _Env = None,
        ok: Annotated[
            list[_Code] | None, "exit codes that count as success; 0 where nothing is said", items(1, 20)
        ] = None,
        creates: _Creates = None,
        removes: _Removes = None,
        unchanged: _Unchanged = None,
        changed_if: _ChangedIf = None,
    ) -> object:
        """Runs a script of any language on the host. Returns whether it has changed something, and its exit code."""
        if "\0" in script:
            raise Failed("a script has no NUL")
        words = [interpreter] if isinstance(interpreter, str) else interpreter
        runs_it = f'{_SCRIPT}{line(words)} "$RE_FILE" {line(args or [])} </dev/null'
        given = {**_variables(ctx), **(env or {})}
        said = creates, removes, tuple(unchanged or ()), changed_if
        return self._on_host(ctx, _Wanted(runs_it, cwd or "", given, script, _well(ok, unchanged), *said))

    @Run.plan
    def _(self, ctx: Context, creates: str | None = None, removes: str | None = None, **named: Any) -> Change:
        return _foreseen(ctx, creates, removes)

    @Script.plan
    def _(self, ctx: Context, creates: str | None = None, removes: str | None = None, **named: Any) -> Change:
        return _foreseen(ctx, creates, removes)

    def _on_host(self, ctx: Context, wanted: _Wanted) -> dict[str, object]:
        """On each of them; data of the last one, for there is one but in messages of 2014."""
        data: dict[str, object] = {}
        for host in ctx.on_hosts():
            mine = {HOST: host.name, **({TRACEPARENT: ctx.traceparent} if ctx.traceparent else {})}
            if why := _needless(host, wanted.creates, wanted.removes):
                ctx.output(f"{host.name}: unchanged: {why}")
                data = {"changed": False, "code": None}
                continue
            env = {**wanted.env, **mine}
            ran = host.run(wanted.script, env=env, stdin=wanted.stdin, cwd=wanted.cwd, ok=wanted.ok)
            data = {"changed": wanted.has_changed(ran), "code": ran.code}
        return data

    def _here(self, ctx: Context, argv: list[str], cwd: str | None, given: dict[str, str]) -> None:
        with self._notes.noted(ctx.attempt_id) if self._notes else nullcontext():
            for host in ctx.hosts or (None,):
                ctx.check()
                mine = {ENGINE: self._engine, ATTEMPT: ctx.attempt_id, **({} if host is None else {HOST: host})}
                if ctx.traceparent:
                    mine[TRACEPARENT] = ctx.traceparent
                self._run(ctx, argv, cwd, {**given, **mine})

    def _run(self, ctx: Context, argv: list[str], cwd: str | None, env: dict[str, str]) -> None:
        try:
            program = Program(argv, cwd or self._confinement.directory(), env, self._confinement.start)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise Failed(f"could not start {argv[0]}: {error}") from None
        last: deque[str] = deque(maxlen=LAST_LINES)
        try:
            for lines in program.lines(ctx.cancelled):
                last.extend(lines)
                ctx.output("".join(f"{line}\n" for line in lines))
            if left := program.left():
                ctx.output(f"[left behind: {left}; further output of it is dropped]")
        finally:
            program.end()
        if program.stays:
            raise Lost(f"{argv[0]} goes on, {killing.STAYS}")
        if program.stopped:
            raise Cancelled(ctx.cancel_reason, {"output": list(last)} if last else None)
        if program.code != 0:
            if hint := self._confinement.hint(last):
                ctx.output(hint)
            # the lines may be the beginnings of longer ones, in which nothing can be redacted later that their end divides
            shown = [ctx.beginning(line, MAX_LINE) for line in last]
            raise Failed(_failure(program.code, shown), data={"code": program.code, "output": shown})


def _variables(ctx: Context) -> dict[str, str]:
    """The deployment's dynamic values. Raises Failed where one cannot be a variable."""
    wrong = next(variable_problems(ctx.dynamic), None)
    if wrong is not None:
        raise Failed(wrong.message)
    return {variable_of(name): carried(value) for name, value in ctx.dynamic.items()}


def _well(ok: list[int] | None, unchanged: list[int] | None) -> tuple[int, ...]:
    return (*(ok or (0,)), *(unchanged or ()))


def _needless(host: HostHandle, creates: str | None, removes: str | None) -> str:
    """Why nothing is to be run; empty where it is."""
    if creates is not None and host.run(_IS_THERE, creates, quiet=True, ok=(0, 1)).code == 0:
        return f"{creates} is there"
    if removes is not None and host.run(_IS_THERE, removes, quiet=True, ok=(0, 1)).code == 1:
        return f"{removes} is not there"
    return ""


def _foreseen(ctx: Context, creates: str | None, removes: str | None) -> Change:
    why = _needless(ctx.host, creates, removes)
    return Change("no", why=why) if why else Change("unknown", why="what a program does is known to it alone")


def _argv(shell: str | list[str], failfast: bool | None, cmd: str) -> list[str]:
    """`failfast` None: in a script of several lines, where the shell is one that we know and its author gave no options."""
    words = [shell] if isinstance(shell, str) else shell
    if failfast is None:
        failfast = isinstance(shell, str) and Path(shell).name in SHELLS and "\n" in cmd.strip()
    return [*words, *(["-e"] if failfast else []), "-c", cmd]


def _failure(code: int, last: Sequence[str]) -> str:
    why = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
    return f"{why}: {last[-1]}" if last else why
