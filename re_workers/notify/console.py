"""Notices on a terminal or in a service's log: one line each. Must not know what reads the stream."""

from __future__ import annotations

import sys
from typing import Final, TextIO

from re_workers.notify.handler import Notice, Unreachable
from re_workers.notify.text import announcement, one_line


class ConsoleHandler:
    """Prints `[phase] slug: message (for targets)`; the lines of a message are joined by ` | `.

    Goes to standard error by default: standard output belongs to what the program was asked for.
    """

    transport: Final = "console"

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Print the notice; raises Unreachable when the stream takes no more."""
        # Looked up at every call: code that replaces sys.stderr (a daemon, a test) means the one in force.
        stream = self._stream or sys.stderr
        line = f"{' | '.join(announcement(notice))} (for {one_line(', '.join(notice.target)) or 'no target'})\n"
        encoding = stream.encoding or "utf-8"
        try:
            stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            raise Unreachable(f"cannot write to the console: {error}", notice.target) from error

    def close(self) -> None:
        """Nothing to let go of: the stream is not ours."""
