"""Names of artifacts, categories and files. Pure.

A file's path is laid out on other machines, so what could leave its directory, or means another file there, is no path here.
"""

from __future__ import annotations

import re

#: of an artifact
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

#: of a category
CATEGORY = re.compile(r"[a-z][a-z0-9_-]{0,31}")

#: bytes of the longest path, and directories of the deepest one
MAX_PATH, MAX_DEPTH = 512, 32

#: files of one artifact at most
MAX_FILES = 5000

#: characters of a name that a message repeats
_SHOWN = 120


def name_problem(name: str) -> str:
    """Why it cannot be the name of an artifact; empty where it can."""
    if NAME.fullmatch(name):
        return ""
    return (
        "the name of an artifact has 1 to 128 letters, digits, '_', '.' and '-', and begins with a letter or a digit; "
        f"found {name[:_SHOWN]!r}"
    )


def category_problem(category: str) -> str:
    """Why it cannot be a category; empty where it can."""
    if CATEGORY.fullmatch(category):
        return ""
    return (
        "a category has 1 to 32 lower-case letters, digits, '_' and '-', and begins with a letter, such as deployment or spec; "
        f"found {category[:_SHOWN]!r}"
    )


def path_problem(path: str) -> str:
    """Why it cannot be the path of a file; empty where it is relative and normalised."""
    parts = path.split("/")
    shown = repr(path[:_SHOWN])
    if path.startswith("/"):
        return f"the path {shown} is absolute; use a relative one"
    if ".." in parts:
        return f"the path {shown} has '..'; name the place itself"
    if "" in parts or "." in parts:
        return f"the path {shown} is not normalised: it has an empty part or '.'"
    if "\\" in path or not path.isprintable():
        return f"the path {shown} has a backslash or a character that cannot be printed; rename the file"
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH or len(parts) > MAX_DEPTH:
        return f"the path {shown} has more than {MAX_PATH} bytes or {MAX_DEPTH} parts; shorten it"
    return ""


class Paths:
    """The paths of one artifact: each file once, and no file where another one has its directory."""

    def __init__(self) -> None:
        self._files: set[tuple[str, ...]] = set()
        self._directories: set[tuple[str, ...]] = set()

    def add(self, category: str, path: str) -> str:
        """Why this file cannot be one more; empty where it can. The two were checked before."""
        parts = (category, *path.split("/"))
        shown = f"{category}/{path[:_SHOWN]}"
        if len(self._files) >= MAX_FILES:
            return f"there are more than {MAX_FILES} files; push an archive (kind=archive), or several artifacts"
        if parts in self._files:
            return f"the file {shown} occurs twice"
        above = [parts[:end] for end in range(1, len(parts))]
        if parts in self._directories or any(one in self._files for one in above):
            return f"{shown} is a file and a directory"
        self._files.add(parts)
        self._directories.update(above)
        return ""
