"""A body is read whole or not at all, under a server that hands on whatever it got, as gunicorn does."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest

from re_core.wire.strict_json import MAX_BYTES
from tests.integration.front_end.front_end_harness import FrontEndHarness

#: a playbook, and still one where it is cut before its last line
BOOK = b"name: n\ngroup: ours\nexecution:\n- hosts: [a]\n  steps:\n  - noop:First\n"
LAST = b"  - noop:Second\n"

ROUTES = [("POST", "/api/v1/playbooks"), ("PUT", "/api/v0/ours/playbook/?format=yaml")]


def _send(harness: FrontEndHarness, method: str, path: str, body: bytes, declared: int | None) -> Any:
    overrides: dict[str, Any] = {"wsgi.input_terminated": True}
    overrides |= {"HTTP_TRANSFER_ENCODING": "chunked"} if declared is None else {"CONTENT_LENGTH": str(declared)}
    return harness.call(
        method, path, input_stream=BytesIO(body), content_type="application/yaml", environ_overrides=overrides
    )


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_body_whose_sender_went_away_halfway_stores_nothing(harness: FrontEndHarness, method: str, path: str) -> None:
    response = _send(harness, method, path, BOOK, len(BOOK + LAST))

    assert response.status_code == 400
    assert f"only {len(BOOK)} bytes of a body of {len(BOOK + LAST)}" in response.text
    assert not harness.store.playbooks()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_body_of_undeclared_length_that_is_too_long_is_refused_and_not_cut(
    harness: FrontEndHarness, method: str, path: str
) -> None:
    padded = BOOK + b"#" * (MAX_BYTES - len(BOOK) - 1) + b"\n" + LAST

    assert _send(harness, method, path, padded, None).status_code == 413
    assert not harness.store.playbooks()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_body_of_undeclared_length_may_have_as_much_as_any_other(
    harness: FrontEndHarness, method: str, path: str
) -> None:
    full = BOOK + b"#" * (MAX_BYTES - len(BOOK) - 1) + b"\n"

    assert _send(harness, method, path, full, None).status_code == 201
    other = full.replace(b"name: n", b"name: m")
    assert _send(harness, method, path, other, len(other)).status_code == 201
