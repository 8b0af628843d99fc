"""Writes docs/reference/steps.md: every step that comes with the engine, from its signature and docstring, with the examples of
docs/reference/step-examples.yaml. Called by tools/reference.py. Must not know what any step is for.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from re_core.wording import one_of
from re_workers.catalog.families import workers
from re_workers.registry import built_in
from re_workers.sdk import Step, Worker

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "reference" / "step-examples.yaml"

_HEAD = """# Steps

The steps that come with the engine. `tools/reference.py` generates this page from their signatures. `rectl workers` lists the steps that
your engine has, with those of installed packages; [Write a worker](../how-to/write-a-worker.md) says how to add some.

A step of a host acts there over its [runner](../how-to/write-a-worker.md#hosts), by a POSIX shell and the tools that hosts have anyway;
nothing is installed. Most look first, and do nothing where all is as it should be: they return `changed: false`, and can be rerun.
"""

_TYPES = {
    "string": "string",
    "integer": "whole number",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
    "object": "object",
    "null": "null",
}


def steps() -> str:
    """The page."""
    examples = yaml.safe_load(EXAMPLES.read_text())
    found = {worker.command: worker for worker in [*built_in(), *workers()]}
    families = [line for command in sorted(found) for line in _family(found[command], examples)]
    return _HEAD + "\n".join(families)


def _family(worker: Worker, examples: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n## {worker.command}\n\n{inspect.getdoc(type(worker))}"
    for name, one in sorted(worker.steps.items()):
        yield from _step(f"{worker.command}:{name}", one, examples)


def _step(name: str, one: Step, examples: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n### {name}\n\n{_paragraphs(one)}"
    schema = one.signature.schema()
    if schema["properties"]:
        yield "\n| parameter | type | default | |\n| --- | --- | --- | --- |"
        required = schema.get("required", ())
        for key, value in schema["properties"].items():
            default = "*required*" if key in required else _default(value.get("default"))
            yield f"| `{key}` | {_type(value)} | {default} | {_about(value)} |"
    if one.signature.returned is not None:
        yield f"\nReturns {_returned(one.signature.returned.schema)}."
    said = [*_marks(one)]
    if said:
        yield f"\n{' '.join(said)}"
    for example in examples.get(name, ()):
        text = yaml.safe_dump(
            [{name: example}], sort_keys=False, allow_unicode=True, width=120, default_flow_style=None
        )
        yield f"\n```yaml\n{text.rstrip()}\n```"


def _paragraphs(one: Step) -> str:
    """The docstring, with its lines joined."""
    text = inspect.getdoc(one.call) or ""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _marks(one: Step) -> Iterator[str]:
    if one.options.idempotent:
        yield "Can be rerun."
    if one.options.recorded:
        yield "Goes on where its worker dies, on hosts of the inventory."
    if one.plan is not None:
        yield "Says beforehand what it would change."


def _returned(schema: Mapping[str, Any]) -> str:
    properties = schema.get("properties")
    if not properties:
        return _type(schema)
    return "an object: " + ", ".join(f"`{key}` ({_type(value)})" for key, value in properties.items())


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
