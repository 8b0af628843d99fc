"""A step's arguments against what its worker publishes of them. Pure but for jsonschema; must not know playbooks."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from re_core.errors import Problem
from re_core.plan import Offers

#: keys among a step's arguments that are the engine's own
OURS = frozenset({"notify", "dynamic", "hosts", "command", "subcommand"})

#: characters of a value that an error shows
SHOWN = 60


def problems(path: str, name: str, arguments: Mapping[str, Any], offer: Mapping[str, Any]) -> Iterator[Problem]:
    """What is missing, misspelt or mistyped; `path` is that of the step's entry. A useless schema finds nothing."""
    schema = offer.get("parameters")
    if not isinstance(schema, Mapping):
        return
    at = f"{path}/{_escape(name)}"
    given = {key: value for key, value in arguments.items() if key not in OURS}
    known = schema.get("properties")
    yield from _missing(path, at, name, arguments, schema)
    if isinstance(known, Mapping) and schema.get("additionalProperties") is False:
        for key in [key for key in given if key not in known]:
            del given[key]
            yield Problem(f"{at}/{_escape(key)}", f"{name} has no parameter {key[:SHOWN]!r}{suggestion(key, known)}")
    yield from _mistyped(at, name, given, schema)


def unknown_subcommand(name: str, offers: Offers) -> str:
    """How to say that a registered command has no such step."""
    command, _, subcommand = name.partition(":")
    known = [offer.partition(":")[2] for offer in offers if offer.startswith(command + ":")]
    return f"the command {command!r} has no step {subcommand[:SHOWN]!r}{suggestion(subcommand, known)}"


def suggestion(name: str, known: Collection[str]) -> str:
    """What to say beside a name that nobody knows."""
    lower = {one.lower(): one for one in sorted(known)}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    if near:
        return f"; did you mean {lower[near[0]]!r}?"
    return f"; known are {', '.join(sorted(known))}" if known else "; it takes none"


def _missing(
    path: str, at: str, name: str, arguments: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[Problem]:
    """A parameter may also come with the deployment request: then the step's `dynamic` names it."""
    wanted = arguments.get("dynamic", [])
    supplied = set(arguments) | {one for one in wanted if isinstance(one, str)}
    required = schema.get("required", [])
    for key in required if isinstance(required, list) else []:
        if key not in supplied:
            yield Problem(at if arguments else path, f"{name} needs the parameter {key!r}")


def _mistyped(at: str, name: str, given: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Problem]:
    properties = schema.get("properties", {})
    # an empty registry: what a worker publishes must not make us fetch anything
    registry: Registry[Any] = Registry()
    for key, value in given.items():
        wanted = properties.get(key) if isinstance(properties, Mapping) else None
        if not isinstance(wanted, Mapping):
            continue
        try:
            Draft202012Validator.check_schema(wanted)
            found = list(Draft202012Validator(wanted, registry=registry).iter_errors(value))
        except (SchemaError, Unresolvable):
            continue
        for error in found:
            where = "".join("/" + _escape(str(part)) for part in error.absolute_path)
            yield Problem(f"{at}/{_escape(key)}{where}", f"the parameter {key!r} of {name}: {_words(error)}")


def _words(error: Any) -> str:
    if error.validator == "type":
        return f"expected {error.validator_value}, found {error.instance!r:.60}"
    if error.validator == "anyOf" and all("type" in one for one in error.validator_value):
        kinds = " or ".join(str(one["type"]) for one in error.validator_value)
        return f"expected {kinds}, found {error.instance!r:.60}"
    return str(error.message)[:200]


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
