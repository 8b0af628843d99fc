"""The OpenAPI document: complete, whole, and true to the routes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import re_schemas
from jsonschema import Draft202012Validator

from re_core.api import requests
from re_core.api.body import check
from re_core.errors import BadDocument
from re_rest import openapi, routes
from re_rest.auth import OPEN
from re_rest.route import is_media
from tests.integration.front_end.front_end_harness import FrontEndHarness

RETRIES: list[Any] = [
    {},
    {"reason": "x", "lost": "again", "retries": 2},
    {"lost": "fail"},
    {"lost": None},
    {"retries": -1},
    {"retries": True},
    {"retries": 2**53 + 1},
    {"step": 1},
]
DECISIONS: list[Any] = [
    {"step": 0, "ruling": "fail"},
    {"step": 3, "ruling": "happened", "attempt": 1, "reason": "x"},
    {"step": 0},
    {"ruling": "again"},
    {"step": -1, "ruling": "again"},
    {"step": "0", "ruling": "again"},
    {"step": 0, "ruling": "AGAIN"},
    {"step": 0, "ruling": "again", "attempt": 0},
    {"step": 0, "ruling": "again", "lost": "again"},
    {"step": 0, "resolution": "rerun"},
    {"step": 0, "resolution": "fail"},
    {"step": 0, "resolution": "RERUN"},
    {"step": 0, "resolution": "rerun", "ruling": "again"},
]


def _document() -> dict[str, Any]:
    return openapi.document("0", {name: re_schemas.load(name) for name in re_schemas.names()})


def test_every_route_is_in_the_document_and_every_operation_is_a_route(harness: FrontEndHarness) -> None:
    served = {
        (method.lower(), re.sub(r"<(?:int:|path:)?(\w+)>", r"{\1}", str(rule)))
        for rule in harness.app.url_map.iter_rules()
        if rule.endpoint != "static"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(route.method, route.path) for route in (*routes.V1, *routes.OPEN, *routes.V0)}

    assert described == served


def test_what_needs_no_token_is_what_the_gate_lets_through(harness: FrontEndHarness) -> None:
    paths = {str(rule) for rule in harness.app.url_map.iter_rules() if rule.endpoint in OPEN - {"static"}}

    assert {re.sub(r"<(\w+)>", r"{\1}", path) for path in paths} == {route.path for route in routes.OPEN}


def test_every_reference_leads_somewhere_within_the_document() -> None:
    document = _document()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return here + [found for one in value.values() for found in references(one)]
        return [found for one in value for found in references(one)] if isinstance(value, list) else []

    found = references(document)
    assert len(found) > 50
    for reference in found:
        assert reference.startswith("#/"), reference
        place: Any = document
        for part in reference[2:].split("/"):
            place = place[part]


def test_every_component_is_a_json_schema() -> None:
    for schema in _document()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_served_document_is_this_one_and_asks_for_no_token(harness: FrontEndHarness) -> None:
    served = harness.call("GET", "/openapi.json", None)

    assert served.status_code == 200
    assert served.json["openapi"] == "3.1.0"
    assert served.json["paths"] == json.loads(json.dumps(_document()["paths"]))


@pytest.mark.parametrize(
    ("component", "document"),
    [
        ("CancelRequest", {}),
        ("CancelRequest", {"reason": "x"}),
        ("CancelRequest", {"reason": 1}),
        ("CancelRequest", {"reason": "x" * 1001}),
        ("CancelRequest", {"y": 1}),
        *(("RetryRequest", one) for one in RETRIES),
        *(("ResolveRequest", one) for one in DECISIONS),
        ("PlanRequest", {"dynamic": {}}),
        ("PlanRequest", {"dynamic": []}),
        ("TokenRequest", {"user": "x", "groups": ["a"], "admin": True}),
        ("TokenRequest", {"user": "x", "groups": None}),
        ("TokenRequest", {"groups": None}),
        ("TokenRequest", {"user": "x", "groups": [1]}),
        ("NotificationRequest", {"transport": "a"}),
        ("NotificationRequest", dict.fromkeys(requests.NotificationRequest.__annotations__, "a b")),
        ("CancelRequest", []),
    ],
)
def test_a_body_is_taken_where_the_document_says_so_and_nowhere_else(component: str, document: Any) -> None:
    whole = _document()
    described = Draft202012Validator({**whole, **whole["components"]["schemas"][component]}).is_valid(document)
    try:
        check(document, requests.COMPONENTS[component])
        accepted = True
    except BadDocument:
        accepted = False

    assert accepted is described


def test_every_route_names_documents_that_there_are() -> None:
    named = {
        name
        for route in (*routes.V1, *routes.OPEN, *routes.V0)
        for name in (*route.answers.values(), route.body.lstrip("?"))
    }
    documents = {name for name in named if name and not is_media(name)}

    assert documents <= _document()["components"]["schemas"].keys()


def test_every_description_is_the_body_or_the_answer_of_a_route() -> None:
    text = json.dumps(_document())

    assert [name for name in openapi.described() if f'"#/components/schemas/{name}"' not in text] == []


def test_what_goes_with_the_next_release_is_shown_as_deprecated() -> None:
    document = _document()
    resolve = document["components"]["schemas"]["ResolveRequest"]["properties"]

    assert resolve["ruling"]["deprecated"]
    assert not resolve["resolution"].get("deprecated")
    assert document["components"]["schemas"]["Links"]["properties"]["decide"]["deprecated"]
    assert document["paths"]["/api/v1/deployments/{id}/decide"]["post"]["deprecated"]
