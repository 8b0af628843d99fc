"""The log of an app: what its processes print, and what zones say of them. Must not know HTTP, nor how lines get here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, cast

from re_core import ports
from re_core.api import apps as api
from re_core.ports.apps import MOST_LOG_LINES
from re_core.rows import AppRow, LogLine
from re_core.usecases.times import rfc3339

#: source of the lines that a zone says itself
ZONE = "dploy"

#: lines that are shown where no number is said
TAIL = 100


class Wanted(NamedTuple):
    """Which lines; empty means all."""

    #: a process (web.1), or a type of processes (web)
    process: str = ""
    #: `app` or `dploy`
    source: str = ""

    def takes(self, line: LogLine) -> bool:
        """Whether the line is one of them."""
        process = _about(line)[0]
        is_process = not self.process or self.process in (process, process.partition(".")[0])
        return is_process and self.source in ("", line.source)


def tail(store: ports.AppRows, found: AppRow, wanted: Wanted, count: int = TAIL) -> Sequence[LogLine]:
    """The newest lines, oldest first, at most `count`."""
    lines = [line for line in after(store, found, 0) if wanted.takes(line)]
    return lines[-count:]


def after(store: ports.AppRows, found: AppRow, number: int) -> Sequence[LogLine]:
    """All that are kept behind that number: MOST_LOG_LINES at most."""
    return store.log_lines(found.id, number, MOST_LOG_LINES)


def line_document(line: LogLine) -> api.AppLogLine:
    """For people."""
    process, text = _about(line)
    return {
        "id": str(line.number),
        "at": rfc3339(line.at),
        "zone": line.zone,
        "process": process,
        "source": cast(Literal["app", "dploy"], line.source),
        "text": text,
    }


def _about(line: LogLine) -> tuple[str, str]:
    """The process that a line is about, and what it says: a zone writes into one log, and begins with the process."""
    if line.source == ZONE and line.ps.startswith(f"{ZONE}."):
        first, space, rest = line.text.partition(" ")
        if space:
            return first, rest
    return line.ps, line.text


def log_document(lines: Iterable[LogLine]) -> api.AppLog:
    """For people."""
    return {"lines": [line_document(line) for line in lines]}
