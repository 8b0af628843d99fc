"""The text of a JSON Schema error: where, what was expected, what was found. Pure; must not know any schema.

jsonschema says what rule was broken; people want to know what to write instead. Every message here is one
line without control or invisible characters, whatever was in the document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from heapq import nsmallest
from itertools import islice
from typing import Any

from jsonschema import ValidationError

from re_core.wire.strict_json import canonical
from re_core.wording import SHOWN, did_you_mean, one_of, quoted

#: path of an error, and what makes its text: only those that are shown are made
Explained = tuple[tuple[str | int, ...], Callable[[], str]]

#: keys that a message lists
_LISTED = 12

_KINDS = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def explain(error: ValidationError) -> Iterator[Explained]:
    """One broken rule, as what is to be said of it: often one text, never none but where another says more."""
    schema: Any = error.schema
    instance: Any = error.instance
    path = tuple(error.absolute_path)
    if "propertyNames" in error.relative_schema_path:
        path = (*path, str(instance))
    if isinstance(schema, Mapping) and "x-rule" in schema:
        yield from _one_step_key(path, instance, schema)
    elif error.validator == "anyOf" and (meant := _meant(error)):
        for one in meant:
            yield from explain(one)
    elif error.validator in _AT_CHILDREN:
        yield from _AT_CHILDREN[error.validator](path, instance, schema)
    else:
        yield path, partial(_words, error, instance, schema if isinstance(schema, Mapping) else {})


def _meant(error: ValidationError) -> list[ValidationError]:
    """What is wrong by the one form, of several that there may be, whose kind the value has; nothing where that is not one."""
    forms: dict[Any, list[ValidationError]] = {}
    for one in error.context or ():
        forms.setdefault(one.relative_schema_path[0], []).append(one)
    fitting = [
        wrong
        for wrong in forms.values()
        if not any(one.validator in ("type", "enum", "const") and not one.relative_path for one in wrong)
    ]
    return fitting[0] if len(fitting) == 1 else []


def describe_value(value: Any) -> str:
    """What a document holds, short."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return f"an object with {_keys(value)}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    # of what is left, numbers can be long
    return json.dumps(value)[:SHOWN]


def suggestion(name: str, known: Collection[str]) -> str:
    """What to say after an unknown name: the nearest, else all of them."""
    near = did_you_mean(name, known)
    if near:
        return near
    return f"expected {one_of(map(quoted, nsmallest(_LISTED, known)))}" if known else "none is expected here"


def type_name(schema: object) -> str:
    """The kind of value that a schema asks for, or nothing where it asks for none in particular."""
    if not isinstance(schema, Mapping):
        return ""
    if "x-expected-type" in schema:
        return str(schema["x-expected-type"])
    if isinstance(schema.get("enum"), list):
        return one_of(_bare(one) for one in schema["enum"][:_LISTED])
    types = schema.get("type", [])
    names = [_KINDS.get(one, str(one)) for one in ([types] if isinstance(types, str) else types)]
    return one_of(name + _bounds(schema) if "number" in name else name for name in names)


def _words(error: ValidationError, instance: Any, schema: Mapping[str, Any]) -> str:
    rule = str(error.validator)
    limit: Any = error.validator_value
    if "x-misplaced" in schema:
        return f"the key {quoted(str(error.absolute_path[-1]))} does not belong here: {schema['x-misplaced']}"
    if rule == "format" and error.cause is not None:
        return f"{error.cause}, found {describe_value(instance)}"
    if rule in _COUNTS:
        how, one, many = _COUNTS[rule]
        size = f" of {len(instance)}" if isinstance(instance, str) and instance else ""
        return f"expected {how} {limit} {one if limit == 1 else many}, found {describe_value(instance)}{size}"
    message = f"expected {_expected(rule, limit, schema)}, found {describe_value(instance)}"
    near = did_you_mean(instance, [one for one in limit if isinstance(one, str)]) if _is_word(rule, instance) else ""
    return f"{message}; {near}" if near else message


def _is_word(rule: str, instance: Any) -> bool:
    return rule == "enum" and isinstance(instance, str)


