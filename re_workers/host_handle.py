"""A host, as a step sees it: run something there, and get what it said. Must not know the bus, nor how a host is reached.

Every run of a step has a number, and a record of that number on the host. Where a worker dies, another one calls the same method
again: runs that had ended answer from their records, and the one that was under way is gone on with. So between two runs a method
decides by what runs have said, and by nothing else: no clock, no random number, no file of the worker's machine.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from re_core.errors import OperatorError
from re_workers.hosts.agent import line, quote
from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.port import (
    LIMIT,
    BadHost,
    Claim,
    Ended,
    HostError,
    HostLost,
    Left,
    NotBegun,
    OtherRun,
    Run,
    RunKey,
    Say,
)
from re_workers.hosts.runs import HostRuns
from re_workers.lines import Lines
from re_workers.outcomes import Cancelled, Failed, HandedOver, Lost
from re_workers.outgoing import MAX_LINE

#: bytes of what a run prints that `Ran.out` has
MOST_OUT = 1024 * 1024
#: lines that a failure repeats
LAST_LINES = 5
#: seconds that a host gives a run beyond the step's own time: the core stops it first, the host only where nothing can reach it
GRACE = 60.0
#: exit codes of what TERM and KILL ended
_KILLED = (128 + 15, 128 + 9)


class Ran(NamedTuple):
    """How a run ended."""

    code: int
    #: what it printed, standard error too: its first MOST_OUT bytes
    out: str
    #: its last lines, at most LAST_LINES
    last: tuple[str, ...]


class Runner(Protocol):
    """What reaches one host. Any thread."""

    def run(
        self,
        run: Run,
        say: Say,
        stop: threading.Event,
        leave: threading.Event | None = None,
        claim: Claim = Claim(),  # noqa: B008  # it is immutable
    ) -> Ended:
        """See HostRunner.run."""
        ...


#: name -> what the inventory says of it: of a host, and of those through which it is reached
Rows = Mapping[str, Mapping[str, Any]]

#: makes the runner of the host of this name; without a row it is the worker's machine
Reach = Callable[[str, Rows], Runner]


def on_this_machine(name: str, rows: Rows) -> Runner:
    """Here, as the user of this process. Raises BadHost for a host of the inventory that is another machine."""
    if rows and rows.get(name, {}).get("runner") != "local":
        raise BadHost(
            f"{name}: this worker was started by what reaches no hosts; nothing of it runs on the worker's machine"
        )
    return HostRuns(LocalChannel(name))


class Stepping(Protocol):
    """What a handle needs of its step: a Context."""

    #: what keeps the records of two attempts apart
    run_id: str
    #: another process had begun it
    resumed: bool
    cancel_reason: str
    #: seconds that the step has from its start; None where it has no limit
    allowed: float | None

    @property
    def cancelled(self) -> threading.Event: ...
    @property
    def stopping(self) -> threading.Event: ...
    @property
    def claim(self) -> Claim: ...
    @property
    def remaining(self) -> float | None: ...
    def output(self, text: str) -> None: ...
    def check(self) -> None: ...
    def beginning(self, text: str, most: int) -> str: ...


class HostHandle:
    """One host of a step. Its runs are numbered, so a step that starts several at once on one host uses a handle from one thread."""

    def __init__(self, step: Stepping, name: str, rows: Rows, reach: Reach) -> None:
        #: as the playbook names it; `localhost` where it names none
        self.name = name
        self._step, self._rows, self._reach = step, rows, reach
        self._runner: Runner | None = None
        self._count = 0

    @property
    def facts(self) -> Mapping[str, Any]:
        """Of the inventory: address, port, user, groups, tags, …; empty for a host that it does not have."""
        return self._rows.get(self.name, {})

    @property
    def vars(self) -> Mapping[str, Any]:
        """The host's variables of the inventory."""
        found = self.facts.get("vars", {})
        return found if isinstance(found, Mapping) else {}

    def run(
        self,
        what: str | Sequence[str],
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        cwd: str = "",
        timeout: float | None = None,
        check: bool = True,
        ok: Collection[int] = (0,),
        quiet: bool = False,
    ) -> Ran:
        """Run a program, given as a list, or a script for `sh`, whose `$1` … are `args`; its output is the step's, unless it is `quiet`.

        `env`, and only it, may have secrets: it is in no process list, nor on the host's disk. `timeout`: seconds after which the host
        ends it; the step's own time holds in any case. Where the step is cancelled the run is ended with all its children.
        Raises Failed where the exit code is none of `ok`, unless `check` is false, and where the run could not begin or was killed
        there, with data.kind (docs/how-to/write-a-worker.md); Cancelled; Lost where how it ended cannot be known.
        """
        _refuse_a_loop()
        self._step.check()
        remaining = self._step.remaining
        allowed = self._step.allowed if remaining is None else remaining  # another process began what is resumed
        ceiling = LIMIT if allowed is None else allowed + GRACE
        run = Run(
            RunKey(self._step.run_id, self.name, self._count),
            _script(what, args, cwd),
            dict(env or {}),
            stdin,
            limit=ceiling if timeout is None else min(timeout, ceiling),
        )
        self._count += 1
        heard = _Heard(None if quiet else self._step.output)
        ended = self._carried_out(run, heard)
        heard.end()
        if self._step.cancelled.is_set():
            last = [self._step.beginning(one, MAX_LINE) for one in heard.last]
            raise Cancelled(self._step.cancel_reason, {"output": last} if last else None)
        ran = Ran(ended.code, heard.text(), tuple(heard.last))
        if check and ran.code not in ok:
            raise self._failure(ran, timeout)
        return ran

    def _carried_out(self, run: Run, heard: _Heard) -> Ended:
        try:
            if self._runner is None:
                self._runner = self._reach(self.name, self._rows)
            claim = self._step.claim if run.key.n == 0 else self._step.claim._replace(earlier=())
            return self._runner.run(run, heard, self._step.cancelled, self._step.stopping, claim)
        except Left as error:
            raise HandedOver(str(error)) from None
        except OtherRun as error:
            raise Lost(f"{error}; {_OTHER}") from None
        except HostLost as error:
            raise Lost(str(error)) from None
        except NotBegun as error:
            if self._step.cancelled.is_set():
                raise Cancelled(self._step.cancel_reason) from None
            raise Failed(str(error), {"kind": error.reason, "host": self.name}) from None
        except HostError as error:
            raise Failed(str(error), {"kind": error.reason, "host": self.name}) from None
        except (ValueError, OperatorError) as error:
            raise Failed(f"{self.name}: {error}") from None

    def _failure(self, ran: Ran, timeout: float | None) -> Failed:
        # the lines may be the beginnings of longer ones, in which nothing can be redacted later that their end divides
        last = [self._step.beginning(one, MAX_LINE) for one in ran.last]
        why = f"exit code {ran.code}" if ran.code <= 128 else f"killed by signal {ran.code - 128}"
        if timeout is not None and ran.code in _KILLED:
            why += f", or by its own timeout of {timeout:g} s"
        words = f"{self.name}: {why}: {last[-1]}" if last else f"{self.name}: {why}"
        return Failed(words, {"kind": "exit", "host": self.name, "code": ran.code, "output": last})


