"""The types that a step's parameters may have: what JSON fits them, and how to say so. Pure.

Must not know steps or methods. Each kind also writes itself down as JSON Schema, and both agree on every value.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from re_core.json_pointer import escape
from re_core.secret_names import FORM, PUBLIC, SECRET, reference
from re_core.wire import strict_json
from re_workers.limits import Limit, Public
from re_workers.secrets.references import SecretRef

_FOUND = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}


class Mismatch(Exception):
    """A value is not of its kind."""

    def __init__(self, path: str, message: str, limit: bool = False) -> None:
        super().__init__(message)
        #: it is of the kind, and beyond a limit
        self.limit = limit
        #: JSON pointer below the parameter; empty for the parameter itself
        self.path = path
        self.message = message


class Kind(NamedTuple):
    """What a value may be."""

    #: JSON Schema
    schema: Mapping[str, Any]
    #: for people: "a whole number"
    words: str
    #: (value, path) -> the value as the step gets it; raises Mismatch
    read: Callable[[Any, str], Any]


def describe_value(value: Any) -> str:
    """What a value is, for people."""
    if isinstance(value, SecretRef) or reference(value) is not None:
        return "a secret"
    return _FOUND.get(type(value), "null")


def kind_of(annotation: Any) -> Kind:
    """The kind that an annotation stands for. Raises TypeError for one that JSON cannot fit."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None and annotation in _PLAIN:
        return _PLAIN[annotation]
    if origin is Annotated:
        return _noted(kind_of(arguments[0]), arguments[1:])
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, types.UnionType):
        return _union([kind_of(one) for one in arguments])
    if origin in (list, Sequence) and len(arguments) == 1:
        return _list(kind_of(arguments[0]))
    if origin in (dict, Mapping) and len(arguments) == 2 and _is_text(arguments[0]):
        return _dict(kind_of(arguments[0]), kind_of(arguments[1]))
    if (fields := fields_of(annotation)) is not None:
        return _record(annotation, fields)
    name = getattr(annotation, "__name__", None) or str(annotation)
    raise TypeError(
        f"{name} is not a type for a parameter; use str, int, float, bool, list[...], dict[str, ...], "
        "Literal[...], Optional[...], Any, or a TypedDict, NamedTuple or dataclass of these"
    )


class Field(NamedTuple):
    """One of a record."""

    name: str
    annotation: Any
    required: bool


def fields_of(annotation: Any) -> list[Field] | None:
    """The fields of a TypedDict, NamedTuple or dataclass; None for what is none of them."""
    if is_typeddict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return [_entry(name, hint, name in annotation.__required_keys__) for name, hint in hints.items()]
    if not inspect.isclass(annotation):
        return None
    if issubclass(annotation, tuple) and hasattr(annotation, "_field_defaults"):
        optional = set(annotation._field_defaults)
    elif dataclasses.is_dataclass(annotation):
        missing = dataclasses.MISSING
        optional = {
            one.name
            for one in dataclasses.fields(annotation)
            if one.default is not missing or one.default_factory is not missing
        }
    else:
        return None
    hints = get_type_hints(annotation, include_extras=True)
    names = getattr(annotation, "_fields", None) or [one.name for one in dataclasses.fields(annotation)]
    return [Field(name, hints[name], name not in optional) for name in names]


def _entry(name: str, hint: Any, required: bool) -> Field:
    """Of a TypedDict: where annotations are postponed, its own list of keys does not know of `NotRequired`."""
    if get_origin(hint) in (Required, NotRequired):
        return Field(name, get_args(hint)[0], get_origin(hint) is Required)
    return Field(name, hint, required)


