"""Artifacts: push, list, show, read, annotate, delete. Must not know where they are kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import quote

from flask import Blueprint, Response, current_app, request

from re_core.api import artifacts as documents
from re_core.artifacts import annotation as words
from re_core.artifacts import content as forms
from re_core.errors import CallerError, NotFound, TransientError
from re_core.rows import Artifact, ArtifactFile
from re_core.usecases import artifact_pruning, artifact_pushing, artifact_reading, artifacts
from re_core.usecases.artifact_pushing import Pushed, Wanted
from re_rest import request_parsing
from re_rest.app_context import caller, services
from re_rest.errors import unsupported
from re_rest.pacing import PacedSocket
from re_rest.responses import json_answer, page_answer

#: where the application keeps what counts pushes and pulls
EXTENSION = "release_engine_artifacts"

#: pushes, and pulls, of one process at a time; each holds a thread for as long as its client is slow
AT_ONCE = 8

#: bytes a second that the client of a pull must take in the long run: it holds one of those places
PULL_RATE = 64 * 1024

#: types of a body that is a tar.gz; curl -T says none
ARCHIVES = frozenset(
    {
        "",
        "application/gzip",
        "application/x-gzip",
        "application/x-gtar-compressed",
        "application/x-compressed-tar",
        "application/octet-stream",
    }
)

blueprint = Blueprint("artifacts", __name__, url_prefix="/api/v1/artifacts")


class Transfers:
    """How many pushes and pulls there are."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(AT_ONCE)

    def begin(self) -> None:
        """Raises TransientError where there are too many."""
        if not self._free.acquire(blocking=False):
            raise TransientError(f"{AT_ONCE} artifacts are pushed or pulled at this moment; try again")

    def end(self) -> None:
        """One is over."""
        self._free.release()

    @contextmanager
    def one(self) -> Iterator[None]:
        """For the time of one."""
        self.begin()
        try:
            yield
        finally:
            self.end()


@blueprint.get("")
def listed() -> Response:
    group, prefix = request.args.get("group"), request.args.get("prefix", "")
    cursor = request.args.get("cursor", "")
    page = artifacts.listed(services().store, caller(), group, prefix, request_parsing.limit(), cursor)
    return page_answer([artifacts.artifact_row(row) for row in page.rows], page.next)


@blueprint.put("/<name>")
def push(name: str) -> Response:
    here, group = services(), artifacts.group_to_push(caller(), request.args.get("group"))
    wanted = Wanted(group, name, request.args.get("kind", forms.FILES), {})
    artifact_pushing.allow(here.store, caller(), wanted, here.artifacts)
    is_json = request.mimetype == "application/json"
    if not is_json and request.mimetype not in ARCHIVES:
        raise unsupported(request.mimetype, "application/gzip (a tar.gz) or application/json")
    if is_json and wanted.kind != forms.FILES:
        raise CallerError(f"kind: a body of JSON is files, found {wanted.kind!r}; push a tar.gz, or leave it out")
    with transfers().one():
        pushed = _push_texts(wanted) if is_json else _push_archive(wanted)
    place = f"/api/v1/artifacts/{name}?group={quote(group, safe='')}"
    document = artifacts.artifact_stored(pushed.artifact)
    return json_answer(document, 201 if pushed.new else 200, {"Location": place})


@blueprint.get("/<name>")
def one(name: str) -> Response:
    store = services().store
    found = visible(name)
    content = artifact_reading.content_of(store, found)
    return json_answer(artifacts.artifact_document(found, content, store.uses(found.id)))


@blueprint.put("/<name>/annotation")
def annotate(name: str) -> Response:
    group = request.args.get("group")
    visible(name)
    said = artifacts.read_annotation(request_parsing.json_document(documents.AnnotationRequest))
    return json_answer(artifacts.artifact_stored(artifacts.annotate(services().store, caller(), name, group, said)))


@blueprint.get("/<name>/content")
def content(name: str) -> Response:
    found, store = visible(name), services().store
    whole = artifact_reading.content_of(store, found)
    wanted = request.args.get("file")
    file = None if wanted is None else _file(found, whole.files, wanted)
    etag = f'"{found.digest if file is None else file.digest}"'
    if request_parsing.unchanged(etag):
        return Response(status=304, headers={"ETag": etag})
    if file is not None:
        with transfers().one():
            artifact_reading.verify_file(store, found, whole, file)
        pieces = artifact_reading.read_file(store, found, whole, file)
        return _bytes(pieces, "application/octet-stream", {"ETag": etag, "Content-Length": str(file.size)})
    with transfers().one():
        whole = artifact_reading.verify(store, found)
    headers = {"ETag": etag, "Content-Disposition": f'attachment; filename="{name}.tar.gz"'}
    if whole.kind == forms.ARCHIVE:
        headers["Content-Length"] = str(whole.size)
    return _bytes(artifact_reading.archive(store, found, whole), "application/gzip", headers)


@blueprint.delete("/<name>")
def delete(name: str) -> Response:
    here = services()
    artifact_pruning.delete(here.store, here.clock, caller(), name, request.args.get("group"), here.artifact_keep)
    return Response(status=204)


@blueprint.post("/prune")
def prune() -> Response:
    here, asked = services(), request_parsing.optional_document(documents.ArtifactPruneRequest)
    older = asked["older"] * 1000 if "older" in asked else here.artifact_keep
    dry_run = asked.get("dry_run", False)
    found = artifact_pruning.prune(
        here.store, here.clock, caller(), asked.get("group"), older, here.artifact_keep, dry_run
    )
    return json_answer({"dry_run": dry_run, "items": [artifacts.artifact_row(one) for one in found]})


def visible(name: str) -> Artifact:
    """The artifact, if the caller may see it. Raises NotFound, NotAllowed, Conflict."""
    return artifacts.get(services().store, caller(), name, request.args.get("group"))


def _push_archive(wanted: Wanted) -> Pushed:
    here = services()
    said = artifacts.read_annotation({field: request.args[field] for field in words.FIELDS if field in request.args})
    pieces = request_parsing.upload(here.artifacts.limit)
    asked = wanted._replace(annotation=said)
    return artifact_pushing.push_archive(here.store, here.clock, caller(), asked, pieces, here.artifacts)


def _push_texts(wanted: Wanted) -> Pushed:
    here, asked = services(), request_parsing.json_document(documents.ArtifactRequest)
    said = artifacts.read_annotation(cast(Mapping[str, Any], asked.get("annotation", {})), "/annotation")
    wanted = wanted._replace(annotation=said)
    return artifact_pushing.push_files(here.store, here.clock, caller(), wanted, asked["files"], here.artifacts)


def _file(artifact: Artifact, files: tuple[ArtifactFile, ...], wanted: str) -> ArtifactFile:
    for file in files:
        if f"{file.category}/{file.path}" == wanted:
            return file
    raise NotFound(f"{artifact_reading.label(artifact)} has no file {wanted[:200]!r}")


def _bytes(pieces: Iterator[bytes], kind: str, headers: Mapping[str, str]) -> Response:
    """A body that is read while it is sent, and counts until it is."""
    counted, connection = transfers(), request.environ.get("gunicorn.socket")
    counted.begin()
    if isinstance(connection, PacedSocket):
        connection.least = PULL_RATE
    response = Response(pieces, 200, headers, content_type=kind)
    response.call_on_close(counted.end)
    return response


def transfers() -> Transfers:
    """Those of the application that answers this request."""
    return cast(Transfers, current_app.extensions[EXTENSION])
