"""What people send against the JSON Schemas: all that is wrong with a document, at once. Must not know what it is for.

jsonschema is the reference here and too slow for the bus; there the parsers of `messages` do the same by hand.
Nothing is ever fetched: the registry of references is empty. An integer is an `int` and never `2.0`, so that
what passed needs no conversion; everything else is JSON Schema 2020-12.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import re_schemas
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

from re_core.errors import MAX_PROBLEMS, BadDocument, Problem, Problems
from re_core.json_pointer import pointer
from re_core.playbook import formats
from re_core.playbook import schema_errors as words
from re_core.playbook.compiler import MAX_STEPS
from re_core.playbook.schema_keywords import RULES, Budget, Spent, counted
from re_core.playbook.untrusted_schema import tame

#: broken rules of one document that are looked at; a document with more is hopeless
_MAX_ERRORS = 2000
#: subschemas, keywords and their items that are looked at for one playbook, in the schemas that workers have published
MAX_LOOKS = 500_000

#: keys among a step's arguments that are the engine's own
RESERVED = frozenset({"notify", "dynamic", "hosts", "command", "subcommand"})

#: JSON pointer -> (line, column), both from 1; None where it is not known
Position = Callable[[str], tuple[int, int] | None]

#: Unicode categories that a reader cannot see or a newer Unicode may redefine
_INVISIBLE = formats.INVISIBLE
#: those that end a line or are no text at all; joiners stay allowed in text, some scripts need them
_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: embeddings, overrides and isolates: they show text in another order than it is in
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_FORMATS = FormatChecker(formats=())


def problems(name: str, document: Any) -> list[Problem]:
    """What is wrong with a document of a schema of re_schemas, sorted by path; empty: nothing.

    One problem per path, at most MAX_PROBLEMS and a count of the others. Raises KeyError for a name that is not in
    re_schemas.names().
    """
    return look(name, document).listed()


def look(name: str, document: Any) -> Problems:
    """As `problems`, to be listed together with others."""
    if name == "playbook" and (steps := _expanded(document)) > MAX_STEPS:
        # before the steps are looked at: a tenth of a millisecond for each of a million is too long
        message = f"expected at most {MAX_STEPS} steps after expansion over hosts, found {steps}"
        return Problems([Problem("/execution", message)])
    return explained(_validator(name).iter_errors(document))


def check(name: str, document: Any, positions: Position | None = None) -> None:
    """Raises BadDocument with all problems, each with its line and column where `positions` knows them."""
    wrong = problems(name, document)
    if wrong:
        placed = [_placed(problem, positions) for problem in wrong]
        raise BadDocument(f"{placed[0].path}: {placed[0].message}".removeprefix(": "), placed)


def explained(
    errors: Iterable[ValidationError], at: str = "", excused: Collection[str] = (), room: int = MAX_PROBLEMS
) -> Problems:
    """jsonschema's errors as texts, below the pointer `at`: sorted, one per path; only `room` of them get a text.

    `excused`: keys at the top that are missing rightly.
    """
    first: dict[tuple[str | int, ...], Callable[[], str]] = {}
    for error in islice(errors, _MAX_ERRORS):
        for path, worded in words.explain(error):
            if error.validator != "required" or len(path) != 1 or path[0] not in excused:
                first.setdefault(path, worded)
    # indexes as numbers, so that item 10 follows item 9
    order = sorted(first, key=lambda path: [(0, one, "") if isinstance(one, int) else (1, 0, one) for one in path])
    shown = [Problem(at + pointer(path), first[path]()) for path in order[:room]]
    return Problems(shown, len(order) - len(shown))


def fits(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    """The test of a value against a schema of ours that refers to nothing."""
    return _validator_of(schema).is_valid


def parameters_problems(schema: Mapping[str, Any], parameters: Mapping[str, Any], at: str) -> list[Problem]:
    """One step's arguments against the schema that its worker published, as Published.problems."""
    return Published().problems("", schema, parameters, at).listed()


