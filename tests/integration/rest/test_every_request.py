"""Whatever schemathesis sends, the engine behind it included, the answer is one that the OpenAPI document names."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from re_rest import routes
from re_rest.route import Route
from tests.integration.front_end.front_end_harness import FrontEndHarness

# an archive is bytes like any others to schemathesis
schemathesis.serializer.alias("application/gzip", "application/octet-stream")

#: no 500, documented statuses only, and in each the documented kind and shape of answer
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]

#: requests of each kind, well-formed and not, that every operation gets
EXAMPLES = 10

#: the same, of those whose bodies take long to make up
FEW = 3

#: a stream ends only with its deployment
_ROUTES = [route for route in (*routes.V1, *routes.OPEN, *routes.V0) if not route.path.endswith("/events")]


def _case(route: Route, mode: Any) -> Any:
    # making up a playbook takes a second: one of the four routes that take one is enough in every run
    slow = route.body == "playbook" and route.path != "/api/v1/playbooks"
    marks = [pytest.mark.slow] if slow else []
    return pytest.param(route, mode, id=f"{mode.value} {route.method} {route.path}", marks=marks)


#: where there is nothing but a text to send, nothing can be sent wrong
_CASES = [
    _case(route, mode)
    for route in _ROUTES
    for mode in schemathesis.GenerationMode
    if mode is schemathesis.GenerationMode.POSITIVE or route.parameters or route.body
]


@pytest.fixture(scope="module")
def document(engine: FrontEndHarness) -> Any:
    """The engine's OpenAPI document: schemathesis reads the engine's sources with it, for what is worth sending."""
    return schemathesis.openapi.from_wsgi("/openapi.json", engine.app)


@pytest.mark.parametrize(("route", "mode"), _CASES)
def test_every_answer_is_one_of_the_document(engine: FrontEndHarness, document: Any, route: Route, mode: Any) -> None:
    operation = document[route.path][route.method.upper()]
    headers = {"Authorization": f"Bearer {engine.admin}"}
    answers: list[int] = []

    @settings(
        max_examples=EXAMPLES if route.body != "playbook" else FEW,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def attempt(case: Any) -> None:
        answers.append(case.call_and_validate(headers=headers, checks=CHECKS).status_code)

    attempt()

    assert answers
