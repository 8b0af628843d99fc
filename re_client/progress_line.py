"""One line of a terminal that says how far a deployment is, and goes when it has ended. Must not know where events come from."""

from __future__ import annotations

from types import TracebackType

from re_client import screen, text, words
from re_client.terminal import Terminal
from re_client.view import Watched

#: to the line's begin, and its rest is empty
_CLEAR = "\r\x1b[K"
#: columns of a terminal that does not say
_COLUMNS = 80


class ProgressLine:
    """For as long as its `with` lasts; nothing where no step says how far it is."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._is_shown = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, watched: Watched) -> None:
        """That of the first step that says so."""
        unicode = self._terminal.unicode
        for step in watched.going:
            progress = watched.progress(step)
            if progress is not None:
                line = f"{words.place(step)}  {screen.bar(progress, unicode)}"
                fits = text.fitted(line, (self._terminal.columns or _COLUMNS) - 1, "…" if unicode else "~")
                self._write(f"{_CLEAR}{fits}")
                self._is_shown = True
                return

    def clear(self) -> None:
        """Leave the line empty."""
        if self._is_shown:
            self._write(_CLEAR)
            self._is_shown = False

    def _write(self, what: str) -> None:
        self._terminal.err.write(what)
        self._terminal.err.flush()
