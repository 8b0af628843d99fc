"""A step's arguments against what its worker published, which may be anything."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from re_core.errors import Problem
from re_core.playbook import json_schema
from re_core.playbook.untrusted_schema import MAX_SUBSCHEMAS, tame

SERVICE = {
    "type": "object",
    "properties": {
        "service": {"type": "string"},
        "wait": {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]},
        "mode": {"enum": ["soft", "hard"]},
        "ports": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["service"],
    "additionalProperties": False,
}

AT = "/execution/0/steps/0/service:Restart"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYWORDS = [
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "oneOf", "allOf", "not",
    "minimum", "maxLength", "pattern", "$ref", "if", "prefixItems", "patternProperties", "format", "uniqueItems",
]  # fmt: skip
NONSENSE = st.recursive(
    JSON | st.sampled_from(["string", "object", "array"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=12,
)


def told(parameters: dict[str, Any], published: Any = SERVICE) -> list[Problem]:
    return json_schema.parameters_problems(published, parameters, AT)


@pytest.mark.parametrize(
    ("parameters", "path", "message"),
    [
        ({}, "/service", "the key 'service' is missing; expected a string"),
        ({"service": 5}, "/service", "expected a string, found 5"),
        ({"service": "a", "ports": [80, "http"]}, "/ports/1", "expected a whole number, found 'http'"),
        ({"service": "a", "wait": 0}, "/wait", "expected a number above 0, found 0"),
        ({"service": "a", "mode": "sofd"}, "/mode", "expected soft or hard, found 'sofd'; did you mean 'soft'?"),
        ({"service": "a", "portz": []}, "/portz", "unknown key 'portz'; did you mean 'ports'?"),
    ],
)
def test_what_is_missing_misspelt_or_mistyped_is_told(parameters: dict[str, Any], path: str, message: str) -> None:
    assert told(parameters) == [Problem(AT + path, message)]


def test_a_parameter_that_comes_with_the_request_is_not_missing() -> None:
    assert told({"dynamic": ["service"]}) == []


def test_the_engine_s_own_keys_are_no_misspelt_parameters() -> None:
    assert told({"service": "a", "notify": {}, "hosts": ["h"], "dynamic": []}) == []


@pytest.mark.parametrize(
    "published",
    [
        {"$ref": "http://schemas.example/evil.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"$dynamicRef": "http://schemas.example/evil.json"},
        {"$schema": "http://schemas.example/meta.json"},
        {"allOf": [{"$ref": "#"}], "$ref": "#"},
    ],
)
def test_a_published_reference_is_never_followed(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("somebody wants to connect")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert told({"a": 1}, published) == []


def test_a_published_pattern_is_never_matched() -> None:
    """This one would take longer than the test may."""
    evil = {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}, "patternProperties": {"^(a+)+$": False}}
    assert told({"a": "a" * 60 + "!"}, evil) == []


@pytest.mark.parametrize("published", [None, 5, "object", [], True, {"type": 5}, {"type": "text"}, {"required": "a"}])
def test_what_is_no_schema_finds_nothing(published: Any) -> None:
    assert told({"a": 1}, published) == []


def test_a_schema_without_end_is_read_up_to_a_limit() -> None:
    many: dict[str, Any] = {"properties": {f"p{n}": {"type": "string"} for n in range(MAX_SUBSCHEMAS + 100)}}
    assert [problem.path for problem in told({"p0": 1, f"p{MAX_SUBSCHEMAS + 50}": 1}, many)] == [f"{AT}/p0"]


@settings(max_examples=40)
@given(NONSENSE, st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_no_published_nonsense_raises(published: Any, parameters: dict[str, Any]) -> None:
    told(parameters, published)


@settings(max_examples=40)
@given(NONSENSE, JSON)
def test_a_tamed_schema_is_one_and_accepts_what_it_accepted(published: Any, document: Any) -> None:
    tamed = tame(published)
    Draft202012Validator.check_schema(tamed)
    again = tame(tamed)
    assert again == tamed
    usable = isinstance(published, dict) and "$ref" not in str(published) and "pattern" not in str(published)
    try:
        Draft202012Validator.check_schema(published)
    except Exception:
        usable = False
    if usable and Draft202012Validator(published).is_valid(document):
        assert Draft202012Validator(tamed).is_valid(document)
