"""Whether the files of a category can be sent to a runner: as text, each in one message of gRPC. Pure.

A forest runner drops its work silently when a message is too large, a name unsafe or a name repeated, so all of it
is checked before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from re_core.artifacts.names import path_problem
from re_core.errors import Problem
from re_core.json_pointer import escape

#: bytes of one encoded message: what a client of gRPC takes by default, less some room for what surrounds it
MAX_MESSAGE = 4 * 1024 * 1024 - 64 * 1024


def problems_of_texts(category: str, files: Iterable[tuple[str, bytes]]) -> list[Problem]:
    """All that keeps these files, path and bytes, from being sent as (name, text); empty where nothing does."""
    found: list[Problem] = []
    seen: set[str] = set()
    for path, data in files:
        place = f"/{escape(category)}/{escape(path)}"
        if problem := path_problem(path):
            found.append(Problem(place, problem))
        if path in seen:
            found.append(Problem(place, f"the file {path[:200]!r} occurs twice"))
        seen.add(path)
        size = message_size(path, data)
        if size > MAX_MESSAGE:
            found.append(
                Problem(place, f"it has {size} bytes as a message, a runner takes {MAX_MESSAGE}; split the file")
            )
        if (where := first_wrong_byte(data)) is not None:
            found.append(Problem(place, f"byte {where} is not UTF-8; a runner takes text only"))
    return found


def message_size(path: str, data: bytes) -> int:
    """Bytes of the message of protobuf with the two as its fields 1 and 2."""
    sizes = len(path.encode("utf-8", "surrogatepass")), len(data)
    return sum(1 + max(1, -(-size.bit_length() // 7)) + size for size in sizes)


def first_wrong_byte(data: bytes) -> int | None:
    """Where it stops to be UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def below(files: Mapping[str, bytes], directory: str) -> dict[str, bytes]:
    """Those of a directory at the top, by their whole paths."""
    return {path: data for path, data in files.items() if path.startswith(f"{directory}/")}
