"""YAML text to a value and its places, for documents that mean one thing only. Pure; must not know what they are for.

PyYAML's parser gives events; here they become JSON-able values, with these rules (YAML 1.2's JSON schema, nearly):

- only `true`, `True`, `TRUE` and the like of `false` are booleans: `on`, `yes`, `no` are strings;
- only what JSON calls a number is one: `012`, `0x1F`, `1_000`, `1:30` and dates are strings; NaN and infinities are refused;
- `null`, `Null`, `NULL`, `~` and nothing at all are null;
- keys are strings, each once; `<<` is a key like any other;
- anchors and aliases are refused altogether. Counting what they expand to would serve against bombs too, but a
  document without them is a tree, in which every place has one path and every path one place;
- tags other than those of the JSON kinds are refused, and so is a second document.

A number that was written with digits that it does not keep is read and reported: `1.10` is 1.1, and was a version perhaps. So is
`12e4`, which is 120000.0 and was the beginning of a commit's id perhaps. `1.5`, `1.0`, `1.5e3` and `10` are not reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from re_core.errors import BadDocument, Problem, Problems
from re_core.json_pointer import pointer
from re_core.wire.strict_json import MAX_DEPTH

#: libyaml where PyYAML was built with it: twenty times faster, the same events
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
#: lines that begin with %: libyaml compares every directive with all before it
_MAX_DIRECTIVES = 100
#: a number whose author may have meant a string: with an exponent and neither point nor sign
_LIKE_AN_ID = re.compile(r"[0-9]+[eE][0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class PositionTree(NamedTuple):
    """Where a value stands (of a key's value: where the key stands), and the places in it."""

    #: from 1
    line: int
    #: from 1
    column: int
    inside: dict[str, PositionTree] | list[PositionTree] | None = None


class Read(NamedTuple):
    """What a text says."""

    value: Any
    place: PositionTree
    #: numbers that lost digits, with line and column
    doubts: Problems


def read(text: str) -> Read:
    """The one document in `text`; null where there is none. Raises BadDocument, with line and column."""
    if text.count("\n%") > _MAX_DIRECTIVES:
        raise _refused(f"expected at most {_MAX_DIRECTIVES} lines that begin with %", None)
    try:
        reader = _Reader(text)
        return Read(*reader.document(), reader.doubts)
    except yaml.MarkedYAMLError as error:
        raise _refused(_syntax(error), error.problem_mark or error.context_mark) from None
    except yaml.reader.ReaderError as error:
        raise _unreadable(text, error) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML lets some numbers of directives and escapes reach int() and chr() as they are
        raise _refused(f"not YAML: {error}", None) from None


#: path of a value: that of its container, and its key or number there; spelled out only where it is shown, since keys
#: may be as long as the document
_Path = tuple[Any, ...]


def _pointer(path: _Path) -> str:
    parts: list[str | int] = []
    while path:
        path, part = path
        parts.append(part)
    return pointer(reversed(parts))


class _Reader:
    """Events to values, by recursive descent. The depth is counted before it can hurt."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=LOADER)
        self.doubts = Problems()

    def document(self) -> tuple[Any, PositionTree]:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None, PositionTree(1, 1)
        value, place = self._node(next(self._events), 1, ())
        next(self._events)  # the document's end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise _refused("expected one document, found a second one", event.start_mark)
        return value, place

    def _node(self, event: Any, depth: int, path: _Path) -> tuple[Any, PositionTree]:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refused("anchors and aliases (& and *) are not allowed; write the value out", event.start_mark, path)
        if depth > MAX_DEPTH:
            raise _refused(f"nested deeper than {MAX_DEPTH} levels", event.start_mark)
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event, path)
            if isinstance(value, float) and event.tag is None and _lossy(event.value, value):
                doubt = _doubt(event.value, value) if self.doubts.room else ""
                self.doubts.add([Problem(_pointer(path) if doubt else "", doubt, line, column)])
            return value, PositionTree(line, column)
        if isinstance(event, yaml.SequenceStartEvent):
            _only_tag(event, "seq", path)
            items, places = self._sequence(depth, path)
            return items, PositionTree(line, column, places)
        _only_tag(event, "map", path)
        values, inside = self._mapping(depth, path)
        return values, PositionTree(line, column, inside)

    def _sequence(self, depth: int, path: _Path) -> tuple[list[Any], list[PositionTree]]:
        items: list[Any] = []
        places: list[PositionTree] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            item, place = self._node(event, depth + 1, (path, len(items)))
            items.append(item)
            places.append(place)
        return items, places

    def _mapping(self, depth: int, path: _Path) -> tuple[dict[str, Any], dict[str, PositionTree]]:
        values: dict[str, Any] = {}
        places: dict[str, PositionTree] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key, place = self._node(event, depth + 1, path)
            if not isinstance(key, str):
                raise _refused("keys are strings; put this one in quotation marks", event.start_mark, path)
            below = (path, key)
            if key in values:
                raise _refused(f"the key {key[:80]!r} occurs twice", event.start_mark, below)
            values[key], inner = self._node(next(self._events), depth + 1, below)
            places[key] = place._replace(inside=inner.inside)
        return values, places


def _scalar(event: Any, path: _Path) -> Any:
    text: str = event.value
    tag = event.tag
    if tag is None and event.implicit[0]:
        return _resolved(text, event, path)
    if tag in (None, "!", f"{_TAG}str"):
        return _characters(text, event, path)
    value, fits = _resolved(text, event, path), _TAGGED.get(tag)
    if fits is None:
        raise _refused(f"the tag {_short(tag)} is not allowed", event.start_mark, path)
    if not fits(value):
        raise _refused(f"{text[:40]!r} does not fit the tag {_short(tag)}", event.start_mark, path)
    return float(value) if tag == f"{_TAG}float" else value


def _resolved(text: str, event: Any, path: _Path) -> Any:
    """What a plain scalar means."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NOT_FINITE.fullmatch(text):
        raise _refused(f"{text} is not a number in JSON; numbers must be finite", event.start_mark, path)
    number = _NUMBER.fullmatch(text)
    if number is None:
        return _characters(text, event, path)
    try:
        value = float(text) if number[1] or number[2] else int(text)
    except ValueError:  # more digits than Python converts
        value = float("inf")
    if value in (float("inf"), float("-inf")):
        raise _refused(f"the number {text[:40]} is too large", event.start_mark, path)
    return value


def _lossy(text: str, value: float) -> bool:
    """Whether digits were written that the number does not keep, or what may have been no number."""
    if _LIKE_AN_ID.fullmatch(text):
        return True
    plain = "e" not in text and "E" not in text
    padded = plain and text.endswith("0") and not text.endswith(".0")
    return padded or _significant(text) != _significant(repr(value))


def _significant(text: str) -> str:
    mantissa = text.lower().partition("e")[0]
    return mantissa.lstrip("-").replace(".", "").strip("0")


def _doubt(text: str, value: float) -> str:
    shown = text if len(text) <= 40 else text[:40] + "…"
    return f'{shown} is read as the number {value!r}; put it in quotation marks, "{shown}", if it is a string'


def _characters(text: str, event: Any, path: _Path) -> str:
    if not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text):
        raise _refused("an escaped lone surrogate is not a character", event.start_mark, path)
    return text


