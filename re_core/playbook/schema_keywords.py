"""JSON Schema's keywords at the price of one look. Must not know any schema, or how an error is worded.

jsonschema's own compare every two items of a list that cannot be sorted, spell out the whole value in the text of
error (which `schema_errors` makes again, and only where it is shown), and keep all errors of every branch of an
`anyOf`. A document of 1 MiB took ten minutes so. These say the same of every document, and cost as much as it is long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from re_core.wire import strict_json

#: what jsonschema calls for a keyword: the validator, the keyword's value, the instance, the schema around the keyword
Rule = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[ValidationError] | None]

#: errors of one branch of an `anyOf` that are kept: they show which branch was meant
_OF_BRANCH = 20

_LIBRARY: Mapping[str, Rule] = Draft202012Validator.VALIDATORS


class Spent(Exception):  # it ends an evaluation, and is no error of the document
    """The evaluation costs more than was allowed."""


class Budget:
    """What is left to be spent on schemas of another author: subschemas, keywords and their items."""

    def __init__(self, left: int) -> None:
        self.left = left

    @contextmanager
    def charged(self) -> Iterator[None]:
        """Within it `counted` rules, in this thread, spend of this one."""
        token = _CHARGED.set(self)
        try:
            yield
        finally:
            _CHARGED.reset(token)


#: not a part of the rules: jsonschema makes a class of each set of them, which takes longer than most evaluations
_CHARGED: ContextVar[Budget] = ContextVar("budget")


def counted(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """The same rules, which spend of the Budget that is charged, and raise Spent where there is nothing left."""
    return {name: _counted(rule) for name, rule in rules.items()}


def _counted(rule: Rule) -> Rule:
    def spend(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Any:
        budget = _CHARGED.get()
        budget.left -= 1 + _size(value) if rule is not _properties else 1 + min(_size(value), _size(instance))
        if rule in _OVER_KEYS:
            budget.left -= _size(instance)
        if budget.left < 0:
            raise Spent
        return rule(validator, value, instance, schema)

    return spend


def _size(value: Any) -> int:
    return len(value) if isinstance(value, dict | list) else 0


def _plain(kind: str, holds: Callable[[Any, Any], bool]) -> Rule:
    """A rule about values of one kind (a type of JSON Schema; empty: all), kept where `holds(keyword's value, instance)`."""

    def rule(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        if (not kind or validator.is_type(instance, kind)) and not holds(value, instance):
            yield ValidationError("")

    return rule


def _type(validator: Any, types: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if not any(validator.is_type(instance, one) for one in ([types] if isinstance(types, str) else types)):
        yield ValidationError("")


def _any_of(validator: Any, branches: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    context: list[ValidationError] = []
    for number, branch in enumerate(branches):
        wrong = list(islice(validator.descend(instance, branch, schema_path=number), _OF_BRANCH))
        if not wrong:
            return
        context.extend(wrong)
    yield ValidationError("", context=context)


def _not(validator: Any, other: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if validator.evolve(schema=other).is_valid(instance):
        yield ValidationError("")


def _properties(validator: Any, known: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        fewer, others = (known, instance) if len(known) <= len(instance) else (instance, known)
        for name in fewer:
            if name in others:
                yield from validator.descend(instance[name], known[name], path=name, schema_path=name)


def _additional(validator: Any, extra: Any, instance: Any, schema: Mapping[str, Any]) -> Any:
    """One error for all keys that are too many: the library's, which does not spell out what is behind them."""
    return _LIBRARY["additionalProperties"](validator, extra, instance, schema)


#: those that look at every key of an object, whatever the schema says of them
_OVER_KEYS = (_additional, _LIBRARY["propertyNames"])


def _is_unique(wanted: bool, instance: list[Any]) -> bool:
    return not wanted or len(set(map(strict_json.canonical, instance))) == len(instance)


def _is_one_of(values: list[Any], instance: Any) -> bool:
    return any(strict_json.equal(value, instance) for value in values)


#: keyword -> how it is looked at here
RULES: Mapping[str, Rule] = {
    "type": _type,
    "enum": _plain("", _is_one_of),
    "const": _plain("", strict_json.equal),
    "required": _plain("object", lambda names, one: all(name in one for name in names)),
    "minimum": _plain("number", lambda limit, one: one >= limit),
    "maximum": _plain("number", lambda limit, one: one <= limit),
    "exclusiveMinimum": _plain("number", lambda limit, one: one > limit),
    "exclusiveMaximum": _plain("number", lambda limit, one: one < limit),
    "minLength": _plain("string", lambda limit, one: len(one) >= limit),
    "maxLength": _plain("string", lambda limit, one: len(one) <= limit),
    "minItems": _plain("array", lambda limit, one: len(one) >= limit),
    "maxItems": _plain("array", lambda limit, one: len(one) <= limit),
    "uniqueItems": _plain("array", _is_unique),
    "minProperties": _plain("object", lambda limit, one: len(one) >= limit),
    "maxProperties": _plain("object", lambda limit, one: len(one) <= limit),
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _LIBRARY["propertyNames"],
    "format": _LIBRARY["format"],
    "items": _LIBRARY["items"],
    "anyOf": _any_of,
    "not": _not,
}
