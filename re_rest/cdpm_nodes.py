"""Pipeline nodes over HTTP: stored, shown, removed, and what operators do with them. Must not know machines, nor peers."""

from __future__ import annotations

from typing import NamedTuple, cast

from flask import Blueprint, Response, current_app, request

from re_core.api import pipelines as api
from re_core.errors import Conflict
from re_core.playbook.compiler import policy_now
from re_core.rows import PipelineRow
from re_core.usecases import checking
from re_core.usecases.cdpm import node_checks, nodes, releases, subscriptions, validation, votes
from re_core.usecases.cdpm import received as arrivals
from re_core.usecases.cdpm.node_checks import Checked
from re_core.usecases.cdpm.nodes import Desk
from re_core.usecases.cdpm.peers import Peers
from re_core.usecases.cdpm.reader import PipelineReader
from re_rest import request_parsing
from re_rest.app_context import AppContext, caller, services
from re_rest.responses import json_answer, page_answer, yaml_answer

#: where the application keeps what reads the journals of pipelines
EXTENSION = "release_engine_pipelines"


class Parts(NamedTuple):
    """What the nodes of one application need beside its services."""

    reader: PipelineReader
    #: None: RE_CDPM is off
    peers: Peers | None

    @classmethod
    def of(cls, handed: AppContext) -> Parts:
        access = handed.peering
        peers = None if access is None else Peers(access.peering, handed.store, handed.clock, access.window)
        return cls(PipelineReader(handed.bus, handed.store), peers)


blueprint = Blueprint("cdpm_nodes", __name__, url_prefix="/api/v1/cdpm/nodes")
checks = Blueprint("cdpm_checks", __name__, url_prefix="/api/v1/cdpm")


@blueprint.get("")
def listed() -> Response:
    page = nodes.listed(
        desk(),
        caller(),
        request.args.get("group"),
        request.args.get("name"),
        request_parsing.limit(),
        request.args.get("cursor", ""),
    )
    return page_answer(list(page.rows), page.next)


@blueprint.post("")
def create() -> Response:
    here = desk()
    made = nodes.create(here, caller(), _checked(), request_parsing.key())
    return _stored(here, made, 201)


@blueprint.get("/<id>")
def one(id: str) -> Response:
    here = desk()
    found = nodes.get(here, caller(), id)
    headers = {"Vary": "Accept"}
    if request_parsing.form_out() == "yaml":
        return yaml_answer(found.document, {**headers, "ETag": nodes.etag(found)})
    return json_answer(nodes.document_of(here, found), 200, {**headers, "ETag": nodes.etag(found)})


@blueprint.put("/<id>")
def replace(id: str) -> Response:
    here = desk()
    found = nodes.get(here, caller(), id)
    made = nodes.replace(here, caller(), found, _checked(), request_parsing.condition())
    return _stored(here, made, 200)


@blueprint.delete("/<id>")
def remove(id: str) -> Response:
    here = desk()
    nodes.remove(here, caller(), nodes.get(here, caller(), id), request_parsing.condition())
    return Response(status=204)


@blueprint.post("/<id>/rotate")
def rotate(id: str) -> Response:
    here = desk()
    another = request_parsing.optional_document(api.RotateRequest).get("another", False)
    key = nodes.rotate(here, caller(), nodes.get(here, caller(), id), another)
    return json_answer(nodes.key_document(key), 201)


@blueprint.post("/<id>/refresh")
def refresh(id: str) -> Response:
    here = desk()
    found = nodes.get(here, caller(), id)
    nodes.refresh(here, caller(), found)
    return json_answer(nodes.document_of(here, found))


@blueprint.get("/<id>/subscriptions")
def subscribed(id: str) -> Response:
    here = desk()
    return json_answer(subscriptions.of_node(here, nodes.get(here, caller(), id)))


@blueprint.post("/<id>/subscribe")
def subscribe(id: str) -> Response:
    here = desk()
    found = nodes.get(here, caller(), id)
    name = request_parsing.json_document(api.DependencyRequest)["dependency"]
    subscriptions.join(here, caller(), found, name)
    return json_answer(subscriptions.of_node(here, found))


@blueprint.post("/<id>/unsubscribe")
def unsubscribe(id: str) -> Response:
    here = desk()
    found = nodes.get(here, caller(), id)
    name = request_parsing.json_document(api.DependencyRequest)["dependency"]
    subscriptions.leave(here, caller(), found, name)
    return json_answer(subscriptions.of_node(here, found))


@blueprint.post("/<id>/bar")
def bar(id: str) -> Response:
    here = desk()
    found = nodes.get(here, caller(), id)
    wanted = request_parsing.json_document(api.BarRequest)
    subscriptions.bar(here, caller(), found, wanted["url"], wanted.get("barred", True))
    return json_answer(subscriptions.of_node(here, found))


@blueprint.get("/<id>/releases")
def released(id: str) -> Response:
    here = desk()
    return page_answer(list(releases.listed(here, nodes.get(here, caller(), id))), None)


@blueprint.get("/<id>/releases/<int:release>")
def release(id: str, release: int) -> Response:
    here = desk()
    return json_answer(releases.one(here, nodes.get(here, caller(), id), release))


@blueprint.post("/<id>/publish")
def publish(id: str) -> Response:
    here = desk()
    found = nodes.get(here, caller(), id)
    values = request_parsing.optional_document(api.PublishRequest).get("dynamic", {})
    n = releases.publish(here, caller(), found, values, request_parsing.key())
    location = f"/api/v1/cdpm/nodes/{found.id}/releases/{n}"
    return json_answer(releases.one(here, found, n), 201, {"Location": location})


@blueprint.get("/<id>/trials")
def trials(id: str) -> Response:
    here = desk()
    return page_answer(list(votes.trials(here, nodes.get(here, caller(), id))), None)


@blueprint.get("/<id>/received")
def received(id: str) -> Response:
    here = desk()
    return page_answer(list(arrivals.received(here, nodes.get(here, caller(), id))), None)


@checks.post("/validate")
def validate() -> Response:
    wanted = request_parsing.json_document(api.FileRequest)
    access = services().peering
    if wanted.get("remote", False) and access is None:
        raise Conflict(nodes.OFF)
    peering = access.peering if access is not None and wanted.get("remote", False) else None
    return json_answer(validation.validate(wanted["text"], peering))


def desk() -> Desk:
    """What the use cases work with, of the application that answers this request."""
    here = services()
    parts = cast(Parts, current_app.extensions[EXTENSION])
    return Desk(here.bus, here.store, here.clock, parts.reader, parts.peers, here.request_timeout)


def _checked() -> Checked:
    """The body. Its right is asked before playbooks of its group are looked at."""
    here = services()
    draft = node_checks.read(request_parsing.body(), request_parsing.form_in())
    nodes.require_author(caller(), draft.group)
    desk().speaking()
    offers = checking.offers_now(here.store, here.clock)
    return node_checks.check(draft, here.store, offers, policy_now(here.around, here.store))


def _stored(here: Desk, made: PipelineRow, status: int) -> Response:
    headers = {"Location": f"/api/v1/cdpm/nodes/{made.id}", "ETag": nodes.etag(made)}
    return json_answer(nodes.document_of(here, made), status, headers)
