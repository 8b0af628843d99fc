"""A program in a session of its own: its output as it comes, and its end with all its children.

Must not know steps.
"""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from re_core.runtime import killing
from re_workers.lines import Lines
from re_workers.steps.orphans import ATTEMPT, ENGINE, end_program, family_of

_log = logging.getLogger(__name__)

#: seconds between two looks at whether the program ended or shall end; output is read as it comes
LOOK = 0.1

#: bytes read at once
PIECE = 64 * 1024

#: pieces that are read at most after the end: what lies in the pipe, which has room for 1 MiB at most
LAST_PIECES = 16

#: seconds without output after which a program that has exited, and whose output is still open, has left something behind;
#: and seconds after which it has in any case
QUIET, LINGER = 2.0, 30.0

#: left processes that are named at most
NAMED = 5

#: reads what comes on its stdin to the end, and drops it; it is no child of the engine, so that it outlives the step
_DRAIN = ("/bin/sh", "-c", "exec 3<&0; cat <&3 >/dev/null 3<&- &")

#: starts a program as subprocess.Popen does
Start = Callable[..., "subprocess.Popen[bytes]"]


class Program:
    """One running program. stdin is empty; stdout and stderr are one stream, in their order."""

    def __init__(
        self, argv: Sequence[str], cwd: str | None, env: Mapping[str, str], start: Start = subprocess.Popen
    ) -> None:
        """Start it. Raises OSError, or ValueError where an argument contains NUL."""
        self._process = start(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._marks = env.get(ENGINE, ""), env.get(ATTEMPT, "")
        #: ends it while its output is read on; None while it was not stopped
        self._ending: threading.Thread | None = None
        #: all of its output was read
        self._closed = False
        #: when it had exited, and when anything was printed since, in seconds of the monotonic clock
        self._exited = self._last_output = 0.0
        self._ended = False
        #: it could not be ended, as one that sudo has made another user's
        self.stays = False

    @property
    def code(self) -> int:
        """The exit code, negative for a signal; after `lines` is exhausted."""
        return self._process.wait()

    @property
    def stopped(self) -> bool:
        """It was stopped before it had ended by itself."""
        return self._ending is not None

    def lines(self, stop: threading.Event) -> Iterator[list[str]]:
        """What it prints, as it comes, until it has ended; when `stop` is set it is ended with all its children.

        After its exit it is read on to the end of its output, for what a filter that it had started prints last; or until
        nothing more comes, for a child that it leaves behind may hold its output open. See `left`.
        """
        lines = Lines()
        for piece in self._pieces(stop):
            if complete := lines.feed(piece):
                yield complete
        if rest := lines.end():
            yield rest
        while not self._is_over(stop):  # it has closed its output and goes on
            if self._ending is None:
                stop.wait(LOOK)
            else:
                self._ending.join(LOOK)
        self._ended = True

    def left(self) -> str:
        """Names of processes that it has left behind and that hold its output open, for people; empty where there are none."""
        if self._closed or not self._ended:
            return ""
        family = family_of(self._process.pid, *self._marks)
        names = [f"{name} ({pid})" for pid, name in family[:NAMED]]
        more = [f"{len(family) - NAMED} more"] if len(family) > NAMED else []
        return ", ".join(names + more) or "a process"

    def end(self) -> None:
        """Where it has not ended, end it with all its children: asked first, then made to.

        What it left behind, and still can print, goes on: its output is read and dropped from now on, also when this
        process has ended. Without a reader it would be killed by its next line, or wait for ever. So does the program itself
        where it stays.
        """
        if not self._ended:
            end_program(self._process.pid, *self._marks)
        self.stays = killing.await_end(self._process) is not None
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        if (self._ended or self.stays) and not self._closed:
            _drain(self._process.stdout.fileno())
        self._process.stdout.close()

    def _pieces(self, stop: threading.Event) -> Iterator[bytes]:
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        pipe = self._process.stdout.fileno()
        os.set_blocking(pipe, False)
        left = LAST_PIECES
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while left and not self._closed:
                over = self._is_over(stop)
                left -= over
                if selector.select(0 if over else LOOK):
                    piece = os.read(pipe, PIECE)
                    self._closed = not piece
                    self._last_output = time.monotonic()
                    yield piece
                elif over:
                    return

    def _is_over(self, stop: threading.Event) -> bool:
        """Whether it has ended by itself, or was ended with all its children because `stop` is set."""
        if self._ending is None:
            if self._has_exited() and not self._lingers():
                return True
            if not stop.is_set():
                return False
            self._ending = threading.Thread(target=end_program, args=(self._process.pid, *self._marks), daemon=True)
            self._ending.start()
        return not self._ending.is_alive()

    def _has_exited(self) -> bool:
        """Without forgetting it: its process id must not become another's while its children are looked for by it."""
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self._process.pid, look) is not None

    def _lingers(self) -> bool:
        """Whether more output may come, though the program itself has exited."""
        now = time.monotonic()
        if not self._exited:
            self._exited = self._last_output = now
        return not self._closed and now < min(self._last_output + QUIET, self._exited + LINGER)


def _drain(pipe: int) -> None:
    os.set_blocking(pipe, True)
    try:
        subprocess.run(
            _DRAIN,
            stdin=pipe,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.defpath},
            start_new_session=True,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        where = {"action": "output_unread"}
        _log.warning("processes that a program left running end at their next output: %s", error, extra=where)
