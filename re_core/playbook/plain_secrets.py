"""Values in playbooks that look like secrets: named, never repeated, with what to write instead. Pure; must not know any step.

A playbook is kept for ever, in revisions, plans and journals. What is found here is a guess, so it is a warning; where a parameter is
declared to be a secret (secret_names.CONFIDENTIAL), a plain value is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from re_core.errors import Problem
from re_core.json_pointer import pointer
from re_core.secret_names import CONFIDENTIAL, SECRET, reference
from re_core.wire.redaction import is_secret, without_passwords

#: characters of a string that are looked at, and warnings of one step
_LOOKED_AT, _MOST = 16 * 1024, 20

#: values, each with one schema, that are held against what a worker publishes of a step
_LOOKS = 10_000

#: what it looks like -> how that is recognised
_PATTERNS = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")),
    ("a JSON Web Token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,2000}\.")),
    ("a bearer token", re.compile(r"(?i)\bbearer +(?!\$)[A-Za-z0-9._~+/-]{12,}")),
    ("an access key of AWS", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    (
        "a token of a service",
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|hv[bs]\.[\w-]{20,})"),
    ),
    (
        "a password in a command line",
        re.compile(
            r"""(?i)(?:--?password|--?passwd|--?token|\b[A-Z_]*(?:PASSWORD|PASSWD|TOKEN)=)[= ]?["']?(?!\$|\s|-)[^\s"']{4,}"""
        ),
    ),
)

#: what is said under such a name without being one: a file, another name, a switch
_NOT_ITSELF = re.compile(r"(?i)(?:_|-|\b)(?:file|path|name|id|url|variable|ttl|policy|env)$")

#: a value that is filled in elsewhere: a variable, a template
_FILLED_IN = re.compile(r"\$[A-Za-z_{(]|\{\{|^<[^>]*>$")


def found_in(steps: Iterable[tuple[str, str, Any]]) -> Iterator[Problem]:
    """A warning for each place; `steps` as compiler.step_entries gives them."""
    for path, name, arguments in steps:
        for number, (place, what, line) in enumerate(_in_value(arguments, (), "")):
            if number == _MOST:
                break
            yield Problem(path + pointer([name, *place]), _words(what, line))


def refused_in(schema: object, arguments: Mapping[str, Any], at: str) -> list[Problem]:
    """A problem for each plain value where only a secret may stand, at any depth, by what the worker publishes of the step."""
    message = f"only a secret may stand here: write {{secret: {_NAME}}}, and set it with {_SET}"
    found = dict.fromkeys(_plain(schema, arguments, (), iter(range(_LOOKS))))
    return [Problem(at + pointer(place), message) for place in found]


_NAME, _SET = "GROUP/NAME", "rectl secret set GROUP/NAME"


def _words(what: str, line: bool) -> str:
    how = f"env: {{NAME: {{{SECRET}: {_NAME}}}}} and $NAME" if line else f"{{{SECRET}: {_NAME}}}"
    return (
        f"this looks like {what}: every reader of the playbook and of its deployments can read it, for ever; "
        f"{_SET}, write {how} instead, and replace it where it is used"
    )


def _plain(
    schema: object, value: Any, place: tuple[str | int, ...], looks: Iterator[int]
) -> Iterator[tuple[str | int, ...]]:
    """Places of texts that are to be secrets. What is published is data from the bus: `looks` bounds what is looked at."""
    if not isinstance(schema, Mapping) or next(looks, None) is None:
        return
    if isinstance(value, str) and value and schema.get(CONFIDENTIAL):
        yield place
    properties, others = schema.get("properties"), schema.get("additionalProperties")
    for name, one in value.items() if isinstance(value, Mapping) else ():
        inner = properties.get(name, others) if isinstance(properties, Mapping) else others
        yield from _plain(inner, one, (*place, name), looks)
    for number, one in enumerate(value if isinstance(value, list) else ()):
        yield from _plain(schema.get("items"), one, (*place, number), looks)
    forms = schema.get("anyOf")
    for form in forms if isinstance(forms, list) else ():
        yield from _plain(form, value, place, looks)


def _in_value(value: Any, path: tuple[str | int, ...], name: str) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
    """(path, what it looks like, whether it stands within a longer text) of each finding."""
    if reference(value) is not None:
        return
    if isinstance(value, str):
        what = _of_text(value[:_LOOKED_AT], name)
        if what:
            yield path, what, len(value.split()) > 1 and "private key" not in what
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _in_value(one, (*path, str(key)), str(key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _in_value(one, (*path, number), name)


def _of_text(text: str, name: str) -> str:
    for what, pattern in _PATTERNS:
        if pattern.search(text):
            return what
    if without_passwords(text) != text and not _FILLED_IN.search(text):
        return "a URL with a password"
    named = is_secret(name) and not _NOT_ITSELF.search(name)
    if named and len(text) >= 4 and " " not in text and not _FILLED_IN.search(text):
        return f"the value of {name[:40]!r}"
    return ""
