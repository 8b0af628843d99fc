"""Programs of the worker's own machine that steps drive, such as git. Must not know any of them.

They run as all programs of steps do (Confinement): as its user, and out of reach of the engine's files.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from re_core.runtime import killing
from re_core.runtime.scratch import scratch as held
from re_workers.context import Context
from re_workers.outcomes import Failed, Lost
from re_workers.outgoing import MAX_LINE
from re_workers.steps.confinement import Confinement
from re_workers.steps.program import Program

#: characters of what a tool prints that are kept; more fails the step, since its answer would be read in part
MOST_OUT = 4 * 1024 * 1024

#: last lines that a failure repeats
LAST_LINES = 5

#: what a tool is asked to do, as `clone`: an argument of another form may hold anything, and is not repeated
_VERB = re.compile(r"[a-z][a-z-]{0,30}")

#: name and password in a URL
_USERINFO = re.compile(r"(?<=://)[^/@\s:]*(:[^/@\s]*)?@")


class Ran(NamedTuple):
    """How a tool ended."""

    code: int
    #: what it printed, both streams in their order
    out: str


class Tool:
    """One program and what it always gets."""

    def __init__(self, name: str, confinement: Confinement, env: Mapping[str, str] | None = None) -> None:
        """`env`: variables beside those that programs of steps inherit."""
        self.name, self._confinement, self._env = name, confinement, dict(env or {})

    def run(
        self,
        ctx: Context,
        *arguments: str,
        cwd: Path | None = None,
        ok: Collection[int] = (0,),
        quiet: bool = False,
        env: Mapping[str, str] | None = None,
        each: Callable[[str], object] | None = None,
    ) -> Ran:
        """Run it to its end, or until the step is cancelled: then with all its children.

        `quiet`: its output is an answer, not for people. `each` gets every line as it comes. Raises Failed, Cancelled, Lost.
        """
        program = self._start(arguments, cwd, {**self._env, **(env or {})})
        kept: list[str] = []
        size = 0
        try:
            for lines in program.lines(ctx.cancelled):
                for line in lines:
                    size += len(line) + 1
                    if size <= MOST_OUT:
                        kept.append(line)
                    if each is not None:
                        each(line)
                if not quiet:
                    ctx.output("".join(f"{without_passwords(line)}\n" for line in lines))
        finally:
            self._end(program)
        ctx.check()
        if size > MOST_OUT and quiet:
            raise Failed(f"{self._words(arguments)} printed more than {MOST_OUT} characters")
        if program.code not in ok:
            raise Failed(*self._failure(ctx, arguments, program.code, kept))
        return Ran(program.code, "\n".join(kept))

    def stream(self, ctx: Context, *arguments: str, cwd: Path | None = None, each: Callable[[str], object]) -> int:
        """Run it as `run` does, with any amount of output, of which `each` gets every line as it comes; its exit code.

        Raises Failed where it cannot be started, Cancelled, Lost.
        """
        program = self._start(arguments, cwd, self._env)
        try:
            for lines in program.lines(ctx.cancelled):
                for line in lines:
                    each(line)
        finally:
            self._end(program)
        ctx.check()
        return program.code

    def _start(self, arguments: Sequence[str], cwd: Path | None, env: Mapping[str, str]) -> Program:
        where = str(cwd) if cwd is not None else self._confinement.directory()
        try:
            return Program(
                [self.name, *arguments], where, {**self._confinement.environment(), **env}, self._confinement.start
            )
        except FileNotFoundError:
            place = "" if Path(where).is_dir() else f", or there is no directory {where}"
            raise Failed(f"{self.name} is not installed on the worker's machine{place}", {"kind": "tool"}) from None
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            user = self._confinement.user
            hint = "" if user is None else f"; programs of steps run as {user.name}, who must be able to run it"
            raise Failed(f"could not start {self.name}: {error}{hint}") from None

    def _end(self, program: Program) -> None:
        program.end()
        if program.stays:
            raise Lost(f"{self.name} goes on, {killing.STAYS}")

    def _words(self, arguments: Sequence[str]) -> str:
        verb = next((one for one in arguments if _VERB.fullmatch(one)), "")
        return f"{self.name} {verb}".strip()

    def _failure(
        self, ctx: Context, arguments: Sequence[str], code: int, kept: Sequence[str]
    ) -> tuple[str, dict[str, object]]:
        last = [ctx.beginning(without_passwords(line), MAX_LINE) for line in deque(kept, maxlen=LAST_LINES)]
        said = f": {' / '.join(line.strip() for line in last if line.strip())}" if last else ""
        return f"{self._words(arguments)} failed with exit code {code}{said}", {"code": code, "output": last}


def without_passwords(text: str) -> str:
    """The text without names and passwords in URLs."""
    return _USERINFO.sub("", text)


@contextmanager
def scratch(confinement: Confinement) -> Iterator[Path]:
    """A directory that only the programs of steps can enter, for as long as it is needed."""
    user = confinement.user
    with held("step", None if user is None else (user.id, user.group)) as directory:
        yield directory


def give(path: Path, confinement: Confinement) -> Path:
    """Make a file of ours one of the user of programs; the path."""
    path.chmod(0o600)
    if confinement.user is not None:
        os.chown(path, confinement.user.id, confinement.user.group)
    return path
