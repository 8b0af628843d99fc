"""Differences of texts, for people. Pure."""

from __future__ import annotations

import difflib

#: bytes of a difference that are shown
MOST = 64 * 1024
#: bytes of a text that is compared line by line; beyond that it takes too long
MOST_COMPARED = 256 * 1024


def unified(before: bytes | None, after: bytes | None, path: str) -> str:
    """The unified diff of two contents of a file; None: there is no file. Of what is no text it says that it differs."""
    if before == after:
        return ""
    texts = [_text(one) for one in (before, after)]
    old, new = ("/dev/null" if one is None else path for one in (before, after))
    if texts[0] is None or texts[1] is None:
        return f"{path}: {_about(before)} -> {_about(after)}\n"
    lines = difflib.unified_diff(texts[0], texts[1], old, new)
    return cut("".join(line if line.endswith("\n") else f"{line}\n\\ no line feed at the end\n" for line in lines))


def versions(changes: dict[str, tuple[str, str]]) -> str:
    """name -> (before, after); an empty version: it is not there."""
    lines = []
    for name, (before, after) in changes.items():
        lines += [f"-{name} {before}\n"] if before else []
        lines += [f"+{name} {after}\n"] if after else []
    return cut("".join(lines))


def cut(text: str) -> str:
    """At most MOST bytes of it, whole lines."""
    if len(text.encode("utf-8", "replace")) <= MOST:
        return text
    kept = text.encode("utf-8", "replace")[:MOST].rpartition(b"\n")[0].decode("utf-8", "ignore")
    return f"{kept}\n… ({text.count(chr(10)) - kept.count(chr(10))} more lines)\n"


def _text(content: bytes | None) -> list[str] | None:
    """Its lines; None where it is no text, or too much of it."""
    if content is None:
        return []
    if len(content) > MOST_COMPARED or b"\0" in content:
        return None
    try:
        return content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None


def _about(content: bytes | None) -> str:
    return "no file" if content is None else f"{len(content)} bytes"
