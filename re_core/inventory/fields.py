"""What may be said of a host, a group or all hosts: each word, its check, and what it comes to. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from re_core.inventory.hosts import (
    MOST_KEYS,
    MOST_LABELS,
    MOST_NAME,
    MOST_OF_GROUPS,
    MOST_TAGS,
    MOST_VARS,
    NAME,
    POOL,
    WORD,
    Become,
)
from re_core.secret_names import FORM, is_name
from re_core.wire.strict_json import dumps
from re_core.wording import did_you_mean, one_of


class Wrong(Exception):
    """The value is not valid; the message says what was expected, and what to do."""


_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\+-]{0,127}\$?")
_RUNNER = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_KEY = re.compile(r"(?:ssh|ecdsa|sk)-[a-z0-9@.-]{1,60} [A-Za-z0-9+/]{16,8192}={0,2}")
_HOST_KEY = ("strict", "trust-first", "pinned")
#: seconds of a time-out
_MOST_SECONDS = 600
#: bytes of a path
_MOST_PATH = 1024
#: names of variables whose values look like secrets
_SECRET = re.compile(r"passw|passphrase|secret|token|credential|(api|access|private)[-_. ]?key", re.IGNORECASE)


def name_of_host(value: Any) -> str:
    """A host's name. Raises Wrong."""
    if isinstance(value, str) and NAME.fullmatch(value) and not value.startswith(("group:", "tag:", "environment:")):
        return value
    expected = (
        f"expected a host's name: up to {MOST_NAME} characters without blanks and commas, not beginning with - or !"
    )
    raise Wrong(f"{expected}; found {_shown(value)}")


def word(value: Any) -> str:
    """A name of a group, an environment, a label. Raises Wrong."""
    if isinstance(value, str) and WORD.fullmatch(value):
        return value
    raise Wrong(f"expected a name of letters, digits and _ . @ / + -, up to 100; found {_shown(value)}")


def _words(most: int) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise Wrong(f"expected a list of names, found {_shown(value)}")
        if len(value) > most:
            raise Wrong(f"expected at most {most} names, found {len(value)}")
        return tuple(dict.fromkeys(word(one) for one in value))

    return read


def _fitting(pattern: re.Pattern[str], expected: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        raise Wrong(f"expected {expected}, found {_shown(value)}")

    return read


def _choice(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        meant = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise Wrong(f"expected {one_of(choices)}, found {_shown(value)}{f'; {meant}' if meant else ''}")

    return read


def _port(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    raise Wrong(f"expected a port, a whole number from 1 to 65535, found {_shown(value)}")


def _seconds(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MOST_SECONDS:
        return float(value)
    raise Wrong(f"expected seconds, above 0 and at most {_MOST_SECONDS}, found {_shown(value)}")


def _path(value: Any) -> str:
    if isinstance(value, str) and 0 < len(value.encode(errors="replace")) <= _MOST_PATH and value.isprintable():
        return value
    raise Wrong(f"expected a path in one line, found {_shown(value)}")


def _absolute(value: Any) -> str:
    if (path := _path(value)).startswith("/"):
        return path
    raise Wrong(f"expected a path that begins with /, found {_shown(value)}")


def _host_keys(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or len(value) > MOST_KEYS:
        raise Wrong(f"expected a list of 1 to {MOST_KEYS} keys, found {_shown(value)}")
    for one in value:
        if not (isinstance(one, str) and _KEY.fullmatch(one)):
            how = "as `ssh-keyscan HOST` prints them behind the name"
            raise Wrong(f"expected a public key, `ssh-ed25519 AAAA…` ({how}), found {_shown(one)}")
    return tuple(value)


def _become(value: Any) -> Become | None:
    """`true`, a user's name, or {user, password: {secret: NAME}}; `false` undoes what a group says."""
    if isinstance(value, bool):
        return Become() if value else None
    if isinstance(value, str):
        return Become(_user(value))
    if not isinstance(value, dict) or value.keys() - {"user", "password"}:
        raise Wrong(f"expected true, a user, or an object with `user` and `password`; found {_shown(value)}")
    user = _user(value.get("user", "root"))
    if "password" not in value:
        return Become(user)
    password = value["password"]
    if not (isinstance(password, dict) and password.keys() == {"secret"}):
        raise Wrong(
            "a password does not stand in an inventory: store it as a secret, and write `password: {secret: NAME}`"
        )
    if not (isinstance(password["secret"], str) and is_name(password["secret"])):
        raise Wrong(f"expected the name of a secret, {FORM}, found {_shown(password['secret'])}")
    return Become(user, password["secret"])


def _tags(value: Any) -> dict[str, str]:
    if isinstance(value, list):
        value = dict.fromkeys((word(one) for one in value), "true")
    if not isinstance(value, dict):
        raise Wrong(f"expected an object of tags, or a list of names; found {_shown(value)}")
    if len(value) > MOST_TAGS:
        raise Wrong(f"expected at most {MOST_TAGS} tags, found {len(value)}")
    return {word(key): _tag(key, one) for key, one in value.items()}


def _tag(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and WORD.fullmatch(value):
        return value
    advice = "; put it in quotation marks" if isinstance(value, float) else ""
    raise Wrong(
        f"the tag {key!r:.40} has the value {_shown(value)}; expected a name, a whole number, true or false{advice}"
    )


def _vars(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"expected an object of variables, found {_shown(value)}")
    size = len(dumps(value).encode(errors="replace"))
    if size > MOST_VARS:
        raise Wrong(f"expected at most {MOST_VARS} bytes of variables, found {size}")
    return value


def secret_names(variables: Mapping[str, Any]) -> Iterator[str]:
    """Names of variables that seem to hold a secret: all variables of a host are kept with every deployment on it."""
    for name, value in variables.items():
        if isinstance(value, str) and _SECRET.search(name):
            yield name


_user = _fitting(_USER, "the name of a user")

#: word -> its check, which gives the value of the field of Host with that name, or raises Wrong
FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "port": _port,
    "user": _user,
    "identity": _path,
    "jump": name_of_host,
    "runner": _fitting(_RUNNER, "the name of a host runner: ssh, local, or an installed one"),
    "host_key": _choice(*_HOST_KEY),
    "host_keys": _host_keys,
    "become": _become,
    "records": _absolute,
    "connect_timeout": _seconds,
    "shell_timeout": _seconds,
    "environment": word,
    "pool": _fitting(POOL, "a pool: a to z, digits and -, beginning with a letter, up to 31"),
    "labels": _words(MOST_LABELS),
    "tags": _tags,
    "vars": _vars,
}
#: of a host alone
OF_HOST: Mapping[str, Callable[[Any], Any]] = {"address": name_of_host, "groups": _words(MOST_OF_GROUPS)}
#: what merges key by key, where a host, its groups and the defaults all say something of it
MERGED = ("tags", "vars")


def _shown(value: Any) -> str:
    """For people: cut, and numbers that no integer of ours can be are not spelled out."""
    if isinstance(value, float) and not math.isfinite(value):
        return "no finite number"
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
