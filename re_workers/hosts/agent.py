"""The text that a host carries out, with its arguments; and the lines in which it answers. Pure but for reading its own package's file.

The agent speaks on standard error, in lines that begin with `RE1` and a number that is new for every session. What else comes
there, or before its first line, is a login shell's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from re_workers.hosts.port import NONE, Run, Standing

#: file of the boot's id
BOOT = "/proc/sys/kernel/random/boot_id"
#: bytes of what a login shell prints that are kept, for people
MOST_NOISE = 4096
#: bytes of one line of the agent's
MOST_LINE = 4096


#: names of variables that a shell can export
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@cache
def text(name: str = "agent") -> str:
    """What a host carries out: the runs with records, or another file of this package."""
    return "".join((Path(__file__).parent / f"{one}.sh").read_text() for one in ("head", name))


def quote(text: str) -> str:
    """One word for every shell that has single quotes: sh, bash, zsh, ksh, fish."""
    return "'" + text.replace("'", "'\\''") + "'"


def line(argv: Sequence[str]) -> str:
    """A program with arguments, as a line of a script."""
    return " ".join(map(quote, argv))


@cache
def _started(name: str) -> str:
    return f"exec /bin/sh -c {quote(text(name))} re"


def asked(name: str, verb: str, nonce: str, *more: str) -> str:
    """What the login shell of a host is asked to run: a file of this package, with its arguments."""
    return f"{_started(name)} {line((verb, nonce, *more))}"


def command(verb: str, root: str, record: str, nonce: str, *more: str, boot: str = BOOT) -> str:
    """The same of runs with records. `root`: the directory of all records; empty: in the user's home."""
    return asked("agent", verb, nonce, root, record, boot, *more)


def begin(
    run: Run,
    root: str,
    nonce: str,
    offset: int = 0,
    boot: str = BOOT,
    place: str = "",
    confined: Sequence[str] = (),
) -> tuple[str, bytes]:
    """The command that begins a run, and what it reads on its standard input once it has said that it is there.

    `place`: where it starts if the run does not say; empty: in the user's home. `confined`: a program that confines itself and becomes
    a shell; it reads the name of a script as its last argument, and exports of variables as descriptor 3.
    Raises ValueError where a text has a NUL, which no shell can carry, and for what is no name of a variable.
    """
    if any("\0" in one for one in (run.script, run.stdin, run.cwd, *run.env.values())):
        raise ValueError("expected texts without NUL")
    if wrong := next((name for name in run.env if not _VARIABLE.fullmatch(name)), None):
        raise ValueError(f"expected names of variables, of letters, digits and _; found {wrong!r}")
    variables = "".join(f"export {name}={quote(value)}\n" for name, value in run.env.items())
    parts = {"re_spec": run.digest, "re_env": variables, "re_in": run.stdin, "re_cmd": run.script}
    parts |= {"re_cwd": run.cwd or place, "re_confined": line(confined)}
    said = "\n".join(f"{name}={quote(value)}" for name, value in parts.items())
    limit = f"{max(1, round(run.limit))}"
    body = f"RE1 go {nonce}\n{said}\nRE1 all {nonce}".encode("utf-8", "surrogateescape")
    more = limit, str(run.cap), str(offset), f"{run.key.family}.over", str(len(body))
    return command("begin", root, run.key.record, nonce, *more, boot=boot), body


class Lines:
    """Takes the agent's lines out of what comes on standard error."""

    def __init__(self, nonce: str) -> None:
        self._mark = f"RE1 {nonce} ".encode()
        self._rest = b""
        #: what is no line of the agent's, from its beginning
        self.noise = b""

    def feed(self, piece: bytes) -> list[list[str]]:
        """The words of the lines that are complete now."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MOST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return [said for one in lines if (said := self._said(one))]

    def _said(self, line: bytes) -> list[str]:
        if line.startswith(self._mark):
            return line[len(self._mark) : MOST_LINE].decode("utf-8", "replace").split()
        self.noise = (self.noise + line + b"\n")[:MOST_NOISE]
        return []


def standing(words: Sequence[str]) -> Standing | None:
    """What such a line says of a run; None where it says something else."""
    try:
        match words:
            case ["none", boot, uptime]:
                return Standing(NONE, boot=boot, uptime=int(uptime))
            case ["none", *_]:
                return Standing(NONE)
            case [state, code, size, dropped]:
                return Standing(state, None if code == "-" else int(code), int(size), int(dropped))
    except ValueError:
        return None
    return None
