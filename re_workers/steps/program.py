"""A program in a session of its own: its output as it comes, and its end with all its children.

Must not know steps.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from re_workers.steps.lines import Lines
from re_workers.steps.orphans import ATTEMPT, ENGINE, end_program

#: seconds between two looks at whether the program ended or shall end; output is read as it comes
LOOK = 0.1

#: bytes read at once
PIECE = 64 * 1024

#: pieces that are read at most after the end: what lies in the pipe, which has room for 1 MiB at most
LAST_PIECES = 16

#: starts a program as subprocess.Popen does
Start = Callable[..., "subprocess.Popen[bytes]"]


class Program:
    """One running program. stdin is empty; stdout and stderr are one stream, in their order."""

    def __init__(
        self, argv: Sequence[str], cwd: str | None, env: Mapping[str, str], start: Start = subprocess.Popen
    ) -> None:
        """Start it. Raises OSError, or ValueError where a word contains NUL."""
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
        self._ended = False

    @property
    def code(self) -> int:
        """The exit code, negative for a signal; after `lines` is exhausted."""
        return self._process.wait()

    @property
    def stopped(self) -> bool:
        """It was told to end before it had ended by itself."""
        return self._ending is not None

    def lines(self, stop: threading.Event) -> Iterator[list[str]]:
        """What it prints, as it comes, until it has ended; when `stop` is set it is ended with all its children.

        A child that it leaves behind may hold its output open; what that one prints later is nobody's.
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

    def end(self) -> None:
        """Where it has not ended, end it with all its children: asked first, then made to."""
        if not self._ended:
            end_program(self._process.pid, *self._marks)
        self._process.wait()
        if self._process.stdout is not None:
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
                    yield piece
                elif over:
                    return

    def _is_over(self, stop: threading.Event) -> bool:
        """Whether it has ended by itself, or was ended with all its children because `stop` is set."""
        if self._ending is None:
            if self._process.poll() is not None:
                return True
            if not stop.is_set():
                return False
            self._ending = threading.Thread(target=end_program, args=(self._process.pid, *self._marks), daemon=True)
            self._ending.start()
        return not self._ending.is_alive()
