"""Secrets of the engine's store: set, listed, removed, sealed again. Must not know how they are kept; no answer has a value."""

from __future__ import annotations

from flask import Blueprint, Response

from re_core.api import requests
from re_core.usecases import secrets
from re_core.usecases.secrets import SecretDesk
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("secrets", __name__, url_prefix="/api/v1/secrets")


@blueprint.get("")
def listed() -> Response:
    return page_answer(secrets.listed(_desk(), caller()), None)


@blueprint.put("/<path:name>")
def set_value(name: str) -> Response:
    document = request_parsing.json_document(requests.SecretRequest)
    return json_answer(secrets.set_value(_desk(), caller(), name, document["value"]))


@blueprint.delete("/<path:name>")
def remove(name: str) -> Response:
    secrets.remove(_desk(), caller(), name)
    return Response(status=204)


@blueprint.post("/rotate")
def rotate() -> Response:
    return json_answer(secrets.rotate(_desk(), caller()))


def _desk() -> SecretDesk:
    here = services()
    return SecretDesk(here.store, here.clock, here.secret_seal)
