"""The part of an untrusted JSON Schema that is safe to evaluate. Pure; must not know its publisher or its purpose.

A schema from the bus may name references (which jsonschema would look up) and patterns (which may take years to
match); formats are those of ours. Only keywords that do neither are kept, and only such that leaving one out can make the schema accept
more and never less: `not`, `if` and the like would turn that around, and `oneOf` is read as `anyOf`. So a tamed schema
refuses nothing that the whole one accepts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from re_core.playbook.formats import FORMATS

#: subschemas of one published schema; what is beyond them accepts everything
MAX_SUBSCHEMAS = 500

_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})


def tame(schema: object) -> dict[str, Any]:
    """The safe part; {} accepts everything. Never raises, whatever `schema` is."""
    return _Taming().schema(schema)


class _Taming:
    """One schema's taming: counts down what is still looked at."""

    def __init__(self) -> None:
        self.left = MAX_SUBSCHEMAS

    def schema(self, schema: object) -> dict[str, Any]:
        self.left -= 1
        if not isinstance(schema, Mapping) or self.left < 0:
            return {}
        kept: dict[str, Any] = {key: schema[key] for key, fits in _PLAIN.items() if key in schema and fits(schema[key])}
        properties = schema.get("properties")
        known = properties if isinstance(properties, Mapping) else {}
        if known:
            kept["properties"] = {str(key): self.schema(value) for key, value in known.items()}
        if isinstance(schema.get("items"), Mapping) and "prefixItems" not in schema:
            kept["items"] = self.schema(schema["items"])
        if _is_format(names := schema.get("propertyNames")):
            kept["propertyNames"] = {"format": names["format"]}
        # patternProperties would take keys away from additionalProperties
        if "additionalProperties" in schema and "patternProperties" not in schema:
            extra = schema["additionalProperties"]
            kept["additionalProperties"] = extra if extra is False else self.schema(extra)
        for key in ("anyOf", "oneOf"):
            branches = schema.get(key)
            if isinstance(branches, list) and branches and "anyOf" not in kept:
                kept["anyOf"] = [self.schema(branch) if branch is not False else {} for branch in branches]
        return kept


def _is_format(schema: object) -> TypeGuard[Mapping[str, Any]]:
    """Of names: nothing else is worth asking."""
    return isinstance(schema, Mapping) and _is_known(schema.get("format"))


def _is_known(format: object) -> bool:
    return isinstance(format, str) and format in FORMATS


def _is_type(value: object) -> bool:
    many = value if isinstance(value, list) else [value]
    return bool(many) and _is_names(many) and _TYPES.issuperset(many)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value) and len(set(value)) == len(value)


#: keyword -> is its value one that jsonschema can use; a keyword with another value is left out
_PLAIN: Mapping[str, Callable[[object], bool]] = {
    "type": _is_type,
    "format": _is_known,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "const": lambda value: True,
    "required": _is_names,
    "minimum": _is_number,
    "maximum": _is_number,
    "exclusiveMinimum": _is_number,
    "exclusiveMaximum": _is_number,
    "minLength": _is_count,
    "maxLength": _is_count,
    "minItems": _is_count,
    "maxItems": _is_count,
    "minProperties": _is_count,
    "maxProperties": _is_count,
}
