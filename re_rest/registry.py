"""Groups of playbooks, and live workers. Must not know how they are found out."""

from __future__ import annotations

from flask import Blueprint, Response

from re_core.usecases import playbooks, workers
from re_rest.app_context import caller, services
from re_rest.responses import page_answer

blueprint = Blueprint("registry", __name__, url_prefix="/api/v1")


@blueprint.get("/groups")
def groups() -> Response:
    return page_answer(playbooks.count_by_group(services().store, caller()), None)


@blueprint.get("/workers")
def living() -> Response:
    return page_answer(workers.listed(services().store, services().clock, caller()), None)
