"""What a run prints, as lines for people and as text, as far as either is kept. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from re_workers.lines import Lines

#: bytes of what a run prints that are kept
MOST_OUT = 1024 * 1024
#: lines that a failure repeats
LAST_LINES = 5


class Heard:
    """Bytes of a run, as lines for people and as text."""

    def __init__(self, output: Callable[[str], None] | None, hide: re.Pattern[str] | None = None) -> None:
        """`output` gets the lines, but for those that are all `hide`."""
        self._output, self._hide, self._lines = output, hide, Lines()
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
        said = [one for one in lines if self._hide is None or not self._hide.fullmatch(one)]
        if said and self._output is not None:
            # each with its end: how lines come in pieces must not decide whether an empty one is the last
            self._output("".join(f"{one}\n" for one in said))
