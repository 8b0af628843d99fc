"""Formats of strings that leave the engine for programs and servers. Pure; must not know where they are used.

Each format has a name, which a worker's published schema may say (`{"type": "string", "format": "re-url"}`), and a check that
takes a time in proportion to the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from re_core.errors import Problem
from re_core.json_pointer import escape
from re_core.wire.strict_json import dumps

#: bytes of one argument or variable of a program; Linux takes 128 KiB with name and end (execve(2), MAX_ARG_STRLEN)
MAX_TEXT = 130_000

#: bytes of a variable's name
MAX_NAME = 255

#: bytes of a path (PATH_MAX, without its end)
MAX_PATH = 4095

#: bytes of an HTTP header's value; servers take 8 KiB and more
MAX_HEADER = 8000

#: headers that say how a message is framed (RFC 9112)
_OWN_HEADERS = frozenset(
    {"connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
#: RFC 9110, 5.6.2 and 5.5
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")

#: a destination type of forest: `organisation/name@version`, or without the version
DESTINATION_TYPE = re.compile(r"([A-Za-z0-9][\w.-]{0,62})/([A-Za-z0-9][\w.-]{0,62})(?:@([0-9]{1,20}))?", re.ASCII)
#: what a version is below (uint64)
MAX_VERSION = 2**64

#: begins the name of the variable that carries a dynamic value
DYNAMIC = "RE_DYNAMIC_"

#: in the schema of a step's parameters: where the deployment's dynamic values go, beside parameters of their names
PASSES = "x-dynamic"
#: they all become variables of programs
ENVIRONMENT = "environment"


def variable_of(name: str) -> str:
    """The variable that carries the dynamic value of this name."""
    return DYNAMIC + re.sub("[^A-Z0-9_]", "_", name.upper())


def carried(value: Any) -> str:
    """What such a variable holds: a string as it is, all else as JSON."""
    return value if isinstance(value, str) else dumps(value)


def twins(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that would be one variable, the second in order and the first."""
    by_variable: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        by_variable[variable_of(name)].append(name)
    return [(other, alike[0]) for alike in by_variable.values() for other in alike[1:]]


def twin_words(name: str, other: str) -> str:
    """What to say of such a pair."""
    return (
        f"expected names with different variables: {name!r:.80} and {other!r:.80} would both be {variable_of(name):.80}"
    )


def variable_problems(dynamic: Mapping[str, Any]) -> Iterator[Problem]:
    """Why the values cannot all be variables of a program."""
    for name, other in twins(dynamic):
        yield Problem(f"/dynamic/{escape(name)}", twin_words(name, other))
    for name, value in dynamic.items():
        if len(variable_of(name)) > MAX_NAME:
            yield Problem(
                f"/dynamic/{escape(name)}",
                f"expected at most {MAX_NAME} bytes in the variable's name, found {name!r:.80}",
            )
        elif why := text_problem(carried(value)):
            yield Problem(
                f"/dynamic/{escape(name)}",
                f"the value {name!r:.80} cannot be an environment variable of programs: {why}",
            )


def text_problem(value: str) -> str:
    """Why no program can get this as an argument or a variable; empty where it can."""
    if "\0" in value:
        return "expected a string without NUL"
    return _too_long(value, MAX_TEXT)


def script_problem(value: str) -> str:
    """The same of a text that a shell shall read."""
    if "\r" in value:
        line = value[: value.index("\r")].count("\n") + 1
        return (
            f"expected lines that end in a line feed: line {line} has a carriage return, which the shell would read as part "
            "of the last word; save the file with Unix line ends"
        )
    return text_problem(value)


def name_problem(value: str) -> str:
    """Why a variable cannot have this name."""
    if not value or "=" in value or "\0" in value:
        return "expected the name of a variable: not empty, without = and NUL"
    return _too_long(value, MAX_NAME)


def path_problem(value: str) -> str:
    """Why there can be no such path."""
    return "expected a path without NUL" if "\0" in value else _too_long(value, MAX_PATH)


def url_problem(value: str) -> str:
    """Why no HTTP request can go there."""
    expected = "expected a URL, http://… or https://…"
    if any(one.isspace() or ord(one) < 32 for one in value):
        return f"{expected}, without blanks and control characters"
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        return f"{expected}: {error}"
    return "" if usable else expected


def header_problem(value: str) -> str:
    """Why a step cannot set a header of this name."""
    if not _TOKEN.fullmatch(value) or len(value) > MAX_NAME:
        return "expected the name of a header: letters, digits and - in most cases"
    if value.lower() in _OWN_HEADERS:
        return "expected a header that does not belong to the connection"
    return ""


def header_value_problem(value: str) -> str:
    """Why a header cannot have this value."""
    if not _HEADER_VALUE.fullmatch(value):
        return "expected one line of text in ASCII, without control characters"
    return _too_long(value, MAX_HEADER)


def destination_type_problem(value: str) -> str:
    """Why no forest runner can offer this type."""
    match = DESTINATION_TYPE.fullmatch(value)
    if match and int(match[3] or 0) < MAX_VERSION:
        return ""
    return "expected a destination type: organisation/name@version, or organisation/name for any version"


def _too_long(value: str, most: int) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "expected a string without lone surrogates"
    return f"expected at most {most} bytes, found {size}" if size > most else ""


#: categories of characters that cannot be seen
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def group_problem(value: str) -> str:
    """Why it is no group. A group is a segment of URLs and a unit of authorization: two that differ must look different."""
    if value in (".", "..") or "/" in value:
        return "expected a group that is not '.' or '..' and has no '/'"
    if any(unicodedata.category(one) in INVISIBLE for one in value):
        return "expected a group without control or invisible characters"
    if value != value.strip():
        return "expected a group without blanks at its ends"
    if not unicodedata.is_normalized("NFC", value):
        return "expected a group in Unicode's composed form (NFC)"
    return ""


#: name of a format -> its check: what was expected, or nothing
FORMATS: Mapping[str, Callable[[str], str]] = {
    "re-text": text_problem,
    "re-script": script_problem,
    "re-variable": name_problem,
    "re-path": path_problem,
    "re-url": url_problem,
    "re-header": header_problem,
    "re-header-value": header_value_problem,
    "re-destination-type": destination_type_problem,
}
