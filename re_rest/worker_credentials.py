"""Credentials of workers: added, listed, revoked and removed. Must not know how they are kept; no private half comes here."""

from __future__ import annotations

from flask import Blueprint, Response

from re_core.api import workers as documents
from re_core.usecases import worker_credentials
from re_core.usecases.worker_credentials import CredentialDesk, Wanted
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("worker_credentials", __name__, url_prefix="/api/v1/worker-credentials")


@blueprint.get("")
def listed() -> Response:
    return page_answer(worker_credentials.listed(_desk(), caller()), None)


@blueprint.post("")
def add() -> Response:
    document = request_parsing.json_document(documents.WorkerCredentialRequest)
    wanted = Wanted(
        document["name"],
        document["public_key"],
        document.get("commands", ()),
        document.get("pool") or "",
        document.get("environments", ()),
    )
    made = worker_credentials.add(_desk(), caller(), wanted)
    return json_answer(made, 201, {"Location": f"/api/v1/worker-credentials/{made['name']}"})


@blueprint.post("/<id>/revoke")
def revoke(id: str) -> Response:
    return json_answer(worker_credentials.revoke(_desk(), caller(), id))


@blueprint.delete("/<id>")
def remove(id: str) -> Response:
    worker_credentials.remove(_desk(), caller(), id)
    return Response(status=204)


def _desk() -> CredentialDesk:
    here = services()
    return CredentialDesk(here.store, here.clock, here.exchange)
