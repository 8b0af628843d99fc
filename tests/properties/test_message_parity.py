"""The hand-written parsers accept exactly what the JSON Schemas accept."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import re_schemas
from hypothesis import given
from hypothesis import strategies as st

from re_core.errors import BadMessage
from re_core.playbook import json_schema
from re_core.wire.messages import encode
from tests.unit.core.test_messages import PARSERS

NAMES = ("deployment", "step", "reply", "notification", "output", "heartbeat")
EXAMPLES = [(name, one.name, one.document) for name in NAMES for one in re_schemas.examples(name)]
#: what may stand where something else stood
VALUES: tuple[Any, ...] = (None, True, False, 0, 1, -1, 2.0, 1.5, 101, 10**12, "", "x", "started", "y" * 81, [], ["x"],
                           [1], {}, {"x": 1}, {"noop:*": {}})  # fmt: skip


def _parser_accepts(name: str, document: Any) -> bool:
    try:
        PARSERS[name](encode(document))
    except BadMessage:
        return False
    return True


def _agree(name: str, document: Any) -> None:
    accepted = not json_schema.problems(name, document)
    assert _parser_accepts(name, document) == accepted, f"the schema {'accepts' if accepted else 'refuses'} {document}"


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def _mutations(document: Any) -> Iterator[Any]:
    """The document with one place removed, renamed or replaced."""
    for path in _places(document):
        if not path:
            yield from VALUES
            continue
        for value in ("gone", "renamed", *VALUES):
            mutated = copy.deepcopy(document)
            inner = mutated
            for key in path[:-1]:
                inner = inner[key]
            if value in ("gone", "renamed"):
                moved = inner.pop(path[-1])
                if value == "renamed" and isinstance(inner, dict):
                    inner[f"{path[-1]}x"] = moved
            else:
                inner[path[-1]] = value
            yield mutated


@pytest.mark.parametrize(("name", "example", "document"), EXAMPLES, ids=[f"{one[0]}-{one[1]}" for one in EXAMPLES])
def test_a_parser_accepts_an_example_exactly_if_its_schema_does(name: str, example: str, document: Any) -> None:
    assert _parser_accepts(name, document) == (not example.startswith("broken-"))
    _agree(name, document)


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_and_its_schema_agree_on_examples_that_are_changed_in_one_place(name: str) -> None:
    for example in re_schemas.examples(name):
        for mutated in _mutations(example.document):
            _agree(name, mutated)


_keys = st.sampled_from(
    sorted({key for name in NAMES for key in re_schemas.load(name)["properties"]} | {"command", "subcommand", "hosts"})
)
_values = st.recursive(
    st.sampled_from(VALUES) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys | st.text(max_size=3), inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(EXAMPLES), st.dictionaries(_keys, _values, max_size=2), st.sets(_keys, max_size=1))
def test_a_parser_and_its_schema_agree_on_generated_documents(
    example: tuple[str, str, Any], more: dict[str, Any], less: set[str]
) -> None:
    name, _, document = example
    if isinstance(document, dict):
        document = {key: value for key, value in {**document, **more}.items() if key not in less}
    _agree(name, document)
