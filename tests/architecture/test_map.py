"""docs/architecture.md is the map of a newcomer: what it names is there, and no room is missing on it."""

from __future__ import annotations

import re

from tests.architecture.tree import ROOT

_TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")

#: a path from the root of the repository, as the page writes it
_PATH = re.compile(r"`((?:re_[a-z]+|schemas|tests|docs)/[\w./]*)`")

#: a function, and the file that the page says it is in
_PLACED = re.compile(r"`(\w+)` in `([\w/]+\.py)`")

#: a room's row: its directory, its subject, files in it
_ROOM = re.compile(r"^\| `(re_core/\w+/)` \| [^|]* \| ([^|]*) \|$", re.MULTILINE)


def test_every_path_on_the_map_exists() -> None:
    paths = _PATH.findall(_TEXT)
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_function_on_the_map_is_in_the_file_that_it_names() -> None:
    placed = _PLACED.findall(_TEXT)
    assert placed
    assert [(name, path) for name, path in placed if f"\ndef {name}(" not in (ROOT / path).read_text("utf-8")] == []


def test_every_room_of_the_core_is_on_the_map_with_files_that_are_in_it() -> None:
    rooms = dict(_ROOM.findall(_TEXT))
    packages = {f"re_core/{path.parent.name}/" for path in (ROOT / "re_core").glob("*/__init__.py")}
    assert rooms.keys() == packages
    named = [(room, name) for room, files in rooms.items() for name in re.findall(r"`(\w+\.py)`", files)]
    # a room of rooms names files that each of its rooms has
    assert [(room, name) for room, name in named if not list((ROOT / room).rglob(name))] == []
