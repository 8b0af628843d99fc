"""Tokens: made, listed and revoked by those who may. Must not know how they are kept."""

from __future__ import annotations

from flask import Blueprint, Response

from re_core.api import requests
from re_core.errors import BadDocument, Conflict, Problem
from re_core.usecases import access, keys
from re_core.usecases.ids import new_id
from re_rest import auth, request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("tokens", __name__, url_prefix="/api/v1/tokens")


@blueprint.before_request
def allowed() -> None:
    access.require_admin(caller())


@blueprint.get("")
def listed() -> Response:
    return page_answer([access.token_document(token) for token in services().store.tokens()], None)


@blueprint.post("")
def create() -> Response:
    document = request_parsing.json_document(requests.TokenRequest)
    if document.get("admin") and document.get("groups") is not None:
        why = "an administrator's token reaches all groups; leave 'groups' out"
        raise BadDocument("", [Problem("/groups", why)])
    here, who = services(), request_parsing.asker()
    access.expiry(document.get("expires", ""), here.clock.now())  # before the key is taken
    _, new = keys.claim(here.store, who.user, "tokens", who.key, document, new_id())
    if not new:
        raise Conflict(
            "this request has made a token already, and a secret is shown only once; revoke it, make another"
        )
    minted = access.mint(
        here.store,
        here.clock,
        document["user"],
        document.get("groups"),
        document.get("admin", False),
        notify=document.get("notify", False),
        expires=document.get("expires", ""),
    )
    known = access.token_document(minted.token)
    return json_answer({**known, "token": minted.secret}, 201, {"Location": f"/api/v1/tokens/{known['id']}"})


@blueprint.delete("/<id>")
def revoke(id: str) -> Response:
    access.revoke(services().store, id)
    auth.gate().forget()
    return Response(status=204)
