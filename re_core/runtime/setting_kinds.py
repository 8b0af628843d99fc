"""What a setting's value may be: one reader per kind, and the masking of secrets. Must not know any setting's name.

A reader takes the value (a string from the environment, anything from a file) and the directory that relative paths
are meant from; it returns what the program uses or raises ValueError with a text for people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from re_core.cdpm.sources import ARCHIVES, allowed
from re_core.errors import BadMessage
from re_core.inventory.findings import BadPattern
from re_core.inventory.patterns import parse as parse_pattern
from re_core.playbook.command_rules import ENTRY
from re_core.playbook.host_rules import ALL
from re_core.playbook.notice_routes import read_routes
from re_core.runtime.addresses import rule
from re_core.secret_names import FORM, is_name, reference
from re_core.wire.places import A_WORD, is_word, read_place
from re_core.wire.redaction import is_secret
from re_core.wording import did_you_mean

#: what is shown in a secret's place
MASK = "***"

_SWITCH = {word: on for on, words in ((True, "1 true yes on"), (False, "0 false no off")) for word in words.split()}

#: user:password@ of a URL; up to the last @, for a password may hold any character
_USERINFO = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^/@\s:]*:)\S*@", re.IGNORECASE)


def text(value: Any, _: Path) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"expected a string, found {type_name(value)}")
    return value


def path(value: Any, base: Path) -> Path:
    """An absolute path; `~` is the home directory, a relative one starts at the settings file's directory."""
    return (base / Path(text(value, base)).expanduser()).absolute()


def url(*schemes: str) -> Callable[[Any, Path], str]:
    """A URL with one of these schemes."""

    def read(value: Any, base: Path) -> str:
        scheme = urlsplit(text(value, base)).scheme
        if scheme not in schemes:
            allowed = " or ".join(f"{one}:" for one in schemes)
            raise ValueError(f"expected a URL that begins with {allowed}, found {masked(value)!r}")
        return str(value)

    return read


def address(value: Any, base: Path) -> str:
    """host:port, [v6 host]:port."""
    host, colon, port = text(value, base).rpartition(":")
    bare_v6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535) or bare_v6:
        raise ValueError(f"expected host:port, found {value!r}")
    return str(value)


def whole(least: int, most: int) -> Callable[[Any, Path], int]:
    """A whole number in this range."""

    def read(value: Any, _: Path) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise ValueError(f"expected a whole number from {least} to {most}, found {describe_value(value)}")
        return number

    return read


def seconds(value: Any, _: Path) -> float:
    """A time above zero."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(f"expected a number of seconds above 0, found {describe_value(value)}")
    return number


def days(value: Any, base: Path) -> float:
    """A time above zero; `90` and `90d` are the same."""
    try:
        return seconds(value.removesuffix("d") if isinstance(value, str) else value, base)
    except ValueError:
        raise ValueError(f"expected a number of days above 0, found {describe_value(value)}") from None


def one_of(*names: str) -> Callable[[Any, Path], str]:
    """One of these names, in any case."""

    def read(value: Any, base: Path) -> str:
        word = text(value, base).lower()
        if word not in names:
            raise ValueError(f"expected one of {', '.join(names)}, found {value!r}")
        return word

    return read


def texts(value: Any, _: Path) -> tuple[str, ...]:
    """A list of strings."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"expected a list of strings, found {type_name(value)}")
    return tuple(value)


def names(value: Any, base: Path) -> tuple[str, ...]:
    """A list of names; in the environment they stand between commas or blanks."""
    return texts(value.replace(",", " ").split() if isinstance(value, str) else value, base)


def paths(value: Any, base: Path) -> tuple[Path, ...]:
    """A list of paths, each as `path` reads it."""
    return tuple(path(one, base) for one in texts(value, base))


def networks(value: Any, base: Path) -> tuple[str, ...]:
    """A list of networks, as addresses.rule reads them."""
    describe_value = names(value, base)
    rule(describe_value)
    return describe_value


