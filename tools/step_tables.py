"""Tables of what a step takes and returns, for its page: off its annotations, and the comments (`#:`) beside the keys of records.

Must not know any step.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from re_core.wording import one_of
from re_workers.kinds import fields_of, kind_of
from re_workers.results import StoredArtifact
from re_workers.sdk import Step

_TYPES = {
    "string": "string",
    "integer": "whole number",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
    "object": "object",
    "null": "null",
}

_COMMENT = re.compile(r"((?:^ +#: .*\n)+) +(\w+):", re.MULTILINE)

#: records within records that get rows of their own
_DEPTH = 3


def parameters(one: Step) -> Iterator[str]:
    """The table of its parameters, line by line; nothing where it has none."""
    schema = one.signature.schema()
    required, hints = schema.get("required", ()), get_type_hints(one.call, include_extras=True)
    if schema["properties"]:
        yield "| parameter | type | default | meaning |\n| --- | --- | --- | --- |"
    for key, value in schema["properties"].items():
        default = "*required*" if key in required else _default(value.get("default"))
        yield f"| `{key}` | {_type(value)} | {default} | {_about(value)} |"
        for path, kind, needed, text in _within(hints[key], key, 1):
            yield f"| `{path}` | {kind} | {'*required*' if needed else 'none'} | {text} |"


def results(one: Step) -> Iterator[str]:
    """The table of what later steps read of it; nothing where it declares nothing."""
    if one.signature.returned is None:
        return
    returned = get_type_hints(one.call, include_extras=True)["return"]
    if isinstance(returned, type) and issubclass(returned, bytes):
        returned = StoredArtifact
    rows = list(_within(returned, "", 0))
    if not rows:
        yield _type(one.signature.returned.schema)
        return
    yield "| key | type | meaning |\n| --- | --- | --- |"
    for path, kind, needed, text in rows:
        yield f"| `{path}` | {kind} | {text if needed else f'{text} (may be missing)'.strip()} |"


def _within(annotation: Any, path: str, depth: int) -> Iterator[tuple[str, str, bool, str]]:
    """Path, type, whether it is always there, and meaning of the keys of the records that such a value may be."""
    origin, given = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _within(given[0], path, depth)
    elif origin in (Union, UnionType):
        for one in given:
            yield from _within(one, path, depth)
    elif origin is list:
        yield from _within(given[0], f"{path}[]", depth)
    elif origin is dict:
        yield from _within(given[1], f"{path}.*", depth)
    elif depth < _DEPTH and (fields := fields_of(annotation)) is not None:
        said = _comments(annotation)
        for field in fields:
            schema = kind_of(field.annotation).schema
            at = f"{path}.{field.name}".lstrip(".")
            yield at, _type(schema), field.required, _about(schema) or said.get(field.name, "")
            yield from _within(field.annotation, at, depth + 1)


def _comments(kind: type) -> dict[str, str]:
    """Key -> the comment above it, in this record and those that it extends."""
    found: dict[str, str] = {}
    for one in (*getattr(kind, "__orig_bases__", ()), kind):
        if inspect.isclass(one) and one.__module__.startswith("re_"):
            extended = {} if one is kind else _comments(one)
            own = {
                name: " ".join(text.replace("#: ", "").split()).replace("|", "\\|")
                for text, name in _COMMENT.findall(inspect.getsource(one))
            }
            found |= extended | own
    return found


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return one_of(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        kinds = [_type(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return one_of(dict.fromkeys(kinds))
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping) and schema["additionalProperties"]:
        return f"object of {_type(schema['additionalProperties'])}"
    return _TYPES.get(str(kind), "any JSON")


def _about(schema: Mapping[str, Any]) -> str:
    """Its description, also where it stands at one of several types."""
    found = schema.get("description") or next(
        (one["description"] for one in schema.get("anyOf", ()) if "description" in one), ""
    )
    return str(found).replace("|", "\\|")


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if value == "":
        return "empty"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"
