"""Hosts: listed, selected, said, removed, trusted. Must not know where they are kept."""

from __future__ import annotations

from flask import Blueprint, Response, request

from re_core.api import hosts as documents
from re_core.usecases import hosts
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.responses import json_answer, page_answer

blueprint = Blueprint("hosts", __name__, url_prefix="/api/v1/hosts")


@blueprint.get("")
def listed() -> Response:
    found = hosts.listed(services().inventory, caller(), request.args.getlist("pattern"))
    most, start = request_parsing.limit(), request_parsing.whole_number("cursor", 0, 0, request_parsing.LARGEST)
    end = start + most
    return page_answer(found[start:end], str(end) if end < len(found) else None)


@blueprint.post("")
def save() -> Response:
    document = request_parsing.json_document(documents.HostsRequest)
    here = services()
    replace = document.get("replace", False)
    names = hosts.save(here.store, here.inventory, here.clock, caller(), document["hosts"], replace)
    return json_answer({"names": names}, 200 if replace else 201)


@blueprint.post("/select")
def select() -> Response:
    document = request_parsing.json_document(documents.SelectRequest)
    return json_answer(hosts.selected(services().inventory, document["patterns"]))


@blueprint.post("/check")
def check() -> Response:
    return json_answer(hosts.checked(services().inventory, caller()))


@blueprint.post("/scan")
def scan() -> Response:
    document = request_parsing.json_document(documents.ScanRequest)
    return json_answer(hosts.scanned(services().inventory, caller(), document["name"]))


@blueprint.post("/trust")
def trust() -> Response:
    document = request_parsing.json_document(documents.TrustRequest)
    here = services()
    name, keys, replace = document["name"], document["keys"], document.get("replace", False)
    return json_answer(hosts.trust(here.store, here.inventory, here.clock, caller(), name, keys, replace))


@blueprint.get("/<name>")
def one(name: str) -> Response:
    return json_answer(hosts.shown(services().inventory, caller(), name))


@blueprint.get("/<name>/stored")
def stored(name: str) -> Response:
    return json_answer(hosts.stored_row(services().store, caller(), name))


@blueprint.delete("/<name>")
def remove(name: str) -> Response:
    here = services()
    hosts.remove(here.store, here.inventory, caller(), name)
    return Response(status=204)
