"""Documents as responses. Must not know what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import Response
from werkzeug.datastructures import Headers

from re_core.playbook import documents
from re_core.wire import strict_json

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: types of the two forms of a playbook
JSON, YAML = "application/json", "application/yaml"

#: what a browser may do with an answer that is no page: nothing
POLICY = "default-src 'none'; frame-ancestors 'none'"

#: what every answer says to browsers
SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": POLICY}


class Document(Response):
    """A whole document with all its headers. Its Location is a path of ours, so that nothing is left to make of it."""

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        # the framework would look through all headers again: a tenth of the time that a POST takes
        return self.headers


def json_answer(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A document as JSON."""
    known = [("Content-Type", JSON), *SAFE.items(), *(headers or {}).items()]
    return Document(strict_json.dumps(document).encode(), status, known)


def yaml_answer(document: Any, headers: Mapping[str, str] | None = None, kind: str = YAML) -> Response:
    """A document as YAML."""
    return Response(documents.dump(document, "yaml"), 200, headers, content_type=f"{kind}; charset=utf-8")


def page_answer(items: list[Any], next: str | None) -> Response:
    """A page of a list."""
    return json_answer({"items": items, "next": next})
