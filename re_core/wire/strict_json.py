"""JSON as it should be: what is ambiguous is refused. Pure; must not know what the document is for.

RFC 8259 leaves duplicate names, lone surrogates and numbers out of range to the reader, and Python's reader
takes NaN and Infinity besides. Two readers that disagree on one message are a hole, so all of these are errors.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from re_core.errors import BadMessage

#: levels of nesting; deeper documents are refused before they can exhaust a stack
MAX_DEPTH = 64

#: bytes of one message or request body
MAX_BYTES = 1024 * 1024

#: the largest whole number that every store keeps
MAX_WHOLE = 2**63 - 1

#: digits, sign included, that every finite number of JSON's usual readers may have
_SAFE_DIGITS = 300


def _constant(name: str) -> NoReturn:
    raise BadMessage(f"{name} is not JSON; numbers must be finite")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise BadMessage(f"the number {text[:40]} is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > _SAFE_DIGITS:
        _number(text)  # what is no finite number for others is none here
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise BadMessage(f"the key {twice[:80]!r} occurs twice")
    return document


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_number, parse_int=_integer
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)


def digits(text: str, most: int = MAX_WHOLE) -> int | None:
    """The whole number that these digits are; None for anything else, and for more than `most` (int() raises for thousands)."""
    if not (text.isascii() and text.isdigit()) or len(text) > _SAFE_DIGITS:
        return None
    number = int(text)
    return number if number <= most else None


def loads(data: bytes | str, most: int = MAX_BYTES) -> Any:
    """The document in `data` (UTF-8), of at most `most` bytes. Raises BadMessage for anything that two readers could read differently."""
    try:
        size = len(data if isinstance(data, bytes) else data.encode("utf-8"))
        if size > most:
            raise BadMessage(f"{size} bytes; a message has at most {most}")
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        document = _DECODER.decode(text)
    except UnicodeEncodeError:
        raise BadMessage("a lone surrogate is not a character") from None
    except UnicodeDecodeError as error:
        raise BadMessage(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        if not text.strip():
            raise BadMessage("expected JSON, found nothing") from None
        raise BadMessage(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise BadMessage(f"nested deeper than {MAX_DEPTH} levels") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(document, 0)
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(document)
    return document


def dumps(document: Any) -> str:
    """Compact JSON, one spelling for one document (keys keep their order)."""
    return _ENCODER.encode(document)


def _check_depth(value: Any, depth: int) -> None:
    if not isinstance(value, dict | list):
        return
    if depth == MAX_DEPTH:
        raise BadMessage(f"nested deeper than {MAX_DEPTH} levels")
    for item in value.values() if isinstance(value, dict) else value:
        _check_depth(item, depth + 1)


def canonical(document: Any) -> str:
    """The same text for two documents exactly where they are the same JSON (1.0 is 1)."""
    return dumps(_ordered(document))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return list(map(_ordered, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def equal(left: Any, right: Any) -> bool:
    """Whether two documents are the same JSON. Python's `==` is not enough: it holds 1 and true for one value."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _check_surrogates(document: Any) -> None:
    try:
        dumps(document).encode("utf-8")
    except UnicodeEncodeError:
        raise BadMessage("an escaped lone surrogate is not a character") from None
