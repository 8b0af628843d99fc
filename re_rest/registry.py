"""Groups and workers: who owns what, who lives. Must not know how that is found out."""

from __future__ import annotations

from flask import Blueprint, Response

from re_core.usecases import playbooks, workers
from re_rest.app_context import caller, services
from re_rest.responses import page_answer

blueprint = Blueprint("registry", __name__, url_prefix="/api/v1")


@blueprint.get("/groups")
def groups() -> Response:
    return page_answer(playbooks.count_by_group(services().store, caller().groups), None)


@blueprint.get("/workers")
def living() -> Response:
    found = workers.living(services().store, services().clock)
    whole = caller().groups is None
    return page_answer([workers.worker_document(worker, whole) for worker in found], None)
