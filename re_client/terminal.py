"""Where `rectl` writes: data on standard output, everything else on standard error. Must not know what it says.

Colour, glyphs and motion depend on what is at the other end; NO_COLOR and TERM=dumb are obeyed.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TextIO

import click

from re_client import text
from re_client.screen import Row


class ReaderGone(Exception):
    """The reader of standard output has closed it, as `head` does."""


class Terminal:
    """Both streams of one command."""

    def __init__(self, out: TextIO, err: TextIO, environ: Mapping[str, str]) -> None:
        self.out, self.err, self._environ = out, err, environ
        #: it is a terminal
        self.is_tty = out.isatty()
        #: may move the cursor
        self.moves = self.is_tty and environ.get("TERM", "") not in ("", "dumb")
        #: may colour; https://no-color.org: any value but an empty one forbids it
        self.colors = self.moves and not environ.get("NO_COLOR")
        #: can show more than ASCII
        self.unicode = (getattr(out, "encoding", "") or "").lower().replace("-", "").startswith("utf")
        for stream in (out, err):
            if isinstance(stream, io.TextIOWrapper):
                # a name that this terminal's encoding lacks must not end the command
                stream.reconfigure(errors="replace")

    def line(self, line: str = "") -> None:
        """A line of data, at once: a reader of the pipe shall not wait for more."""
        try:
            click.echo(line, self.out, color=self.colors)
            self.out.flush()
        except BrokenPipeError:
            raise ReaderGone from None

    def lines(self, lines: Sequence[str]) -> None:
        """Lines of data, at once and in one piece."""
        if lines:
            self.line("\n".join(lines))

    def rows(self, rows: Iterable[Row]) -> None:
        """Styled rows."""
        for row in rows:
            self.line("".join(_styled(part, style) if self.colors else part for part, style in row).rstrip())

    @cached_property
    def columns(self) -> int | None:
        """Columns of the terminal; None where there is none."""
        if not self.is_tty:
            return None
        said = self._environ.get("COLUMNS", "")
        try:
            return (
                int(said) if said.isdigit() and int(said) else os.get_terminal_size(self.out.fileno()).columns or None
            )
        except OSError:
            return None

    def table(
        self,
        head: Sequence[str],
        rows: Sequence[Sequence[object]],
        none: str,
        spare: Sequence[str] = (),
        cut: bool = True,
    ) -> None:
        """A table; what `none` says, on standard error, where it has no rows.

        On a terminal lines that do not fit are cut, unless `cut` forbids it, after the columns of `spare` are left out.
        """
        if not rows:
            return self.note(none)
        room = self.columns if cut else None
        lines = text.table([name.upper() for name in head], rows, room, [name.upper() for name in spare])
        if room is not None:
            lines = [text.fitted(line, room, "…" if self.unicode else "~") for line in lines]
        self.line(_styled(lines[0], "bold") if self.colors else lines[0])
        for line in lines[1:]:
            self.line(line)
        return None

    def listing(
        self,
        as_json: bool,
        found: Sequence[Any],
        head: Sequence[str],
        rows_of: Callable[[Any], Iterable[Sequence[object]]],
        none: str,
        spare: Sequence[str] = (),
        cut: bool = True,
    ) -> None:
        """What was found, as JSON or as a `table` of the rows that `rows_of` makes of each."""
        if as_json:
            self.json(found)
        else:
            self.table(head, [row for one in found for row in rows_of(one)], none, spare, cut)

    def json(self, document: Any) -> None:
        """One JSON document: indented in a terminal, on one line in a pipe."""
        self.line(json.dumps(document, indent=2 if self.is_tty else None))

    def note(self, message: str) -> None:
        """Something that is not data."""
        click.echo(message, self.err)

    def error(self, message: str) -> None:
        """What went wrong; the lines of it are kept, nothing else in it reaches the terminal."""
        first, *others = message.splitlines() or [""]
        click.echo(f"rectl: {text.safe(first)}", self.err)
        for line in others:
            click.echo(text.safe(line), self.err)


def _styled(part: str, style: str) -> str:
    if not style or not part:
        return part
    words = style.split()
    color = next((word for word in words if word not in ("bold", "dim")), None)
    return click.style(part, fg=color, bold="bold" in words or None, dim="dim" in words or None)
