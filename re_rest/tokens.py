"""Tokens: made, listed and revoked. Must not know how they are kept."""

from __future__ import annotations

from flask import Blueprint, Response

from re_core.api import requests
from re_core.errors import BadDocument, Problem
from re_core.usecases import access
from re_rest import auth, request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("tokens", __name__, url_prefix="/api/v1/tokens")


@blueprint.get("")
def listed() -> Response:
    return page_answer(access.listed(services().store, caller()), None)


@blueprint.post("")
def create() -> Response:
    document = request_parsing.json_document(requests.TokenRequest)
    if document.get("admin") and document.get("groups") is not None:
        why = "an administrator's token may access all groups; omit 'groups'"
        raise BadDocument("", [Problem("/groups", why)])
    here = services()
    wanted = access.WantedToken(
        document["user"],
        document.get("groups"),
        document.get("admin", False),
        document.get("notify", False),
        document.get("expires", ""),
        document.sent,
    )
    minted = access.make(here.store, here.clock, caller(), wanted, request_parsing.key())
    known = access.token_document(minted.token)
    return json_answer({**known, "token": minted.secret}, 201, {"Location": f"/api/v1/tokens/{known['id']}"})


@blueprint.delete("/<id>")
def revoke(id: str) -> Response:
    access.revoke(services().store, caller(), id)
    auth.gate().forget()
    return Response(status=204)
