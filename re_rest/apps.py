"""Apps over HTTP: created, shown, configured, scaled, destroyed; and zones. Must not know machines, nor zones' wire."""

from __future__ import annotations

import threading
from typing import NamedTuple, cast

from flask import Blueprint, Response, current_app, request

from re_core.api import apps as api
from re_core.apps.names import GROUP
from re_core.usecases.apps import apps, configs, processes, releases
from re_core.usecases.apps import zones as zone_cases
from re_core.usecases.apps.apps import Desk, NewApp
from re_core.usecases.apps.configs import Change
from re_core.usecases.apps.reader import AppReader
from re_rest import request_parsing
from re_rest.app_context import AppContext, caller, services
from re_rest.responses import json_answer, page_answer

#: where the application keeps what reads the journals of apps
EXTENSION = "release_engine_apps"


class Parts(NamedTuple):
    """What the apps of one application need beside its services."""

    reader: AppReader
    #: set when the server stops: every stream ends
    closed: threading.Event

    @classmethod
    def of(cls, handed: AppContext) -> Parts:
        return cls(AppReader(handed.bus, handed.store), threading.Event())

    def close(self) -> None:
        """End every stream."""
        self.closed.set()
        self.reader.close()


blueprint = Blueprint("apps", __name__, url_prefix="/api/v1/apps")
zones = Blueprint("zones", __name__, url_prefix="/api/v1/zones")


@blueprint.get("")
def listed() -> Response:
    cursor = request.args.get("cursor", "")
    page = apps.listed(desk(), caller(), request.args.get("group"), request_parsing.limit(), cursor)
    return page_answer(list(page.rows), page.next)


@blueprint.post("")
def create() -> Response:
    here, asked = desk(), request_parsing.json_document(api.AppRequest)
    wanted = NewApp(asked["name"], asked.get("group", GROUP), tuple(map(str, asked.get("zones", ()))))
    made = apps.create(here, caller(), wanted, request_parsing.key())
    return json_answer(apps.document_of(here, made), 201, {"Location": f"/api/v1/apps/{made.name}"})


@blueprint.get("/<app>")
def one(app: str) -> Response:
    here = desk()
    return json_answer(apps.document_of(here, apps.by_name(here, caller(), app)))


@blueprint.delete("/<app>")
def destroy(app: str) -> Response:
    here = desk()
    apps.destroy(here, caller(), apps.by_name(here, caller(), app))
    return Response(status=204)


@blueprint.put("/<app>/zones")
def set_zones(app: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    asked = request_parsing.json_document(api.ZonesRequest)
    made = apps.set_zones(here, caller(), found, tuple(map(str, asked["zones"])))
    return json_answer(apps.document_of(here, made))


@blueprint.post("/<app>/takeover")
def takeover(app: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    apps.takeover(here, caller(), found)
    return json_answer(apps.document_of(here, found))


@blueprint.get("/<app>/config")
def config(app: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    if request_parsing.yes_or_no("values", False):
        values = configs.values(here, caller(), found)
        return json_answer(configs.config_document(sorted(values), values), 200, {"Cache-Control": "no-store"})
    return json_answer(configs.config_document(configs.names(here, caller(), found)))


@blueprint.patch("/<app>/config")
def change(app: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    asked = request_parsing.json_document(api.ConfigRequest)
    wanted = Change(asked.get("set", {}), list(map(str, asked.get("unset", ()))), asked.get("broadcast_id", ""))
    said = configs.change(here, caller(), found, wanted, source())
    names = configs.names(here, caller(), found)
    return json_answer(releases.asked_document(said, names), 202)


@blueprint.get("/<app>/ps")
def ps(app: str) -> Response:
    here = desk()
    return json_answer(processes.processes(here, caller(), apps.by_name(here, caller(), app)))


@blueprint.get("/<app>/routes")
def routes(app: str) -> Response:
    here = desk()
    return json_answer(processes.routes(here, caller(), apps.by_name(here, caller(), app)))


@blueprint.patch("/<app>/formation")
def scale(app: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    asked = request_parsing.json_document(api.FormationRequest)
    formation = processes.scale(here, caller(), found, asked["formation"])
    return json_answer({"formation": dict(formation)})


@blueprint.post("/<app>/restart")
def restart(app: str) -> Response:
    here = desk()
    processes.restart(here, caller(), apps.by_name(here, caller(), app), request_parsing.key())
    return Response(status=202)


@blueprint.post("/<app>/runs")
def run(app: str) -> Response:
    here = desk()
    found = apps.by_name(here, caller(), app)
    command = request_parsing.json_document(api.RunRequest)["command"]
    said = processes.run(here, caller(), found, command, request_parsing.key(), source())
    place = {"Location": f"/api/v1/deployments/{said.deployment}"}
    return json_answer({"run": said.run, "deployment": said.deployment}, 202, place)


@zones.get("")
def all_zones() -> Response:
    return page_answer(zone_cases.listed(desk(), caller()), None)


@zones.delete("/<zone>")
def remove_zone(zone: str) -> Response:
    zone_cases.remove(desk(), caller(), zone)
    return Response(status=204)


def desk() -> Desk:
    """What the use cases work with, of the application that answers this request."""
    here = services()
    return Desk(here.bus, here.store, here.clock, parts().reader, here.seal, here.request_timeout)


def parts() -> Parts:
    """Of the application that answers this request."""
    return cast(Parts, current_app.extensions[EXTENSION])


def source() -> str:
    """Where the request comes from, as a deployment says it."""
    return request.remote_addr or ""
