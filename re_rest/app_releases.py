"""Releases of apps over HTTP: pushed, listed, shown, rolled back, tried again. Must not know where archives are kept."""

from __future__ import annotations

from flask import Blueprint, Response, request

from re_core.api import apps as api
from re_core.usecases.apps import apps, releases
from re_core.usecases.apps.asking import Said
from re_core.usecases.apps.configs import require_secrets
from re_core.usecases.apps.releases import Push
from re_rest import artifacts, request_parsing
from re_rest.app_context import caller, services
from re_rest.apps import desk, source
from re_rest.errors import unsupported
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("app_releases", __name__, url_prefix="/api/v1/apps/<app>")


@blueprint.get("/releases")
def listed(app: str) -> Response:
    here = desk()
    return page_answer(list(releases.listed(here, caller(), apps.by_name(here, caller(), app))), None)


@blueprint.get("/releases/<int:release>")
def one(app: str, release: int) -> Response:
    here = desk()
    return json_answer(releases.one(here, caller(), apps.by_name(here, caller(), app), release))


@blueprint.post("/releases")
def push(app: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    require_secrets(caller(), found.group)
    if request.mimetype not in artifacts.ARCHIVES:
        raise unsupported(request.mimetype, "application/gzip (a tar.gz)")
    said = Push(*(request.args.get(name, "") for name in ("commit", "note", "broadcast_id")))
    bounds = services().artifacts
    with artifacts.transfers().one():
        made = releases.push(here, caller(), found, said, request_parsing.upload(bounds.limit), bounds, source())
    return _asked(app, made)


@blueprint.post("/rollback")
def rollback(app: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    asked = request_parsing.optional_document(api.RollbackRequest)
    number, note, id = asked.get("release", 0), asked.get("note", ""), asked.get("broadcast_id", "")
    return _asked(app, releases.rollback(here, caller(), found, number, note, id, source()))


@blueprint.post("/releases/<int:release>/retry")
def retry(app: str, release: int) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    asked = request_parsing.optional_document(api.ReleaseRetryRequest)
    return _asked(app, releases.retry(here, caller(), found, release, asked.get("broadcast_id", ""), source()))


def _asked(app: str, said: Said) -> Response:
    place = {"Location": f"/api/v1/apps/{app}/releases/{said.version}"}
    return json_answer(releases.asked_document(said), 202, place)
