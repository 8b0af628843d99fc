"""Forest runners: enrolled, listed, set, revoked and forgotten. Must not know how they are kept."""

from __future__ import annotations

from flask import Blueprint, Response

from re_core.api import requests
from re_core.usecases import runners
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("runners", __name__, url_prefix="/api/v1/runners")


@blueprint.get("")
def listed() -> Response:
    return page_answer(runners.listed(services().store, services().clock, caller()), None)


@blueprint.post("")
def enroll() -> Response:
    document = request_parsing.json_document(requests.RunnerRequest)
    here = services()
    made = runners.enroll(here.store, here.clock, caller(), document["name"], document.get("parallel", 1))
    known = runners.runner_document(made.runner, here.clock.now(), whole=True)
    return json_answer({**known, "id": made.id}, 201, {"Location": f"/api/v1/runners/{made.runner.name}"})


@blueprint.put("/<id>")
def change(id: str) -> Response:
    document = request_parsing.json_document(requests.RunnerChange)
    here = services()
    return json_answer(runners.set_parallel(here.store, here.clock, caller(), id, document["parallel"]))


@blueprint.post("/<id>/revoke")
def revoke(id: str) -> Response:
    return json_answer(runners.revoke(services().store, services().clock, caller(), id))


@blueprint.delete("/<id>")
def forget(id: str) -> Response:
    runners.forget(services().store, caller(), id)
    return Response(status=204)