def sources(value: Any, base: Path) -> tuple[str, ...]:
    """A list of kinds of URLs, as cdpm.sources.allowed reads them."""
    words = names(value, base)
    allowed(words)
    return words


def archives(value: Any, base: Path) -> tuple[str, ...]:
    """A list of kinds of URLs that archives have, as cdpm.sources.allowed reads them."""
    words = names(value, base)
    allowed(words, ARCHIVES, ("file",))
    return words


def switch(value: Any, _: Path) -> bool:
    """true or false; in the environment 1, yes and on, or 0, no and off, are the same."""
    if isinstance(value, str):
        value = _SWITCH.get(value.lower(), value)
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {describe_value(value)}")
    return value


def commands(value: Any, base: Path) -> dict[str, tuple[str, ...]]:
    """Group -> commands, steps, or `*`."""
    listed = {group: names(one, base) for group, one in section(value, base).items()}
    for group, entries in listed.items():
        for entry in entries:
            if not ENTRY.fullmatch(entry):
                raise ValueError(f"{group}: expected a command, command:Subcommand or *, found {entry[:80]!r}")
    return listed


def places(value: Any, _: Path) -> tuple[Any, ...]:
    """A list of words and sections; what they may say, their reader knows."""
    if not isinstance(value, list) or not all(isinstance(one, str | dict) for one in value):
        raise ValueError(f"expected a list of places, found {type_name(value)}")
    return tuple(value)


def pool(value: Any, base: Path) -> str:
    """The name of a pool, or nothing."""
    found = text(value, base)
    if found and not is_word(found):
        raise ValueError(f"expected {A_WORD}, found {found[:60]!r}")
    return found


def pools(value: Any, base: Path) -> tuple[str, ...]:
    """A list of names of pools."""
    return tuple(pool(one, base) for one in names(value, base))


def environments(value: Any, base: Path) -> tuple[str, ...]:
    """A list of names of environments."""
    found = names(value, base)
    for one in found:
        if not is_name(f"group/{one}/name"):
            raise ValueError(f"expected names of environments, found {one[:80]!r}")
    return found


def labels(value: Any, base: Path) -> dict[str, str]:
    """Name -> text: an object, or `rack=r3,site=fra`."""
    found = _pairs(value) if isinstance(value, str) else section(value, base)
    try:
        return dict(read_place({"labels": found}).labels)
    except BadMessage as error:
        raise ValueError(str(error)) from None


def _pairs(value: str) -> dict[str, str]:
    pairs = [one.partition("=") for one in value.split(",") if one.strip()]
    if wrong := next((name for name, equals, _ in pairs if not equals), None):
        raise ValueError(f"expected name=text, found {wrong[:60]!r}")
    return {name.strip(): text.strip() for name, _, text in pairs}


def secret_names(value: Any, base: Path) -> dict[str, tuple[str, ...]]:
    """Group -> names of secrets, or `GROUP/*`."""
    listed = {group: names(one, base) for group, one in section(value, base).items()}
    for group, entries in listed.items():
        for entry in entries:
            if not is_name(entry.removesuffix("*") + "x" if entry.endswith("/*") else entry):
                raise ValueError(
                    f"{group}: expected the name of a secret, {FORM}, or one that ends with /*, found {entry[:80]!r}"
                )
    return listed


def group_hosts(value: Any, base: Path) -> dict[str, tuple[str, ...]]:
    """Group -> entries as a playbook's list of hosts has them, or `*`. Whether they mean a host shows when they are used."""
    listed = {group: texts(one, base) for group, one in section(value, base).items()}
    for group, entries in listed.items():
        for entry in entries:
            try:
                parse_pattern("group:all" if entry == ALL else entry)
            except BadPattern as error:
                raise ValueError(f"{group}: {error}") from None
    return listed


def inventory(value: Any, base: Path) -> tuple[dict[str, Any], ...]:
    """A list of sources, or one: a path, {file}, {directory}, or {command} with `every`, `timeout` and `stale`."""
    # imported late: where it is not set, YAML is not needed
    from re_core.runtime.inventory_sources import MOST_SOURCES

    listed = value if isinstance(value, list) else [value]
    if len(listed) > MOST_SOURCES:
        raise ValueError(f"expected at most {MOST_SOURCES} sources, found {len(listed)}")
    return tuple(_source(one, base) for one in listed)


