"""Documents as responses. Must not know what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response

from re_core import documents, strict_json

#: types of the two forms of a playbook
JSON, YAML = "application/json", "application/yaml"


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A document as JSON."""
    return Response(strict_json.dumps(document).encode(), status, headers, content_type=JSON)


def yaml_answer(document: Any, headers: Mapping[str, str] | None = None, kind: str = YAML) -> Response:
    """A document as YAML."""
    return Response(documents.dump(document, "yaml"), 200, headers, content_type=f"{kind}; charset=utf-8")


def page_answer(items: list[Any], next: str | None) -> Response:
    """A page of a list."""
    return json_answer({"items": items, "next": next})
