"""JSON as it should be: what is ambiguous is refused. Pure; must not know what the document is for.

RFC 8259 leaves duplicate names, lone surrogates and numbers out of range to the reader, and Python's reader
takes NaN and Infinity besides. Two readers that disagree on one message are a hole, so all of these are errors.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from re_core.errors import BadMessage

#: levels of nesting; deeper documents are refused before they can exhaust a stack
MAX_DEPTH = 64

#: bytes of one message or request body
MAX_BYTES = 1024 * 1024


def _constant(name: str) -> NoReturn:
    raise BadMessage(f"{name} is not JSON; numbers must be finite")


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise BadMessage(f"the number {text[:40]} is too large")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadMessage(f"the key {twice!r} is there twice")
    return document


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_number)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)


def loads(data: bytes | str) -> Any:
    """The document in `data` (UTF-8). Raises BadMessage for anything that two readers could read differently."""
    if len(data) > MAX_BYTES:
        raise BadMessage(f"{len(data)} bytes are more than the {MAX_BYTES} that a message may have")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        document = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise BadMessage(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise BadMessage(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise BadMessage(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise BadMessage(f"not JSON that can be used: {error}") from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(document, 0)
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(document)
    return document


def dumps(document: Any) -> str:
    """Compact JSON, one spelling for one document (keys keep their order)."""
    return _ENCODER.encode(document)


def _check_depth(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadMessage(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for item in value.values():
            _check_depth(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_depth(item, depth + 1)


def _check_surrogates(document: Any) -> None:
    try:
        dumps(document).encode("utf-8")
    except UnicodeEncodeError:
        raise BadMessage("an escaped lone surrogate is not a character") from None