class Published:
    """The schemas that workers have published, for one playbook: what its steps say is held against them.

    They are data from the bus: what could hang or fetch is left out of them (published_schema.tame), one that is no
    schema finds nothing, and after MAX_LOOKS nothing is found any more (`spent`); the worker itself still checks.
    """

    def __init__(self, looks: int | None = None) -> None:
        """`looks`: their number at most (MAX_LOOKS where it is not said)."""
        self._budget = Budget(MAX_LOOKS if looks is None else looks)
        self._validators: dict[str, Validator] = {}
        #: whether some of what was asked was not looked at
        self.spent = False

    def problems(
        self,
        name: str,
        schema: Mapping[str, Any],
        parameters: Mapping[str, Any],
        at: str,
        room: int = MAX_PROBLEMS,
    ) -> Problems:
        """A step's arguments against the schema of `name`; `at` is their JSON pointer, `room` as of `explained`.

        The engine's own keys (RESERVED) are not the worker's business, and a parameter that `dynamic` names comes
        with the deployment request.
        """
        if self.spent:
            return Problems()
        if name not in self._validators:
            self._validators[name] = _validator_of(tame(schema), _COUNTED)
        wanted = parameters.get("dynamic")
        dynamic = {one for one in wanted if isinstance(one, str)} if isinstance(wanted, list) else set()
        own = {key: value for key, value in parameters.items() if key not in RESERVED}
        with self._budget.charged():
            return explained(self._affordable(self._validators[name].iter_errors(own)), at, dynamic, room)

    def _affordable(self, errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
        try:
            yield from errors
        except Spent:
            self.spent = True


def _placed(problem: Problem, positions: Position | None) -> Problem:
    place = positions(problem.path) if positions is not None else None
    return problem._replace(line=place[0], column=place[1]) if place else problem


@functools.cache
def _validator(name: str) -> Validator:
    return _validator_of(re_schemas.load(name))


def _validator_of(schema: Mapping[str, Any], of: Any = None) -> Validator:
    # an empty registry: a reference to another document raises instead of being fetched
    registry: Registry[Any] = Registry()
    strict: Validator = (of or _STRICT)(dict(schema), registry=registry, format_checker=_FORMATS)
    return strict


def _expanded(document: object) -> int:
    """Steps of a playbook once every host has its own, whatever else may be wrong with it."""
    execution = document.get("execution") if isinstance(document, dict) else None
    return sum(map(_expanded_sequence, execution)) if isinstance(execution, list) else 0


def _expanded_sequence(sequence: object) -> int:
    lists = sequence if isinstance(sequence, dict) else {}
    hosts, preflight, steps = (
        len(value) if isinstance(value := lists.get(key), list) else 0 for key in ("hosts", "preflight", "steps")
    )
    return max(hosts, 1) * max(preflight + steps, 1)


def _is_integer(checker: object, instance: object) -> bool:
    return isinstance(instance, int) and not isinstance(instance, bool)


_STRICT: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    RULES,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
#: for schemas of others: within `Budget.charged` only
_COUNTED: Any = extend(_STRICT, counted(RULES))  # type: ignore[no-untyped-call]


def _raising(problem: Callable[[str], str]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        if isinstance(value, str) and (why := problem(value)):
            raise ValueError(why)
        return True

    return check


for _format, _problem in formats.FORMATS.items():
    _FORMATS.checks(_format, raises=ValueError)(_raising(_problem))


@_FORMATS.checks("re-group", raises=ValueError)
def _group(value: object) -> bool:
    """See formats.group_problem."""
    if isinstance(value, str) and (why := formats.group_problem(value)):
        raise ValueError(why)
    return True


@_FORMATS.checks("re-name", raises=ValueError)
def _name(value: object) -> bool:
    if not isinstance(value, str):
        return True
    if any(unicodedata.category(one) in _BREAKING or one in _BIDI for one in value):
        raise ValueError(
            "expected a name on one line, without control characters and characters that change the direction of text"
        )
    if value != value.strip():
        raise ValueError("expected a name without blanks at its ends")
    return True


@_FORMATS.checks("re-line", raises=ValueError)
def _line(value: object) -> bool:
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError("expected one line of printable characters that is not blank")
    return True


@_FORMATS.checks("re-host", raises=ValueError)
def _host(value: object) -> bool:
    if isinstance(value, str) and (
        any(unicodedata.category(one) in _INVISIBLE for one in value) or re.search(r"\s", value)
    ):
        raise ValueError("expected a host without blanks, control or invisible characters")
    return True
