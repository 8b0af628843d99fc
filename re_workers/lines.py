"""Turns the bytes that a program prints into lines for people. Pure; must not know where the bytes come from."""

from __future__ import annotations

from re_core.wire.redaction import MARGIN
from re_workers.outgoing import MAX_LINE

#: bytes of one line that are kept; a line with more than MAX_LINE of them is redacted before it is cut
KEPT = MAX_LINE + MARGIN


class Lines:
    """Splits at line feeds, wherever the pieces were cut.

    Of a line that a program overwrites with carriage returns, as progress bars are, the last state remains: what a
    terminal would show. What is not UTF-8 is replaced, and of a line only its first 20 KiB are kept, so memory stays bounded:
    enough that the caller cuts it (`Context.output`, `Context.beginning`).
    """

    def __init__(self) -> None:
        self._line = bytearray()
        #: the line did not fit
        self._cut = False
        #: the last byte was a carriage return: what comes next overwrites the line
        self._returned = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that end in `data`."""
        *ended, rest = data.split(b"\n")
        lines = []
        for piece in ended:
            self._append(piece)
            lines.append(self._take())
        self._append(rest)
        return lines

    def end(self) -> list[str]:
        """The last line, where no line feed ends it."""
        return [self._take()] if self._line else []

    def _append(self, piece: bytes) -> None:
        text = piece.rstrip(b"\r")
        if text:
            if self._returned or b"\r" in text:
                self._line.clear()
                self._cut = False
            text = text[text.rfind(b"\r") + 1 :]
            room = KEPT - len(self._line)
            self._cut = self._cut or len(text) > room
            self._line += text[:room]
            self._returned = False
        self._returned = self._returned or piece.endswith(b"\r")

    def _take(self) -> str:
        text = self._line.decode("utf-8", "ignore" if self._cut else "replace")
        self._line.clear()
        self._cut = self._returned = False
        return text
