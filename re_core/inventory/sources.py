"""A source's text to a document with places. Pure; must not know what the document says."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from re_core.errors import BadDocument
from re_core.inventory import toml_places
from re_core.inventory.findings import BadInventory, Finding, Place
from re_core.json_pointer import parts, pointer
from re_core.playbook import yaml_reader
from re_core.playbook.yaml_reader import PositionTree
from re_core.wire import strict_json

#: bytes of one source, and of all together
MOST_BYTES, MOST_BYTES_ALL = 16 * 1024**2, 64 * 1024**2

Form = Literal["yaml", "toml", "json"]


class SourceText(NamedTuple):
    """What one source says."""

    #: as people name it: a file's path, a command line
    name: str
    form: Form
    text: str


class SourceDocument:
    """The parsed text of one source."""

    def __init__(self, name: str, value: Any, line_of: Callable[[str], int]) -> None:
        self.name, self.value, self._line_of = name, value, line_of

    def place(self, *path: str | int) -> Place:
        """Of the value at this path, or of the nearest thing around it."""
        where = pointer(path)
        return Place(self.name, self._line_of(where), where)


def parse(source: SourceText) -> tuple[SourceDocument, list[Finding]]:
    """The document, and warnings: numbers that lost digits. Raises BadInventory."""
    if len(source.text) > MOST_BYTES:
        raise _bad(source, f"{len(source.text)} characters; an inventory source has at most {MOST_BYTES}")
    try:
        return _PARSERS[source.form](source)
    except BadDocument as error:
        first = error.problems[0] if error.problems else None
        line = (first.line if first else None) or 0
        message = first.message if first else str(error)
        raise _bad(source, message, line, first.path if first else "") from None


def _yaml(source: SourceText) -> tuple[SourceDocument, list[Finding]]:
    read = yaml_reader.read(source.text)
    document = SourceDocument(source.name, read.value, _lines_of(read.place))
    doubts = [Finding(Place(source.name, one.line or 0, one.path), one.message) for one in read.doubts.listed()]
    return document, doubts


def _json(source: SourceText) -> tuple[SourceDocument, list[Finding]]:
    """Of programs, so that there are no lines to go to; but the strict rules of JSON hold."""
    return SourceDocument(source.name, strict_json.loads(source.text.encode(), MOST_BYTES), lambda where: 0), []


def _toml(source: SourceText) -> tuple[SourceDocument, list[Finding]]:
    line_of = toml_places.places(source.text)
    try:
        value = tomllib.loads(source.text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _bad(source, f"not TOML: {error}", _line_in(str(error)) or source.text.count("\n") + 1) from None
    _only_json(value, (), source, line_of)
    return SourceDocument(source.name, value, line_of), []


def _only_json(value: Any, path: tuple[str | int, ...], source: SourceText, line_of: Callable[[str], int]) -> None:
    """Dates of TOML are no values of ours, and its floats may be infinite. Raises BadInventory."""
    if isinstance(value, dict | list):
        if len(path) > strict_json.MAX_DEPTH:
            raise _bad(source, f"nested deeper than {strict_json.MAX_DEPTH} levels")
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _only_json(inner, (*path, key), source, line_of)
        return
    if not isinstance(value, str | int | float):
        message = "a date or a time is no value here; put it in quotation marks"
    elif isinstance(value, float) and not math.isfinite(value):
        message = "numbers must be finite"
    else:
        return
    where = pointer(path)
    raise _bad(source, message, line_of(where), where)


_PARSERS: dict[Form, Callable[[SourceText], tuple[SourceDocument, list[Finding]]]] = {
    "yaml": _yaml,
    "json": _json,
    "toml": _toml,
}


def _lines_of(root: PositionTree) -> Callable[[str], int]:
    def line_of(where: str) -> int:
        place = root
        for part in parts(where):
            inner = _inside(place, part)
            if inner is None:
                break
            place = inner
        return place.line

    return line_of


def _inside(place: PositionTree, part: str) -> PositionTree | None:
    if isinstance(place.inside, dict):
        return place.inside.get(part)
    if place.inside is not None and part.isdigit() and int(part) < len(place.inside):
        return place.inside[int(part)]
    return None


def _line_in(message: str) -> int:
    """tomllib says `(at line 3, column 7)`."""
    _, _, behind = message.rpartition("at line ")
    digits = behind.partition(",")[0]
    return int(digits) if digits.isdigit() else 0


def _bad(source: SourceText, message: str, line: int = 0, path: str = "") -> BadInventory:
    return BadInventory([Finding(Place(source.name, line, path), message)])
