"""The schema files themselves: valid, self-contained, told to people, and right about every example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import re_schemas
from jsonschema import Draft202012Validator
from re_schemas import Example

from re_core.playbook import json_schema

EXAMPLES = [
    pytest.param(name, example, id=f"{name}-{example.name}")
    for name in re_schemas.names()
    for example in re_schemas.examples(name)
]


def _subschemas(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for inner in node if isinstance(node, list) else ():
        yield from _subschemas(inner)


@pytest.mark.parametrize("name", re_schemas.names())
def test_a_schema_is_valid_and_says_what_it_is(name: str) -> None:
    loaded = re_schemas.load(name)
    Draft202012Validator.check_schema(loaded)
    assert loaded["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert loaded["$id"] == f"urn:release-engine:schema:{name}"
    assert loaded["title"] and loaded["description"]


@pytest.mark.parametrize("name", re_schemas.names())
def test_every_property_is_described_here_or_where_it_points(name: str) -> None:
    loaded = re_schemas.load(name)
    for node in _subschemas(loaded):
        properties = node.get("properties", {})
        for key, value in properties.items() if node.get("type") == "object" else ():
            described = loaded["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            assert described.get("description"), key


@pytest.mark.parametrize("name", re_schemas.names())
def test_a_schema_refers_to_nothing_outside_itself(name: str) -> None:
    references = [node["$ref"] for node in _subschemas(re_schemas.load(name)) if isinstance(node.get("$ref"), str)]
    assert all(reference.startswith("#/$defs/") for reference in references)


@pytest.mark.parametrize("name", re_schemas.names())
def test_a_schema_has_a_minimal_a_full_and_broken_examples(name: str) -> None:
    found = [example.name for example in re_schemas.examples(name)]
    assert {"minimal", "full"} < set(found)
    good = {"minimal", "full", "seed"}  # the seed: an example of a founding document, corrected
    assert sum(one.startswith("broken-") for one in found) == len(set(found) - good) >= 2


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_is_accepted_or_refused_at_its_path(name: str, example: Example) -> None:
    problems = json_schema.problems(name, example.document)
    if example.path is None:
        assert problems == []
    else:
        assert example.path in [problem.path for problem in problems]
        assert example.why


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_a_plain_validator_of_somebody_else_accepts_what_ours_accepts(name: str, example: Example) -> None:
    """Our annotations and formats only add; the files alone are good JSON Schema."""
    if example.path is None:
        assert Draft202012Validator(re_schemas.load(name)).is_valid(example.document)


def test_what_is_loaded_is_a_copy() -> None:
    re_schemas.load("reply")["title"] = "spoilt"
    assert re_schemas.load("reply")["title"] == "Reply"


@pytest.mark.parametrize("name", ["", "nothing", "../setup", "examples/reply/full", "reply.json"])
def test_a_name_that_is_not_a_schema_reaches_no_file(name: str) -> None:
    assert name not in re_schemas.names()
    with pytest.raises(KeyError):
        re_schemas.load(name)
    with pytest.raises(KeyError):
        re_schemas.examples(name)
