"""Dead letters: look, replay, drop. They belong to no group, so only a token that reaches all of them may."""

from __future__ import annotations

from flask import Blueprint, Response, request

from re_core.usecases import dead_letters
from re_core.usecases.access import require_all_groups
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("deadletters", __name__, url_prefix="/api/v1/deadletters")


@blueprint.before_request
def allowed() -> None:
    require_all_groups(caller())


@blueprint.get("")
def listed() -> Response:
    size = request_parsing.limit()
    rows = services().store.dead_letters(size + 1, request.args.get("cursor", ""))
    more = rows[size - 1].id if len(rows) > size else None
    return page_answer([dead_letters.letter_document(row) for row in rows[:size]], more)


@blueprint.get("/<id>")
def one(id: str) -> Response:
    return json_answer(dead_letters.whole_document(dead_letters.get(services().store, id)))


@blueprint.delete("/<id>")
def drop(id: str) -> Response:
    dead_letters.drop(services().store, id)
    return Response(status=204)


@blueprint.post("/<id>/replay")
def replay(id: str) -> Response:
    letter = dead_letters.replay(services().store, services().bus, id)
    return json_answer({"id": letter.id, "queue": letter.queue}, 202)
