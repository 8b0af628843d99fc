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
        self._ended = False

    @property
    def code(self) -> int:
        """The exit code, negative for a signal; after `lines` is exhausted."""
        return self._process.wait()

    def lines(self, stop: threading.Event) -> Iterator[list[str]]:
        """What it prints, as it comes, until it has ended or `stop` is set.

        A child that it leaves behind may hold its output open; what that one prints later is nobody's.
        """
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for
        pipe = self._process.stdout.fileno()
        os.set_blocking(pipe, False)
        lines = Lines()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while not stop.is_set():
                ended = self._process.poll() is not None
                if selector.select(0 if ended else LOOK):
                    data = os.read(pipe, PIECE)
                    if not data:
                        break
                    if complete := lines.feed(data):
                        yield complete
                elif ended:
                    break
            while not stop.is_set() and self._process.poll() is None:
                stop.wait(LOOK)  # it has closed its output and goes on
        if rest := lines.end():
            yield rest
        self._ended = not stop.is_set()

    def end(self) -> None:
        """Where it has not ended by itself, end it with all its children: asked first, then made to."""
        if not self._ended:
            end_program(self._process.pid, *self._marks)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