def _expected(rule: str, limit: Any, schema: Mapping[str, Any]) -> str:
    if rule == "anyOf":
        return one_of(type_name(one) for one in limit if type_name(one)) or "another form"
    if rule in ("type", "enum", "minimum", "exclusiveMinimum"):
        return type_name(schema)
    if rule in ("maximum", "exclusiveMaximum"):
        return f"{'at most' if rule == 'maximum' else 'less than'} {limit}"
    if rule == "const":
        return _bare(limit)
    return str(schema.get("x-expected", "nothing here"))


def _missing(path: tuple[str | int, ...], instance: Any, schema: Mapping[str, Any]) -> Iterator[Explained]:
    for key in schema["required"]:
        if key not in instance:
            expected = type_name(schema.get("properties", {}).get(key))
            message = f"; expected {expected}" if expected else ""
            yield (*path, key), partial("the key {} is missing{}".format, quoted(key), message)


def _unknown(path: tuple[str | int, ...], instance: Any, schema: Mapping[str, Any]) -> Iterator[Explained]:
    properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    known = [key for key, value in properties.items() if not (isinstance(value, Mapping) and "not" in value)]
    others = [key for key in instance if key not in properties]
    named = [key for key in others if any(re.search(pattern, key) for pattern in patterns)]
    # what belongs inside of a key and was not indented leaves that key without a value
    bare = next((key for key in named if instance[key] is None), "")
    for key in others:
        if key not in named:
            yield (*path, key), partial(_unknown_words, key, known, schema, bare)


def _unknown_words(key: str, known: Collection[str], schema: Mapping[str, Any], bare: str) -> str:
    near = did_you_mean(key, known)
    hint = near if near or not bare else f"indent it further if it belongs to {quoted(bare)}"
    hint = hint or suggestion(key, known)
    if "patternProperties" in schema and hint.startswith("expected"):
        hint = f"expected {schema.get('x-expected', 'another name')}, or {hint.removeprefix('expected ')}"
    return f"unknown key {quoted(key)}; {hint}"


def _repeated(path: tuple[str | int, ...], instance: Any, schema: Mapping[str, Any]) -> Iterator[Explained]:
    seen: set[str] = set()
    for number, item in enumerate(instance):
        spelled = canonical(item)
        if spelled in seen:
            yield (*path, number), partial(_again, item)
        seen.add(spelled)


def _again(item: Any) -> str:
    return f"expected every item once, found {describe_value(item)} again"


def _one_step_key(path: tuple[str | int, ...], instance: Any, schema: Mapping[str, Any]) -> Iterator[Explained]:
    """Steps keyed wrongly, unless a key that is no step at all is the better one to report."""
    beside = schema["not"]["propertyNames"]["enum"]
    keys = [key for key in instance if key not in beside]
    if not keys:
        yield path, lambda: f"expected a step key, command:Subcommand, found only {_keys(instance)}"
    elif all(key.count(":") == 1 for key in keys):
        expected = f"expected one step key in an object, found {len(keys)}"
        yield path, lambda: f"{expected}: {_keys(keys)}; give each its own list item"


def _bounds(schema: Mapping[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}"
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    return f" of at least {schema['minimum']}" if "minimum" in schema else ""


def _keys(names: Iterable[object]) -> str:
    listed = [quoted(str(name)) for name in islice(names, _LISTED + 1)]
    more = ["…"] if len(listed) > _LISTED else []
    return ("the key " if len(listed) == 1 else "the keys ") + ", ".join(listed[:_LISTED] + more)


def _bare(value: Any) -> str:
    """A name without its quotation marks, where it cannot be taken for anything else."""
    return value if isinstance(value, str) and value.isidentifier() else describe_value(value)


#: rules on sizes: how, of one, of many
_COUNTS = {
    "minLength": ("at least", "character", "characters"),
    "maxLength": ("at most", "character", "characters"),
    "minItems": ("at least", "item", "items"),
    "maxItems": ("at most", "item", "items"),
    "minProperties": ("at least", "key", "keys"),
    "maxProperties": ("at most", "key", "keys"),
}

#: rules whose errors belong to a key or an item and not to the whole
_AT_CHILDREN: Mapping[object, Callable[[tuple[str | int, ...], Any, Mapping[str, Any]], Iterator[Explained]]] = {
    "required": _missing,
    "additionalProperties": _unknown,
    "uniqueItems": _repeated,
}
