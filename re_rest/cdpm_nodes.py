"""Pipeline nodes over HTTP: stored, shown, removed, and what operators do with them. Must not know machines, nor peers."""

from __future__ import annotations

from typing import NamedTuple, cast

from flask import Blueprint, Response, current_app, request

from re_core.api import pipelines as api
from re_core.playbook.compiler import policy_now
from re_core.rows import PipelineRow
from re_core.usecases import checking
from re_core.usecases.cdpm import node_checks, nodes
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
    offers = checking.offers_now(here.store, here.clock)
    return node_checks.check(draft, here.store, offers, policy_now(here.around, here.store))


def _stored(here: Desk, made: PipelineRow, status: int) -> Response:
    headers = {"Location": f"/api/v1/cdpm/nodes/{made.id}", "ETag": nodes.etag(made)}
    return json_answer(nodes.document_of(here, made), status, headers)
