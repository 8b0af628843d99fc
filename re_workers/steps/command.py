"""`command:Run`: a command line on this machine, once for each of the step's hosts. Must not know the bus.

The line is a string for the shell, as people type it: pipes, `&&` and variables work, and nothing that comes from
outside is pasted into it. A script of several lines ends with the first one that fails (`sh -e`), unless its author says
otherwise. The deployment's dynamic values are variables of the program: `cart-id` is `RE_DYNAMIC_CART_ID`, in capitals and
with `_` for whatever is neither A to Z, a digit nor `_`; strings as they are, all else as JSON. The prefix is why no caller
can set PATH or LD_PRELOAD. For now every host's run happens here, with `RE_HOST` naming the host; going there is a matter
for later.

Programs have no way to what is the engine's (confinement.py). Each runs in a session of its own, so that it can be
ended with all its children, and its environment names the step that started it (orphans.py).
"""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, ClassVar

from re_core.playbook.formats import carried, variable_of, variable_problems
from re_workers.context import Context
from re_workers.limits import fits, items, public
from re_workers.outcomes import Cancelled, Failed
from re_workers.outgoing import MAX_LINE
from re_workers.running_attempts import RunningAttempts
from re_workers.sdk import Worker, step
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

    @step(environment=True)
    def Run(
        self,
        ctx: Context,
        cmd: Annotated[str, fits("re-script"), public(_BY_ENVIRONMENT)],
        cwd: Annotated[str, fits("re-path")] | None = None,
        env: dict[Annotated[str, fits("re-variable")], _Text] | None = None,
        shell: _Word | Annotated[list[_Word], items(1, 100)] = "/bin/sh",
        failfast: bool | None = None,
    ) -> None:
        """Runs `cmd` with the shell, on one host after the other; fails with the first exit code that is not 0."""
        wrong = next(variable_problems(ctx.dynamic), None)
        if wrong is not None:
            raise Failed(wrong.message)
        variables = {variable_of(name): carried(value) for name, value in ctx.dynamic.items()}
        given = {**self._confinement.environment(), **variables, **(env or {})}
        argv = _argv(shell, failfast, cmd)
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
                ctx.output("\n".join(lines))
            if left := program.left():
                ctx.output(f"[left behind: {left}; further output of it is dropped]")
        finally:
            program.end()
        if program.stopped:
            raise Cancelled(ctx.cancel_reason, {"output": list(last)} if last else None)
        if program.code != 0:
            if hint := self._confinement.hint(last):
                ctx.output(hint)
            # the lines may be the beginnings of longer ones, in which nothing can be redacted later that their end divides
            shown = [ctx.beginning(line, MAX_LINE) for line in last]
            raise Failed(_failure(program.code, shown), data={"code": program.code, "output": shown})


def _argv(shell: str | list[str], failfast: bool | None, cmd: str) -> list[str]:
    """`failfast` None: in a script of several lines, where the shell is one that we know and its author gave no options."""
    words = [shell] if isinstance(shell, str) else shell
    if failfast is None:
        failfast = isinstance(shell, str) and Path(shell).name in SHELLS and "\n" in cmd.strip()
    return [*words, *(["-e"] if failfast else []), "-c", cmd]


def _failure(code: int, last: Sequence[str]) -> str:
    why = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
    return f"{why}: {last[-1]}" if last else why
