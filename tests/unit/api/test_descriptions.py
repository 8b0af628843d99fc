"""One description of a document: its schema, its check, its old keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest
from jsonschema import Draft202012Validator

from re_core.api import answers, requests
from re_core.api.body import check
from re_core.api.fields import Deprecated, Expected, Rules, Was
from re_core.api.schema import Components, old_keys, ref
from re_core.errors import BadDocument


class Part(TypedDict):
    """A part."""

    word: Literal["yes", "no"]


class Example(TypedDict):
    """An example
    on two lines."""

    name: Annotated[str, Rules(maxLength=3), Expected("a short name"), Was("title"), "what it is called"]
    size: NotRequired[Annotated[int, Was("length"), Expected("a whole number")]]
    parts: NotRequired[list[Part]]
    more: NotRequired[dict[str, str]]
    gone: NotRequired[Annotated[bool | None, Deprecated("size")]]


def _faults(document: Any, kind: Any) -> list[tuple[str, str]]:
    with pytest.raises(BadDocument) as caught:
        check(document, kind)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_a_description_becomes_a_closed_json_schema() -> None:
    shape = Components().document(Example)

    assert shape["description"] == "An example on two lines."
    assert shape["required"] == []
    assert shape["additionalProperties"] is False
    assert shape["properties"] == {
        "name": {"type": "string", "maxLength": 3, "description": "what it is called"},
        "size": {"type": "integer"},
        "parts": {"type": "array", "items": ref("Part")},
        "more": {"type": "object", "additionalProperties": {"type": "string"}},
        "gone": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "deprecated": True, "description": "Use `size`."},
        "title": {
            "type": "string",
            "maxLength": 3,
            "deprecated": True,
            "description": "Old name of `name`; the next release removes it.",
        },
        "length": {
            "type": "integer",
            "deprecated": True,
            "description": "Old name of `size`; the next release removes it.",
        },
    }


def test_what_a_document_consists_of_becomes_components_too() -> None:
    components = Components(frozenset({Part}))
    components.add("Examples", answers.Page[Example])

    assert components.found.keys() == {"Examples", "Example", "Part"}
    assert components.found["Examples"]["properties"]["items"] == {"type": "array", "items": ref("Example")}
    assert "additionalProperties" not in components.found["Part"]


@pytest.mark.parametrize(
    ("document", "fits"),
    [
        ({"name": "a"}, True),
        ({"title": "a"}, True),
        ({"name": "a", "title": "a"}, False),
        ({"size": 1}, False),
        ({"name": "a", "length": 1}, True),
        ({"name": "a", "length": 1, "size": 1}, False),
        ({"name": "abcd"}, False),
        ({"title": "abcd"}, False),
        ({"name": "a", "nam": "a"}, False),
    ],
)
def test_a_body_is_accepted_where_its_schema_accepts_it(document: dict[str, Any], fits: bool) -> None:
    assert Draft202012Validator(Components().document(Example)).is_valid(document) is fits
    try:
        check(document, Example)
    except BadDocument:
        assert not fits
    else:
        assert fits


def test_an_old_key_is_read_as_the_new_one_and_kept_as_it_was_sent() -> None:
    body = check({"title": "a", "length": 1}, Example)

    assert body == {"name": "a", "size": 1}
    assert body.sent == {"title": "a", "length": 1}


def test_all_that_is_wrong_with_a_body_is_reported_at_once() -> None:
    assert _faults({"title": "abcd", "size": "x", "nam": 1}, Example) == [
        ("/title", "expected a short name, found 'abcd'"),
        ("/size", "expected a whole number, found 'x'"),
        ("/nam", "unknown key 'nam'; did you mean 'name'?"),
    ]
    assert _faults({}, Example) == [("/name", "the key 'name' is missing; expected a short name")]
    assert _faults({"name": "a", "title": "b"}, Example) == [
        ("/title", "'title' is the old name of 'name': use only one of them")
    ]
    assert _faults([], Example) == [("", "expected an object")]


def test_a_description_lists_its_renamed_fields() -> None:
    assert dict(old_keys(Example)) == {"title": "name", "length": "size"}


NAME = "expected a name"


@pytest.mark.parametrize(
    ("kind", "document", "told"),
    [
        (requests.CancelRequest, {"reason": 1}, ("/reason", "expected a string of at most 1000 characters, found 1")),
        (requests.RetryRequest, {"lost": "redo"}, ("/lost", "expected succeeded or rerun, found 'redo'")),
        (requests.RetryRequest, {"retries": True}, ("/retries", "expected a whole number of at least 0, found true")),
        (
            requests.ResolveRequest,
            {"step": 1},
            ("/resolution", "the key 'resolution' is missing; expected succeeded, rerun or failed"),
        ),
        (requests.TokenRequest, {"user": " "}, ("/user", f"{NAME}, found ' '")),
        (requests.TokenRequest, {"user": "a\nb"}, ("/user", rf"{NAME}, found 'a\nb'")),
        (requests.TokenRequest, {"user": "x" * 1001}, ("/user", f"{NAME}, found '{'x' * 60}…'")),
        (
            requests.TokenRequest,
            {"user": "a", "groups": ["b", ""]},
            ("/groups", "expected null for all groups, or a list of names, found a list of 2"),
        ),
        (
            requests.NotificationRequest,
            {"transport": "irc\n", "slug": "x", "message": "x", "phase": "failed", "target": []},
            ("/transport", r"expected the name of a transport: letters, digits and _, found 'irc\n'"),
        ),
        (requests.PlanRequest, {"dynamic": []}, ("/dynamic", "expected an object, found an empty list")),
    ],
)
def test_a_body_of_the_api_is_refused_in_words(kind: Any, document: dict[str, Any], told: tuple[str, str]) -> None:
    assert _faults(document, kind) == [told]
