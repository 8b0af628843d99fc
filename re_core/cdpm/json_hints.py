"""What is wrong with JSON that a person wrote, in words that say what to do. Pure; must not know messages."""

from __future__ import annotations

import json

from re_core.errors import BadMessage
from re_core.wire import strict_json

#: quotation marks of word processors
TYPOGRAPHIC = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb"

#: characters that are shown of what stands in the wrong place
_SHOWN = 20


class NotJson(BadMessage):
    """The message is not JSON."""

    reason = "not-json"


def loads(data: bytes) -> object:
    """As strict_json.loads. Raises NotJson, with the line and the column of what is wrong where that is known."""
    try:
        return strict_json.loads(data)
    except BadMessage as error:
        raise NotJson(_hint(data) or str(error)) from None


def _hint(data: bytes) -> str:
    """Empty where the text is JSON, so that something else is wrong with it, or where there is no more to say."""
    try:
        text = data.decode("utf-8")
        json.loads(text)
    except json.JSONDecodeError as error:
        return _quotes(text) or _explained(text, error)
    except (UnicodeDecodeError, RecursionError, ValueError):
        return ""
    return ""


def _quotes(text: str) -> str:
    """The first typographic quotation mark outside of a string."""
    inside = False
    skip = False
    for place, character in enumerate(text):
        if skip:
            skip = False
        elif inside and character == "\\":
            skip = True
        elif character == '"' or (inside and character == "\n"):  # a string that is not closed ends with its line here
            inside = character == '"' and not inside
        elif not inside and character in TYPOGRAPHIC:
            return f'{_where(text, place)}: {character} is a typographic quote, JSON needs "'
    return ""


def _explained(text: str, error: json.JSONDecodeError) -> str:
    place = error.pos
    if error.msg.startswith(("Invalid control", "Unterminated")):
        start = place if error.msg.startswith("Unterminated") else _begin_of_string(text, place)
        return f'{_where(text, start)}: the string that begins here has no closing "'
    if error.msg.startswith("Invalid \\"):
        return f"{_where(text, place)}: no escape of JSON begins so, found {_found(text, place)}"
    before = text[:place].rstrip()
    if before.endswith(",") and text[place : place + 1] in ("}", "]"):
        return f"{_where(text, len(before) - 1)}: a comma before {text[place]}, JSON allows none"
    if error.msg.startswith("Illegal trailing comma"):
        return f"{_where(text, place)}: a comma before the end, JSON allows none"
    if error.msg.startswith("Extra data"):
        return f"{_where(text, place)}: expected the end, found {_found(text, place)}"
    expected = {
        "Expecting ',' delimiter": "a comma or the end of the object or list",
        "Expecting ':' delimiter": "a colon",
        "Expecting property name enclosed in double quotes": 'a key in "',
    }.get(error.msg, "a value")
    return f"{_where(text, place)}: expected {expected}, found {_found(text, place)}"


def _begin_of_string(text: str, place: int) -> int:
    """Where the string begins in which `place` is; strings before it are closed."""
    start, inside, skip = place, False, False
    for at in range(place):
        if skip:
            skip = False
        elif inside and text[at] == "\\":
            skip = True
        elif text[at] == '"':
            inside = not inside
            start = at if inside else start
    return start


def _where(text: str, place: int) -> str:
    line = text.count("\n", 0, place) + 1
    return f"line {line} column {place - text.rfind(chr(10), 0, place)}"


def _found(text: str, place: int) -> str:
    shown = text[place : place + _SHOWN].split("\n")[0].strip()
    return shown if shown else "nothing"
