"""Playbooks: store, read, replace, delete, check, preview. Must not know where they are kept."""

from __future__ import annotations

from flask import Blueprint, Response, request

from re_core.api import answers, requests
from re_core.playbook.compiler import policy_now
from re_core.rows import StoredPlaybook
from re_core.usecases import checking, playbooks
from re_core.usecases.checking import Checked, problem_document
from re_core.usecases.foreseeing import Looking, foreseen
from re_core.usecases.ids import new_id
from re_core.usecases.playbooks import playbook_document
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer, yaml_answer

blueprint = Blueprint("playbooks", __name__, url_prefix="/api/v1/playbooks")


@blueprint.get("")
def listed() -> Response:
    page = playbooks.listed(
        services().store,
        caller(),
        request.args.get("group"),
        request.args.get("name"),
        request_parsing.limit(),
        request.args.get("cursor", ""),
    )
    return page_answer([playbook_document(row) for row in page.rows], page.next)


@blueprint.post("")
def create() -> Response:
    checked = checking.require(_checked())
    here = services()
    made = playbooks.create(here.store, here.clock, caller(), new_id(), checked.document, request_parsing.key())
    return _stored(made, checked, 201)


@blueprint.post("/apply")
def apply() -> Response:
    checked = checking.require(_checked())
    here = services()
    condition = request_parsing.condition()
    done, made = playbooks.apply(here.store, here.clock, caller(), new_id(), checked.document, condition)
    return _stored(made, checked, 201 if done == "created" else 200, done)


@blueprint.get("/<id>")
def one(id: str) -> Response:
    found = visible(id)
    headers = {"ETag": found.etag, "Vary": "Accept"}
    if request_parsing.unchanged(found.etag):
        return Response(status=304, headers=headers)
    if request_parsing.form_out() == "yaml":
        return yaml_answer(found.document, headers)
    return json_answer(_whole(found), 200, headers)


@blueprint.put("/<id>")
def replace(id: str) -> Response:
    found = visible(id)
    checked = checking.require(_checked())
    here = services()
    made = playbooks.replace(here.store, here.clock, caller(), found, checked.document, request_parsing.condition())
    return _stored(made, checked, 200)


@blueprint.delete("/<id>")
def delete(id: str) -> Response:
    playbooks.delete(services().store, caller(), visible(id), request_parsing.condition())
    return Response(status=204)


@blueprint.get("/<id>/revisions")
def revisions(id: str) -> Response:
    rows = playbooks.revisions(services().store, caller(), id)
    return page_answer([playbook_document(row) for row in rows], None)


@blueprint.get("/<id>/revisions/<int:revision>")
def revision(id: str, revision: int) -> Response:
    found = visible(id, min(revision, request_parsing.LARGEST))
    if request_parsing.form_out() == "yaml":
        return yaml_answer(found.document, {"Vary": "Accept"})
    return json_answer(_whole(found), 200, {"Vary": "Accept"})


@blueprint.post("/validate")
def validate() -> Response:
    checked = _checked()
    verdict: answers.Verdict = {
        "valid": not checked.errors,
        "errors": [problem_document(problem) for problem in checked.errors],
        "warnings": [problem_document(problem) for problem in checked.warnings],
    }
    return json_answer(verdict)


@blueprint.post("/<id>/plan")
def plan(id: str) -> Response:
    wanted = request_parsing.whole_number("revision", 0, 1, request_parsing.LARGEST) or None
    found = visible(id, wanted)
    here = services()
    supplied = request_parsing.optional_document(requests.PlanRequest).get("dynamic", {})
    offers = checking.offers_now(here.store, here.clock)
    around = policy_now(here.around, here.store)
    planned = checking.preview(found.document, supplied, offers, around)
    if request_parsing.yes_or_no("look", False):
        looking = Looking(here.bus, here.store, here.clock, here.alone)
        planned["changes"] = [
            {"will": one.will, "diff": one.diff, "why": one.why}
            for one in foreseen(looking, caller(), found.document, supplied, around)
        ]
    return json_answer(planned)


def visible(id: str, revision: int | None = None) -> StoredPlaybook:
    """The playbook, if the caller may see it. Raises NotFound, NotAllowed."""
    return playbooks.get(services().store, caller(), id, revision)


def _whole(found: StoredPlaybook) -> answers.Revision:
    return {**playbook_document(found), "document": found.document}


def _checked() -> Checked:
    here = services()
    form = request_parsing.form_in()
    around = policy_now(here.around, here.store)
    return checking.read(request_parsing.body(), form, checking.offers_now(here.store, here.clock), around)


def _stored(made: StoredPlaybook, checked: Checked, status: int, done: str = "") -> Response:
    warnings = [problem_document(problem) for problem in checked.warnings]
    document: answers.Playbook | answers.Applied = {**_whole(made), "warnings": warnings}
    if done:
        document = {**_whole(made), "done": done, "warnings": warnings}
    return json_answer(document, status, {"Location": f"/api/v1/playbooks/{made.id}", "ETag": made.etag})
