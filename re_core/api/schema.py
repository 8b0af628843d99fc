"""JSON Schemas from descriptions (see `fields`). Must not know any document.

Each TypedDict, and each type that says so, becomes a component of its own; documents are closed unless they are said to be
extensible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from re_core.api.fields import Component, Deprecated, Elsewhere, Expected, Rules, Schema, Was

#: one JSON Schema
Shape = dict[str, Any]

_PLAIN: Mapping[Any, Shape] = {
    Any: {},
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
}

_WHERE = "#/components/schemas/"


class Field(NamedTuple):
    """One key of a document, as its description has it."""

    key: str
    #: its type, without what `Annotated` says
    kind: Any
    said: tuple[Any, ...]
    required: bool

    def find(self, what: type[Any]) -> Any:
        """What `Annotated` says of that kind, or None."""
        return next((one for one in self.said if isinstance(one, what)), None)

    @property
    def text(self) -> str:
        """Its description for people; empty where it has none."""
        # the nearest wins over that of an alias
        return next((one for one in reversed(self.said) if isinstance(one, str)), "")


@cache
def fields(kind: Any) -> tuple[Field, ...]:
    """The fields of a TypedDict, in their order. `kind` may be one with parameters, such as Page[str]."""
    origin = get_origin(kind) or kind
    given = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=True))
    hints = get_type_hints(origin, include_extras=True)
    return tuple(_field(key, hint, given) for key, hint in hints.items())


def _field(key: str, hint: Any, given: Mapping[Any, Any]) -> Field:
    required = get_origin(hint) is not NotRequired
    inner, said = _apart(hint if required else get_args(hint)[0])
    if given and get_args(inner):
        inner = inner[tuple(given[one] for one in inner.__parameters__)] if inner.__parameters__ else inner
    return Field(key, inner, said, required)


def _apart(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type, and what `Annotated` says of it."""
    return (hint.__origin__, hint.__metadata__) if get_origin(hint) is Annotated else (hint, ())


class Components:
    """Collects the schemas of documents under their names."""

    def __init__(self, extensible: frozenset[Any] = frozenset()) -> None:
        """`extensible`: documents to which a later version may add keys."""
        self._extensible = extensible
        #: name -> schema
        self.found: dict[str, Shape] = {}

    def add(self, name: str, kind: Any) -> None:
        """Add a document under a name, and all that it consists of."""
        if name not in self.found:
            self.found[name] = {}  # before its fields: one of them may lead here again
            self.found[name] = self.document(kind) if is_typeddict(get_origin(kind) or kind) else self.of(kind)

    def of(self, hint: Any) -> Shape:
        """The schema of a type; a component is referred to."""
        kind, said = _apart(hint)
        return self._said(kind, said)

    def document(self, kind: Any) -> Shape:
        """The schema of a TypedDict, in full."""
        known = fields(kind)
        properties = {one.key: self._said(one.kind, one.said) for one in known}
        old = {was.key: one for one in known if (was := one.find(Was))}
        for key, one in old.items():
            instead = f"Old name of `{one.key}`; the next release removes it."
            properties[key] = {**self._said(one.kind, one.said), "deprecated": True, "description": instead}
        shape: Shape = {
            "type": "object",
            "description": summary(kind),
            "required": [one.key for one in known if one.required and not one.find(Was)],
            "properties": properties,
        }
        if old:
            shape["allOf"] = [_either(one, key) for key, one in old.items()]
        if kind not in self._extensible:
            shape["additionalProperties"] = False
        return shape

    def _said(self, kind: Any, said: tuple[Any, ...]) -> Shape:
        """The schema of a type with what is said of it."""
        shape: Shape = {}
        for one in said:
            if isinstance(one, Schema):
                shape = dict(one.keywords)
            elif isinstance(one, Elsewhere):
                shape = {"$ref": f"{_WHERE}{one.schema}/properties/{one.field}"}
        shape = shape or self._plain(kind)
        for one in said:
            if isinstance(one, Rules):
                shape = {**shape, **one.keywords}
            elif isinstance(one, Component):
                self.found.setdefault(one.name, shape)
                shape = ref(one.name)
            elif isinstance(one, Deprecated):
                shape = {**shape, "deprecated": True, "description": f"Use `{one.instead}`."}
            elif isinstance(one, str):
                shape = {**shape, "description": one}
        return shape

    def _plain(self, kind: Any) -> Shape:
        origin, given = get_origin(kind), get_args(kind)
        if is_typeddict(kind):
            self.add(kind.__name__, kind)
            return ref(kind.__name__)
        if origin is list:
            return {"type": "array", "items": self.of(given[0])}
        if origin in (dict, Mapping):
            inner = self.of(given[1])
            return {"type": "object", **({"additionalProperties": inner} if inner else {})}
        if origin is Literal:
            return {"const": given[0]} if len(given) == 1 else {"enum": [*given]}
        if origin in (Union, UnionType):
            return {"anyOf": [self.of(one) for one in given]}
        return dict(_PLAIN[kind])


def ref(name: str) -> Shape:
    """A reference to a component."""
    return {"$ref": _WHERE + name}


def summary(kind: Any) -> str:
    """What a document is, for people."""
    return " ".join(((get_origin(kind) or kind).__doc__ or "").split())


def _either(field: Field, old: str) -> Shape:
    """One of the two keys of a field: the one of today or the old one."""
    if field.required:
        return {"oneOf": [{"required": [key]} for key in (field.key, old)]}
    return {"not": {"required": [field.key, old]}}


def old_keys(kind: Any) -> Iterator[tuple[str, str]]:
    """Old and new key of the fields of a document that were renamed."""
    for one in fields(kind):
        if was := one.find(Was):
            yield was.key, one.key


def expected(field: Field) -> str:
    """What an error says that a field expects; empty where it says nothing."""
    said = field.find(Expected)
    return said.words if said else ""
