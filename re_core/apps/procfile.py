"""A Procfile: which processes an app has. Pure. The rules are those of honcho, restated; errors name the line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from re_core.apps.names import TYPE_NAME
from re_core.errors import BadDocument, Problem

#: characters of one, and types that it names
MOST, MOST_TYPES = 16_384, 20

#: the line that is no process: a command that runs once per version, before any process of it
RELEASE = "release"

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+)")


class Procfile(NamedTuple):
    """What it says."""

    #: type -> command, in the order of the file
    processes: Mapping[str, str]
    #: command that runs once per version; empty: none
    release: str
    #: what was passed over, one text per line
    warnings: tuple[str, ...]


def parse_procfile(text: str) -> Procfile:
    """Read it. Raises BadDocument with all its problems: a type twice or too long, none at all, too many, NUL, too long."""
    if len(text) > MOST:
        raise BadDocument(f"the Procfile has {len(text)} characters; at most {MOST} are read")
    if "\0" in text:
        raise BadDocument("the Procfile has a NUL character")
    commands: dict[str, str] = {}
    problems, warnings = [], []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            warnings.append(f"line {number} of the Procfile is passed over: it is not `type: command`: {line[:80]!r}")
        elif found[1] in commands:
            problems.append(Problem(f"/{number}", f"line {number} of the Procfile names {found[1]} once more"))
        elif not TYPE_NAME.fullmatch(found[1]):
            problems.append(Problem(f"/{number}", f"line {number} of the Procfile: a type has at most 30 characters"))
        else:
            commands[found[1]] = found[2].strip()
    release = commands.pop(RELEASE, "")
    if not commands and not problems:
        problems.append(Problem("", "the Procfile names no process; a line is `web: gunicorn app:app`"))
    if len(commands) > MOST_TYPES:
        problems.append(Problem("", f"the Procfile names {len(commands)} types of processes; at most {MOST_TYPES} run"))
    if problems:
        raise BadDocument("", problems)
    return Procfile(commands, release, tuple(warnings))