def _only_tag(event: Any, kind: str, path: _Path) -> None:
    if event.tag not in (None, "!", _TAG + kind):
        raise _refused(f"the tag {_short(event.tag)} is not allowed", event.start_mark, path)


def _short(tag: str) -> str:
    return repr(tag.replace(_TAG, "!!")[:80])


def _syntax(error: yaml.MarkedYAMLError) -> str:
    if "maximum nesting depth" in (error.problem or ""):  # newer libyamls have a limit of their own, far above ours
        return f"nested deeper than {MAX_DEPTH} levels"
    begun, found = error.context_mark, error.problem_mark
    since = (
        f" from line {begun.line + 1} on" if begun is not None and found is not None and begun.line < found.line else ""
    )
    context = f"{error.context}{since}," if error.context else ""
    return f"not YAML: {' '.join(part for part in (context, error.problem) if part)}"


def _unreadable(text: str, error: Any) -> BadDocument:
    """A character that YAML forbids. libyaml counts bytes, so the character is looked for."""
    at = next((n for n, one in enumerate(text) if yaml.reader.Reader.NON_PRINTABLE.match(one)), len(text))
    before = text[:at]
    problem = f"not YAML: the character U+{error.character:04X} must be escaped, in double quotation marks"
    place = (before.count("\n") + 1, at - before.rfind("\n"))
    return BadDocument(problem, (Problem("", problem, *place),))


def _refused(message: str, mark: Any, path: _Path = ()) -> BadDocument:
    line, column = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
    where = "" if line is None else f" (line {line}, column {column})"
    return BadDocument(message + where, (Problem(_pointer(path), message, line, column),))


#: tag -> does the value that the text means fit it
_TAGGED: Mapping[str, Callable[[Any], bool]] = {
    f"{_TAG}null": lambda value: value is None,
    f"{_TAG}bool": lambda value: isinstance(value, bool),
    f"{_TAG}int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    f"{_TAG}float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
