"""Reads the two log files of an instance, which its shim fills in turn, from a place on. Must not know what becomes of lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from re_dploy.zone.shim import HEADER, HEADER_SIZE

#: bytes read of a file at once: of each line at least one fits
PIECE = 256 * 1024

_BEGIN = HEADER.partition(b"%")[0]

#: begins the line that says how many lines were before a file
NUMBER = b"0 n "


class Line(NamedTuple):
    """One line of a log."""

    #: where it ends, in bytes of its file
    offset: int
    #: milliseconds since the epoch
    at: int
    #: o: printed, e: printed as an error, s: said by the shim
    source: str
    text: str


class Piece(NamedTuple):
    """Lines of one generation, and the place behind them."""

    generation: int
    offset: int
    lines: tuple[Line, ...]


def read(directory: Path, generation: int, offset: int, most: int) -> Piece:
    """Up to `most` lines behind a place; (0, 0) is the begin. Of what was overwritten meanwhile nothing is left: it goes on behind.

    Where a later generation has begun and nothing is left of this one, the piece begins there.
    """
    there = _there(directory)
    for found, path in there:
        if found < generation:
            continue
        start = offset if found == generation else 0
        lines, end = _lines(path, found, max(start, HEADER_SIZE), most)
        if end > max(start, HEADER_SIZE):
            return Piece(found, end, lines)
        if found == there[-1][0]:
            return Piece(found, start, ())
    return Piece(generation, offset, ())


def newest(directory: Path) -> int:
    """The generation that is written; 0 where there is none."""
    return max(_generation(directory / name) for name in ("log", "log.1"))


def tail(directory: Path, most: int) -> list[str]:
    """Texts of the last lines."""
    lines: list[str] = []
    place = Piece(0, 0, ())
    while (piece := read(directory, place.generation, place.offset, 10_000))[:2] != place[:2]:
        lines = [*lines, *(line.text for line in piece.lines)][-most:]
        place = piece
    return lines


def from_start(directory: Path, after: int, most: int) -> list[tuple[int, str]]:
    """At most `most` lines behind the first `after`, each with its number: what to ask for next.

    In the place of lines that were overwritten before they were read stands one that says how many. For logs that their shim began.
    """
    found: list[tuple[int, str]] = []
    before = 0
    for generation, path in _there(directory):
        begin, texts = _numbered(path, generation, before)
        if begin > after:
            found.append((begin, f"[{begin - after} lines are lost: they were overwritten before they were read]"))
            after = begin
        found += enumerate(texts[after - begin :][:most], after + 1)
        before = begin + len(texts)
        after = max(after, before)
    return found[:most]


def _there(directory: Path) -> list[tuple[int, Path]]:
    """The files with their generations, the older one first."""
    return sorted((found, path) for path in (directory / "log", directory / "log.1") if (found := _generation(path)))


def _numbered(path: Path, generation: int, before: int) -> tuple[int, list[str]]:
    """How many lines were before this file, and the texts of its lines. `before`: where the file does not say it."""
    try:
        raw = path.read_bytes()[HEADER_SIZE:].split(b"\n")[:-1]
    except OSError:
        return before, []
    if _generation(path) != generation:  # it was begun again meanwhile
        return before, []
    if raw and (count := raw[0].removeprefix(NUMBER)) != raw[0] and count.isdigit():
        return int(count), _texts(raw[1:])
    return before, _texts(raw)


def _texts(raw: list[bytes]) -> list[str]:
    return [line.split(b" ", 2)[-1].decode("utf-8", "replace") for line in raw]


def _generation(path: Path) -> int:
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_SIZE)
    except OSError:
        return 0
    whole = len(header) == HEADER_SIZE and header.startswith(_BEGIN) and header.endswith(b"\n")
    number = header[len(_BEGIN) : -1]
    return int(number) if whole and number.isdigit() else 0


def _lines(path: Path, generation: int, start: int, most: int) -> tuple[tuple[Line, ...], int]:
    """The lines, and where the last one of them ends."""
    try:
        with path.open("rb") as file:
            data = os.pread(file.fileno(), PIECE, start)
    except OSError:
        return (), start
    if _generation(path) != generation:  # it was begun again meanwhile
        return (), start
    lines, end = [], start
    for raw in data.split(b"\n")[:-1][:most]:
        end += len(raw) + 1
        if (line := _line(raw, end)) is not None:
            lines.append(line)
    return tuple(lines), end


def _line(raw: bytes, end: int) -> Line | None:
    at, _, rest = raw.partition(b" ")
    source, _, text = rest.partition(b" ")
    if not at.isdigit() or source not in (b"o", b"e", b"s"):
        return None
    return Line(end, int(at), source.decode(), text.decode("utf-8", "replace"))
