"""The JSON Schemas of what travels, without a token. Must not know what they are for."""

from __future__ import annotations

import re_schemas
from flask import Blueprint, Response

from re_core.errors import NotFound
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("schemas", __name__, url_prefix="/api/v1/schemas")


@blueprint.get("")
def names() -> Response:
    return page_answer(sorted(re_schemas.names()), None)


@blueprint.get("/<name>")
def one(name: str) -> Response:
    if name not in re_schemas.names():
        raise NotFound(f"there is no schema {name[:60]!r}; there are {', '.join(sorted(re_schemas.names()))}")
    return json_answer(re_schemas.load(name))