def _source(value: Any, base: Path) -> dict[str, Any]:
    from re_core.runtime.inventory_sources import COMMAND_WORDS, FORMS

    if isinstance(value, str):
        found = path(value, base)
        return _source({"directory" if found.is_dir() else "file": value}, base)
    which = [word for word in ("file", "directory", "command") if word in section(value, base)]
    if len(which) != 1:
        raise ValueError("expected a path, or an object with one of `file`, `directory` and `command`")
    known = {which[0], *(COMMAND_WORDS if which[0] == "command" else ())}
    if unknown := sorted(set(value) - known):
        near = did_you_mean(unknown[0], known)
        raise ValueError(f"a source has no key {unknown[0][:80]!r}; {near or 'there are ' + ', '.join(sorted(known))}")
    if which[0] != "command":
        found = path(value[which[0]], base)
        if which[0] == "file" and found.suffix.lower() not in FORMS:
            raise ValueError(f"{found}: expected a file whose name ends with {', '.join(FORMS)}")
        return {which[0]: found}
    argv = texts(value["command"], base)
    if not argv or not argv[0]:
        raise ValueError("a command is a list of strings, the program first: [/etc/inventory.py, --list]")
    program = str(path(argv[0], base)) if "/" in argv[0] else argv[0]
    limits = {word: seconds(value.get(word, usual), base) for word, usual in COMMAND_WORDS.items()}
    return {"command": (program, *argv[1:]), **limits}


def patterns(value: Any, base: Path) -> tuple[re.Pattern[str], ...]:
    """A list of regular expressions."""
    compiled = []
    for one in texts(value, base):
        try:
            compiled.append(re.compile(one))
        except re.error as error:
            raise ValueError(f"{one!r} is not a regular expression: {error}") from None
    return tuple(compiled)


def section(value: Any, _: Path) -> dict[str, Any]:
    """A mapping."""
    if not isinstance(value, dict):
        raise ValueError(f"expected a section, `name: value`, found {type_name(value)}")
    return value


def sections(value: Any, base: Path) -> tuple[dict[str, Any], ...]:
    """A list of mappings."""
    if not isinstance(value, list):
        raise ValueError(f"expected a list, found {type_name(value)}")
    return tuple(section(one, base) for one in value)


def routes(value: Any, base: Path) -> tuple[dict[str, Any], ...]:
    """A list of rules, as notice_routes reads them."""
    found = sections(value, base)
    for number, route in enumerate(read_routes(found), 1):
        if route.daily is not None:
            _check_zone(route.daily.zone, f"rule {number}: daily")
    return found


def _check_zone(name: str, where: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(
            f"{where}: this machine knows no time zone {name!r}; install tzdata, or name no zone for UTC"
        ) from None


def masked(value: Any, secret: bool = False) -> Any:
    """`value` as JSON has it, with every secret in it hidden: passwords of URLs, keys that are named like secrets. A reference to a
    secret is none."""
    if reference(value) is not None:
        return dict(value)
    if secret and value and not isinstance(value, Mapping):
        return MASK
    if isinstance(value, Mapping):
        return {name: masked(one, secret or is_secret(str(name))) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [masked(one) for one in value]
    if isinstance(value, str):
        return _USERINFO.sub(rf"\g<before>{MASK}@", value)
    if isinstance(value, re.Pattern):
        return value.pattern
    return str(value) if isinstance(value, Path) else value


def describe_value(value: Any) -> str:
    """The value itself where it is short and simple, else its kind."""
    simple = isinstance(value, int | float | str) and not isinstance(value, bool)
    return repr(value) if simple and len(str(value)) < 40 else type_name(value)


def type_name(value: Any) -> str:
    """What people call a value of this type."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a section"}
    return names.get(type(value), "nothing" if value is None else type(value).__name__)