#: why a run of the number has other contents
_OTHER = "the step's code has changed since, or it decides by something else than what its runs have said"


class _Heard:
    """Bytes of a run, as lines for people and as text."""

    def __init__(self, output: Callable[[str], None] | None) -> None:
        self._output, self._lines = output, Lines()
        self._kept = bytearray()
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    def __call__(self, piece: bytes) -> None:
        self._kept += piece[: MOST_OUT - len(self._kept)]
        self._say(self._lines.feed(piece))

    def end(self) -> None:
        """Its last line, where nothing ends it."""
        self._say(self._lines.end())

    def text(self) -> str:
        """All of it, as far as it is kept."""
        return self._kept.decode("utf-8", "replace")

    def _say(self, lines: list[str]) -> None:
        self.last.extend(lines)
        if lines and self._output is not None:
            self._output("\n".join(lines))


def new_run_id() -> str:
    """For an attempt of a core of 2014, which names none."""
    return f"unnamed/{secrets.token_hex(12)}"


def _script(what: str | Sequence[str], args: Sequence[str], cwd: str) -> str:
    """`set --` in place of a list of arguments: a script is all that a run has."""
    lines = [f"cd {quote(cwd)} || exit 1"] if cwd else []
    if isinstance(what, str):
        lines += [f"set -- {line(args)}"] if args else []
        return "\n".join([*lines, what])
    if not what:
        raise ValueError("expected a program, found an empty list")
    return "\n".join([*lines, f"exec {line([*what, *args])}"])


def _refuse_a_loop() -> None:
    """It would stop all coroutines of the process."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("ctx.host waits: in a coroutine use `await asyncio.to_thread(ctx.host.run, …)`")