def _record(annotation: Any, fields: list[Field]) -> Kind:
    kinds = {field.name: kind_of(field.annotation) for field in fields}
    required = [field.name for field in fields if field.required]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: kind.schema for name, kind in kinds.items()},
        "additionalProperties": False,
    }

    def read(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise Mismatch(path, f"expected an object, found {describe_value(value)}")
        if absent := [name for name in required if name not in value]:
            raise Mismatch(path, f"expected an object with {', '.join(absent)}")
        if unknown := [name for name in value if name not in kinds]:
            raise Mismatch(path, f"unknown key {unknown[0][:80]!r}; known are {', '.join(kinds)}")
        return annotation(**{name: kinds[name].read(one, f"{path}/{escape(name)}") for name, one in value.items()})

    return Kind({**schema, "required": required} if required else schema, "an object", read)


def _exactly(kind: type, words: str, schema: str) -> Kind:
    def read(value: Any, path: str) -> Any:
        if type(value) is not kind:
            raise Mismatch(path, f"expected {words}, found {describe_value(value)}")
        return value

    return Kind({"type": schema}, words, read)


def _string(value: Any, path: str) -> Any:
    """A string, or a reference to a secret that will be one."""
    if type(value) is str:
        return value
    if (name := reference(value)) is not None:
        return SecretRef(name)
    if type(value) is dict and set(value) == {SECRET}:
        raise Mismatch(path, f"expected a string, or a secret by its name, {{secret: {FORM}}}")
    raise Mismatch(path, f"expected a string, found {describe_value(value)}")


def _whole(value: Any, path: str) -> Any:
    if type(value) is float and value.is_integer():
        return int(value)  # in JSON, 3.0 and 3 are the same
    if type(value) is not int:
        what = f"{value}" if type(value) is float else describe_value(value)
        raise Mismatch(path, f"expected a whole number, found {what}")
    return value


def _number(value: Any, path: str) -> Any:
    if type(value) not in (int, float):
        raise Mismatch(path, f"expected a number, found {describe_value(value)}")
    return value


def _anything(value: Any, path: str) -> Any:
    if (name := reference(value)) is not None:
        return SecretRef(name)
    if type(value) is dict:
        return {key: _anything(one, path) for key, one in value.items()}
    return [_anything(one, path) for one in value] if type(value) is list else value


def _is_text(annotation: Any) -> bool:
    return annotation is str or (get_origin(annotation) is Annotated and get_args(annotation)[0] is str)


def _noted(kind: Kind, notes: tuple[Any, ...]) -> Kind:
    """With what `Annotated` says beside the type: the last text describes it, limits limit it."""
    texts = [note for note in notes if isinstance(note, str)]
    limits = [note for note in notes if isinstance(note, Limit)]
    public = next((note for note in notes if isinstance(note, Public)), None)
    schema = {**kind.schema, **({"description": texts[-1]} if texts else {})}
    for limit in limits:
        schema |= limit.schema
    if public is not None:
        schema[PUBLIC] = public.advice

    def read(value: Any, path: str) -> Any:
        found = kind.read(value, path)
        if public is not None and (problem := public.problem(found)):
            raise Mismatch(path, problem, limit=True)
        if isinstance(found, SecretRef):
            return found  # its value is held against the limits, once it is known
        for limit in limits:
            if problem := limit.problem(found):
                raise Mismatch(path, problem, limit=True)
        return found

    return kind._replace(schema=schema, read=read if limits or public else kind.read)


def _literal(choices: tuple[Any, ...]) -> Kind:
    words = "one of " + ", ".join(strict_json.dumps(choice) for choice in choices)
    allowed = {(type(choice), choice) for choice in choices}

    def read(value: Any, path: str) -> Any:
        if type(value) is float and value.is_integer():
            value = int(value)
        if isinstance(value, (list, dict)) or (type(value), value) not in allowed:
            shown = value[:40] if isinstance(value, str) else value
            scalar = not isinstance(value, (list, dict))
            raise Mismatch(
                path, f"expected {words}, found {strict_json.dumps(shown) if scalar else describe_value(value)}"
            )
        return value

    return Kind({"enum": list(choices)}, words, read)


def _union(kinds: list[Kind]) -> Kind:
    words = " or ".join(kind.words for kind in kinds)

    def read(value: Any, path: str) -> Any:
        deeper: Mismatch | None = None
        for kind in kinds:
            try:
                return kind.read(value, path)
            except Mismatch as mismatch:
                if mismatch.path != path or mismatch.limit:
                    deeper = mismatch
        raise deeper or Mismatch(path, f"expected {words}, found {describe_value(value)}")

    return Kind({"anyOf": [kind.schema for kind in kinds]}, words, read)


def _list(item: Kind) -> Kind:
    def read(value: Any, path: str) -> Any:
        if type(value) is not list:
            raise Mismatch(path, f"expected a list, found {describe_value(value)}")
        return [item.read(one, f"{path}/{number}") for number, one in enumerate(value)]

    return Kind({"type": "array", "items": item.schema}, "a list", read)


def _dict(name: Kind, item: Kind) -> Kind:
    def read(value: Any, path: str) -> Any:
        if type(value) is not dict:
            raise Mismatch(path, f"expected an object, found {describe_value(value)}")
        return {
            name.read(key, f"{path}/{escape(key)}"): item.read(one, f"{path}/{escape(key)}")
            for key, one in value.items()
        }

    names = {} if set(name.schema) == {"type"} else {"propertyNames": name.schema}
    return Kind({"type": "object", "additionalProperties": item.schema, **names}, "an object", read)


_ANY = Kind({}, "anything", _anything)
_NULL = _exactly(type(None), "null", "null")
_LIST = _list(_ANY)._replace(schema={"type": "array"})
_OBJECT = _dict(_exactly(str, "a string", "string"), _ANY)._replace(schema={"type": "object"})
_PLAIN: Mapping[Any, Kind] = {
    str: Kind({"type": "string"}, "a string", _string),
    bool: _exactly(bool, "true or false", "boolean"),
    int: Kind({"type": "integer"}, "a whole number", _whole),
    float: Kind({"type": "number"}, "a number", _number),
    list: _LIST,
    dict: _OBJECT,
    type(None): _NULL,
    None: _NULL,
    Any: _ANY,
    object: _ANY,
}
