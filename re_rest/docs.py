"""The API's description, for programs and for people. Must not know routes: the document is handed in."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app

blueprint = Blueprint("docs", __name__)

#: where the application keeps the bytes of its OpenAPI document
EXTENSION = "release_engine_openapi"

#: Swagger UI sets styles on elements; scripts come from our own files only
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Release Engine API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/static/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/static/docs.js"></script>
</body>
</html>
"""


@blueprint.get("/openapi.json")
def openapi() -> Response:
    return Response(cast(bytes, current_app.extensions[EXTENSION]), content_type="application/json")


@blueprint.get("/")
def front() -> Response:
    """A browser that opens the bare address has no token to send."""
    return Response(status=302, headers={"Location": "/docs"})


@blueprint.get("/docs", strict_slashes=False)
def page() -> Response:
    headers = {"Content-Security-Policy": POLICY}
    return Response(_PAGE, headers=headers, content_type="text/html; charset=utf-8")
