"""Dynamic values and documents from a command line: --set, --set-json, --dynamic, files. Must not know which command wants them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from re_client.errors import BadInput, problem_line
from re_client.text import safe
from re_core.errors import BadDocument, Problem
from re_core.wire import strict_json

if TYPE_CHECKING:
    from re_core.playbook.documents import Form

_Command = TypeVar("_Command", bound=Callable[..., Any])


#: milliseconds of one of each
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000}


class Age(click.ParamType[int]):
    """A time such as 90d or 12h, in milliseconds."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,9})([dhms])", str(value))
        if found is None:
            self.fail(f"expected a number with a unit, such as 90d, 12h, 30m or 10s, found {value!r}", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


class Source(NamedTuple):
    """A file of the command line; `-` is standard input."""

    name: str
    data: bytes

    @property
    def form(self) -> Form:
        """`json` for a file that is named so, else `yaml`, of which JSON is a part."""
        return "json" if self.name.endswith(".json") else "yaml"


def dynamic_options(command: _Command) -> _Command:
    """--set, --set-json and --dynamic, as `texts`, `documents` and `file`."""
    for option in (
        click.option(
            "--dynamic", "file", metavar="FILE", help="A YAML or JSON file with dynamic values; - reads standard input."
        ),
        click.option(
            "--set-json", "documents", metavar="NAME=JSON", multiple=True, help="A dynamic value, as JSON; repeatable."
        ),
        click.option(
            "--set", "texts", metavar="NAME=TEXT", multiple=True, help="A dynamic value, as a string; repeatable."
        ),
    ):
        command = option(command)
    return command


def dynamic(
    texts: Sequence[str], documents: Sequence[str], file: str | None, note: Callable[[str], None]
) -> dict[str, Any]:
    """All values; what the command line sets wins over the file. Raises BadInput.

    `note` is called with each number in the file that loses digits: 1.10 is 1.1.
    """
    values = parsed(read(file), note) if file else {}
    named: dict[str, Any] = {}
    for option, items in (("--set", texts), ("--set-json", documents)):
        for item in items:
            name, equals, value = item.partition("=")
            if not (name and equals):
                raise BadInput(f"{option} {item!r}: expected NAME=VALUE")
            if name in named:
                raise BadInput(f"{option} {item!r}: {name} is set twice")
            named[name] = value if option == "--set" else _json(item, value)
    return {**values, **named}


def read(name: str) -> Source:
    """The bytes of a file. Raises BadInput."""
    try:
        return Source(name, sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror}") from None


def parsed(source: Source, note: Callable[[str], None] | None = None) -> dict[str, Any]:
    """The object in it. Raises BadInput, with file, line and column; `note` is called with each number that loses digits."""
    # imported late: most commands read no file
    from re_core.playbook import documents

    try:
        read = documents.parse(source.data, source.form)
    except BadDocument as error:
        raise BadInput("\n".join(f"{source.name}:{problem_line(problem)}" for problem in error.problems)) from None
    if not isinstance(read.value, dict):
        raise BadInput(f"{source.name}: expected an object, `name: value`")
    if note is not None:
        for doubt in read.doubts.listed():
            note(f"{source.name}:{_warning(doubt)}")
    return read.value


def _warning(doubt: Problem) -> str:
    """As `rectl playbook validate` shows it: the place, then the text."""
    place = f"{doubt.line}:{doubt.column}: " if doubt.line is not None else " "
    return f"{place}warning: {safe(problem_line(doubt._replace(line=None, column=None)))}"


def _json(item: str, text: str) -> Any:
    try:
        return strict_json.loads(text)
    except BadDocument as error:
        raise BadInput(f"--set-json {item!r}: {error}; for a string use --set, or put it in quotation marks") from None
