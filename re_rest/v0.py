"""Version 0, exactly as 2014 clients know it (docs/reference/rest.md, Version 0). Must not grow."""

from __future__ import annotations

import re
from typing import Any
from wsgiref.handlers import format_date_time

from flask import Blueprint, Response, request

from re_core.deployment.state import State
from re_core.errors import BadDocument, CallerError, NotFound, UnknownGroup, UnknownPlaybook
from re_core.model import DeploymentStatus, StepStatus
from re_core.playbook import documents
from re_core.playbook.compiler import policy_now
from re_core.rows import StoredPlaybook
from re_core.usecases import checking, deployments, history, playbooks
from re_core.usecases.checking import Checked
from re_core.usecases.ids import new_id, plausible
from re_core.wire.messages import DeploymentRequest
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, yaml_answer

blueprint = Blueprint("v0", __name__, url_prefix="/api/v0")

#: ids as they are, and as they were in 2014 (an ObjectId)
_ID = re.compile(r"[0-9A-Za-z]{26}|[0-9a-fA-F]{24}")

#: steps that a failed deployment can name
_BAD = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.LOST, StepStatus.CANCELLED})


class _BadId(CallerError):
    """Bad id"""


@blueprint.get("/groups/")
def groups() -> Response:
    return json_answer({"status": "ok", "items": playbooks.count_by_group(services().store, caller())})


@blueprint.get("/playbooks/")
def all_playbooks() -> Response:
    return _listed(None)


@blueprint.get("/<group>/playbook/")
def of_group(group: str) -> Response:
    return _listed(group)


@blueprint.put("/<group>/playbook/")
def create(group: str) -> Response:
    here = services()
    made = playbooks.create_again(here.store, here.clock, caller(), new_id(), _document(group))
    return json_answer({"status": "created", "id": made.id}, 201)


@blueprint.get("/<group>/playbook/<id>/")
def one(group: str, id: str) -> Response:
    # the list says its id, the playbook itself does not
    return _formed({"status": "ok", "item": dict(_find(group, id).document)})


@blueprint.post("/<group>/playbook/<id>/")
def replace(group: str, id: str) -> Response:
    try:
        found = _find(group, id)
    except _BadId as error:
        return _formed({"status": "bad request", "message": str(error)}, 400)
    here = services()
    playbooks.replace(here.store, here.clock, caller(), found, _document(group), None)
    return json_answer({"status": "ok", "id": found.id})


@blueprint.delete("/<group>/playbook/<id>/")
def delete(group: str, id: str) -> Response:
    playbooks.delete(services().store, caller(), _find(group, id), None)
    return json_answer({"status": "gone"}, 410)


@blueprint.put("/<group>/playbook/<id>/deployment/")
def deploy(group: str, id: str) -> Response:
    _require_plausible(id)
    here = services()
    try:
        wanted = DeploymentRequest(group, id, _dynamic())
        made = deployments.create(
            here.bus, caller(), wanted, request_parsing.origin(), here.request_timeout, here.trouble, here.observer
        )
    except (UnknownGroup, UnknownPlaybook):
        return json_answer({"status": "error", "message": "group not found"}, 404)
    return json_answer({"status": "created", "id": made}, 201)


@blueprint.get("/deployment/status/<id>/")
def status(id: str) -> Response:
    _require_plausible(id)
    try:
        state = history.find(services().store, caller(), id)
    except NotFound:
        _require_well_formed(id)
        return json_answer({"status": "not found", "deployment": id}, 404)
    now = services().clock.now()
    document: dict[str, Any] = {
        "deployment": id,
        "created": format_date_time(state.created / 1000),
        "duration": max(0, (state.ended or now) - state.created) // 1000,
    }
    if state.ended is None:
        return json_answer({**document, "status": "in progress", "active_step": _active(state)}, 202)
    document["ended"] = format_date_time(state.ended / 1000)
    if state.status is DeploymentStatus.COMPLETED:
        return json_answer({**document, "status": "completed"})
    return json_answer({**document, "status": "failed", "failed_step": _first(state, _BAD)}, 400)


def _active(state: State) -> str:
    """What runs, or waits for an operator; before the first step the first one, between two the next one."""
    if current := state.open or state.asked:
        return state.plan.steps[min(current)].spec.name
    waiting = (step for number, step in enumerate(state.plan.steps) if state.is_pending(number))
    return next((step.spec.name for step in waiting), "")


def _first(state: State, statuses: frozenset[StepStatus]) -> str:
    found = (number for number, step in sorted(state.steps.items()) if step.status in statuses)
    return next((state.plan.steps[number].spec.name for number in found), "")


def _find(group: str, id: str) -> StoredPlaybook:
    """The group's playbook. Raises _BadId, NotAllowed, NotFound."""
    _require_plausible(id)
    try:
        return playbooks.get_in_group(services().store, caller(), group, id)
    except NotFound:
        _require_well_formed(id)
        raise


def _require_plausible(id: str) -> None:
    if not plausible(id):
        raise _BadId


def _require_well_formed(id: str) -> None:
    """Of what is not there: in 2014 only what could have been an id was not found. Raises _BadId."""
    if not _ID.fullmatch(id):
        raise _BadId


def _listed(group: str | None) -> Response:
    rows = playbooks.whole(services().store, caller(), group)
    return _formed({"status": "ok", "items": [{**row.document, "id": row.id} for row in rows]})


def _formed(document: dict[str, Any], status: int = 200) -> Response:
    """The document as `?format=` wants it. Raises CallerError."""
    if _form() == "json":
        return json_answer(document, status)
    answer = yaml_answer(document, kind="text/yaml")
    answer.status_code = status
    return answer


def _form() -> documents.Form:
    return request_parsing.form(request.args.get("format", "json").lower())


def _document(group: str) -> Any:
    """The playbook of the body; the group of the address wins. Raises BadDocument with every error."""
    parsed = documents.parse(request_parsing.body(), _form())
    value = parsed.value
    if isinstance(value, dict):
        # clients of 2014 send back what they got, id and all
        value = {**{key: one for key, one in value.items() if key != "id"}, "group": group}
    here = services()
    offers = checking.offers_now(here.store, here.clock)
    checked: Checked = checking.require(
        checking.check(value, parsed.position, offers, policy_now(here.around, here.store))
    )
    return checked.document


def _dynamic() -> dict[str, Any]:
    data = request_parsing.body()
    value = documents.parse(data, _form()).value if data.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadDocument("expected an object with the dynamic values")
    return value
