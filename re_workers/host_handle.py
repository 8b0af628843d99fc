"""A host, as a step sees it: run something there, and get what it said; store files there, and read them. Must not know the bus, nor
how a host is reached.

Every run of a step has a number, and a record of that number on the host. Where a worker dies, another one calls the same method
again: runs that had ended answer from their records, and the one that was under way is gone on with. So between two runs a method
decides by what runs have said, and by nothing else: no clock, no random number, no file of the worker's machine.
"""

from __future__ import annotations

import asyncio
import io
import re
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, overload, runtime_checkable

from re_core.errors import OperatorError
from re_workers.heard import Heard
from re_workers.host_files import MOST_BYTES, MOST_COPIED, Either, Source, bits, check, opened, replacing
from re_workers.hosts.agent import line, quote
from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.direct import DirectRunner
from re_workers.hosts.facts import no_secret
from re_workers.hosts.port import (
    LIMIT,
    BadHost,
    Claim,
    Ended,
    Got,
    HostError,
    HostLost,
    Left,
    NotBegun,
    OtherRun,
    Put,
    Run,
    RunKey,
    Say,
    Stored,
)
from re_workers.outcomes import Cancelled, Failed, HandedOver, Lost
from re_workers.outgoing import MAX_LINE

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

    def put(self, source: BinaryIO, target: str, how: Put = ..., stop: threading.Event | None = None) -> Stored:
        """See HostRunner.put."""
        ...

    def get(self, path: str, sink: BinaryIO, most: int, stop: threading.Event | None = None) -> Got:
        """See HostRunner.get."""
        ...


@runtime_checkable
class Dialler(Protocol):
    """A runner that also reaches the sockets of its host."""

    def dial(self, path: str, stop: threading.Event | None = None) -> socket.socket:
        """See HostRunner.dial."""
        ...


#: name -> what the inventory says of it: of a host, and of those through which it is reached
Rows = Mapping[str, Mapping[str, Any]]

#: makes the runner of the host of this name; without a row it is the worker's machine
Reach = Callable[[str, Rows], Runner]


class Reaching(Protocol):
    """The same for the hosts of all steps of a process. Any thread."""

    def __call__(self, name: str, rows: Rows, secret: Callable[[str], str] = no_secret, /) -> Runner:
        """`secret` finds the value of one that a row names. Raises HostError, OperatorError."""
        ...


def on_this_machine(name: str, rows: Rows, secret: Callable[[str], str] = no_secret) -> Runner:
    """Here, as the user of this process. Raises BadHost for a host of the inventory that is another machine."""
    if rows and rows.get(name, {}).get("runner") != "local":
        raise BadHost(
            f"{name}: this worker was started by what reaches no hosts; nothing of it runs on the worker's machine"
        )
    return DirectRunner(LocalChannel(name))


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
    def progress(self, done: float, of: float = 0, words: str = "") -> None: ...
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
        hide: re.Pattern[str] | None = None,
    ) -> Ran:
        """Run a program, given as a list, or a script for `sh`, whose `$1` … are `args`; its output is the step's, unless it is `quiet`,
        but for lines that are all `hide`.

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
        heard = Heard(None if quiet else self._step.output, hide)
        ended = self._carried_out(run, heard)
        heard.end()
        if self._step.cancelled.is_set():
            last = [self._step.beginning(one, MAX_LINE) for one in heard.last]
            raise Cancelled(self._step.cancel_reason, {"output": last} if last else None)
        ran = Ran(ended.code, heard.text(), tuple(heard.last))
        if check and ran.code not in ok:
            raise self._failure(ran, timeout)
        return ran

    def put(
        self, source: Source, target: str, *, mode: str | int | None = None, owner: str = "", sha256: str = ""
    ) -> Stored:
        """Store bytes, a file of the worker's machine (a Path) or a stream as a file of the host; how large it is, its digest, and
        whether it was there already.

        What was there stays until all of it has arrived and has the digest of what was sent; a cut connection is gone on with where it was
        cut. `mode`: "0644"; None: that of the file that it replaces, or 0600. `owner`: `user`, `user:group` or `:group`.
        `sha256`: that the source must have, or nothing is sent. It is no run and has no record: where the method is called again,
        the file is compared again. Raises Failed with data.kind, also where the source cannot be read; Cancelled.
        """
        with self._transferring(), opened(source) as stream:
            size = check(stream, sha256, target)

            def progress(done: int) -> None:
                self._step.progress(done // _MIB, size // _MIB, f"MiB of {target} on {self.name}")

            how = Put(bits(mode), owner, progress if size >= _SHOWN else None)
            return self._reached().put(stream, target, how, self._stop())

    @overload
    def get(self, path: str, to: None = None, *, most: int | None = None) -> bytes: ...
    @overload
    def get(self, path: str, to: Path | BinaryIO, *, most: int | None = None) -> Got: ...
    def get(self, path: str, to: Path | BinaryIO | None = None, *, most: int | None = None) -> bytes | Got:
        """A file of the host: its bytes; or, with `to`, how large it is and its digest, once all of it is in that file of the worker's
        machine, or was written to that stream.

        A larger one than `most` bytes fails the step: 16 MiB where the bytes are returned, 1 TiB elsewhere. Raises as `put`.
        """
        with self._transferring():
            if to is None:
                kept = io.BytesIO()
                self._reached().get(path, kept, MOST_BYTES if most is None else most, self._stop())
                return kept.getvalue()
            bound = MOST_COPIED if most is None else most
            if not isinstance(to, Path):
                return self._reached().get(path, to, bound, self._stop())
            with replacing(to) as file:
                return self._reached().get(path, file, bound, self._stop())

    def dial(self, path: str) -> socket.socket:
        """A connection to a unix socket of the host, as the user of its login (`become` does not count). Not recorded there.

        Also a step that was cancelled may ask for one, to stop what it has begun. Raises Failed with data.kind.
        """
        stop = self._step.cancelled
        with self._failing():
            runner = self._reached()
            if not isinstance(runner, Dialler):
                raise BadHost(f"{self.name}: its runner reaches no sockets of hosts")
            return runner.dial(path, None if stop.is_set() else stop)

    def _reached(self) -> Runner:
        if self._runner is None:
            self._runner = self._reach(self.name, self._rows)
        return self._runner

    def _stop(self) -> threading.Event:
        return Either(self._step.cancelled, self._step.stopping)

    def _carried_out(self, run: Run, heard: Heard) -> Ended:
        with self._failing():
            claim = self._step.claim if run.key.n == 0 else self._step.claim._replace(earlier=())
            return self._reached().run(run, heard, self._step.cancelled, self._step.stopping, claim)

    @contextmanager
    def _transferring(self) -> Iterator[None]:
        """What has to do with a file ends as the step has to."""
        _refuse_a_loop()
        self._step.check()
        try:
            with self._failing():
                yield
        except Failed:
            self._step.check()
            if self._step.stopping.is_set():
                raise HandedOver("the worker stops while a file is on its way") from None
            raise
        except OSError as error:
            raise Failed(f"{self.name}: {error}", {"kind": "transfer", "host": self.name}) from None

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What becomes of the host becomes of the step."""
        try:
            yield
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


#: bytes of a file from which on people see how far it is, and those of one unit there
_SHOWN, _MIB = 8 * 1024**2, 1024**2
#: why a run of the number has other contents
_OTHER = "the step's code has changed since, or it decides by something else than what its runs have said"


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
