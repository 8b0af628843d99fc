"""JSON pointers (RFC 6901): where something stands in a document. Pure; must not know any document."""

from __future__ import annotations

from collections.abc import Iterable

#: characters of one key that `pointer` shows: it is written once for every problem behind that key
_PART = 500


def escape(part: str) -> str:
    """One key as it stands in a pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def parts(text: str) -> list[str]:
    """The keys of a pointer, none for the whole document."""
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def pointer(path: Iterable[str | int]) -> str:
    """The pointer of a path, for people; of a key that is very long, its beginning."""
    return "".join("/" + escape(_short(str(part))) for part in path)


def _short(part: str) -> str:
    return part if len(part) <= _PART else part[:_PART] + "…"
