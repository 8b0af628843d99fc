"""JSON pointers (RFC 6901): where something stands in a document. Pure; must not know any document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: characters of one key that `pointer` shows: it is written once for every problem behind that key
_PART = 500


def escape(part: str) -> str:
    """One key as it stands in a pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def parts(text: str) -> list[str]:
    """The keys of a pointer, none for the whole document."""
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def valid(text: str) -> bool:
    """Whether it is a pointer: empty, or `/` before each key."""
    return not text or text.startswith("/")


def look_up(document: Any, text: str) -> Any:
    """What stands there. Raises LookupError where the document has no such place."""
    for part in parts(text):
        if isinstance(document, list):
            if not (part.isascii() and part.isdigit() and len(part) < 10) or (part[0] == "0" and part != "0"):
                raise LookupError(part)
            document = document[int(part)]
        elif isinstance(document, dict):
            document = document[part]
        else:
            raise LookupError(part)
    return document


def pointer(path: Iterable[str | int]) -> str:
    """The pointer of a path, for people; of a key that is very long, its beginning."""
    return "".join("/" + escape(_short(str(part))) for part in path)


def _short(part: str) -> str:
    return part if len(part) <= _PART else part[:_PART] + "…"
