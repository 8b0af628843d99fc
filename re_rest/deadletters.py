"""Dead letters: look, replay, drop. They belong to no group, so only a token that reaches all of them may."""

from __future__ import annotations

from flask import Blueprint, Response, request

from re_core.usecases import dead_letters
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("deadletters", __name__, url_prefix="/api/v1/deadletters")


@blueprint.get("")
def listed() -> Response:
    cursor = request.args.get("cursor", "")
    return page_answer(*dead_letters.listed(services().store, caller(), request_parsing.limit(), cursor))


@blueprint.get("/<id>")
def one(id: str) -> Response:
    return json_answer(dead_letters.whole_document(dead_letters.get(services().store, caller(), id)))


@blueprint.delete("/<id>")
def drop(id: str) -> Response:
    dead_letters.drop(services().store, caller(), id)
    return Response(status=204)


@blueprint.post("/<id>/replay")
def replay(id: str) -> Response:
    letter = dead_letters.replay(services().store, services().bus, caller(), id)
    return json_answer({"id": letter.id, "queue": letter.queue}, 202)
