"""Errors as answers: one table from error to status, one shape for version 1, another for version 0.

Must not know views. Version 1 uses RFC 9457 (`application/problem+json`).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, UnsupportedMediaType

from re_core import errors
from re_core.errors import MAX_PROBLEMS, BadDocument, NoAnswer, Problem, Problems, Refused, ReleaseEngineError
from re_core.ports.peering import PeerRefused
from re_core.runtime.host_keys import ScanFailed
from re_core.usecases.cdpm import refusals
from re_core.usecases.checking import problem_document
from re_core.wire import strict_json

_LOG = logging.getLogger(__name__)

#: error -> status; the nearest base class counts
STATUS: dict[type[Exception], int] = {
    errors.CallerError: 400,
    errors.NotAuthenticated: 401,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.UnknownGroup: 404,
    errors.UnknownPlaybook: 404,
    errors.Conflict: 409,
    errors.Refused: 409,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.BadDocument: 422,
    errors.KeyReused: 422,
    ScanFailed: 502,
    errors.TransientError: 503,
    errors.NoAnswer: 504,
    errors.ReleaseEngineError: 500,
}

#: seconds after which to try again, for a 503
RETRY_AFTER = "2"

#: where the routes begin whose errors keep the shape of 2014
V0 = "/api/v0/"

#: the endpoint that starts a deployment there
V0_DEPLOY = "v0.deploy"


def install(app: Flask) -> None:
    """Answer every error of this application, its own and the framework's."""
    app.register_error_handler(ReleaseEngineError, answer_ours)
    app.register_error_handler(HTTPException, answer_http)
    app.register_error_handler(Exception, answer_unexpected)


def status_of(error: ReleaseEngineError) -> int:
    """The status of the nearest class in the table; of a refused message of a peer, that of its code."""
    if isinstance(error, PeerRefused):
        return refusals.status_of(error)
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def answer_ours(error: ReleaseEngineError) -> Response:
    """An error of the engine."""
    status = status_of(error)
    if status == 500:
        _LOG.error("%s", error, exc_info=error, extra={"action": "request_failed"})
    more: dict[str, Any] = {}
    detail = str(error)
    if isinstance(error, BadDocument) and error.problems:
        problems: Sequence[Problem] = error.problems
        if len(problems) > MAX_PROBLEMS + 1:  # one more: those that are counted already have an entry that says so
            problems = Problems(problems[:MAX_PROBLEMS], len(problems) - MAX_PROBLEMS).listed()
        more["errors"] = [problem_document(problem) for problem in problems]
        if len(error.problems) > 1 and detail == error.problems[0].message:
            detail = f"the document has {len(error.problems)} errors"
    if isinstance(error, NoAnswer) and error.id:
        more["id"] = error.id
    if isinstance(error, Refused) and error.deployment:
        more["deployment"] = error.deployment
    reason = error.code if isinstance(error, PeerRefused) else error.reason
    title = " ".join((type(error).__doc__ or "").split()).rstrip(".")
    response = _answer(status, reason, title, detail, more)
    if status == 503:
        response.headers["Retry-After"] = RETRY_AFTER
    if status == 401:
        v0 = ', Basic realm="release-engine"' if request.path.startswith(V0) else ""
        response.headers["WWW-Authenticate"] = f'Bearer realm="release-engine"{v0}'
    return response


def answer_http(error: HTTPException) -> Response:
    """An error that the framework found: no such route, wrong method, too large."""
    status = error.code or 500
    if status < 400:  # a redirect to the address with the slash
        redirect = error.get_response()
        return Response(status=redirect.status_code, headers=[("Location", redirect.headers["Location"])])
    valid = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
    details = {
        404: f"there is no route {request.path[:100]!r}; /docs lists the routes",
        405: f"{request.method} is not allowed here; allowed are {valid}",
        413: f"a body has at most {strict_json.MAX_BYTES} bytes",
    }
    detail = details.get(status, error.description or "")
    response = _answer(status, error.name.lower().replace(" ", "-"), error.name, detail, {})
    if valid:
        response.headers["Allow"] = valid
    return response


def answer_unexpected(error: Exception) -> Response:
    """A bug of the engine: logged, and not shown to the caller."""
    number = _request_id()
    _LOG.error("request %s: %s", number, error, exc_info=error, extra={"action": "request_failed"})
    return _answer(500, "error", "Internal error", f"the log has the error, with the request id {number}", {}, number)


def unsupported(kind: str, wanted: str) -> UnsupportedMediaType:
    """The body is of a kind that the route does not read."""
    return UnsupportedMediaType(f"Content-Type: expected {wanted}, found {kind[:80]!r}")


def _answer(status: int, reason: str, title: str, detail: str, more: dict[str, Any], number: str = "") -> Response:
    number = number or _request_id()
    if request.path.startswith(V0):
        # version 0 knows one status for all that is wrong with a body
        status = 400 if status == 422 else status
        return _respond(status, _v0_document(status, detail, more), "application/json", number)
    document = {"type": f"urn:release-engine:{reason}", "title": title, "status": status, "detail": detail}
    return _respond(status, {**document, "request_id": number, **more}, "application/problem+json", number)


def _v0_document(status: int, detail: str, more: dict[str, Any]) -> dict[str, Any]:
    """docs/reference/rest.md, Version 0. What has no shape there is an `error` with a message."""
    if status == 400:
        listed = "; ".join(f"{one['path']}: {one['message']}".removeprefix(": ") for one in more.get("errors", ()))
        # of a deployment that does not begin a client of 2014 shows what is an error, and nothing else
        word = "error" if request.endpoint == V0_DEPLOY else "bad request"
        return {"status": word, "message": listed or detail}
    if status == 404:
        return {"status": "not found"} if request.url_rule else {"status": "not found", "message": detail}
    known = {"id": more["id"]} if "id" in more else {}
    return {"status": "error", "message": detail, **known}


def _respond(status: int, document: dict[str, Any], kind: str, number: str) -> Response:
    body = strict_json.dumps(document).encode("utf-8", "replace")
    return Response(body, status, {"X-Request-Id": number}, content_type=kind)


def _request_id() -> str:
    return secrets.token_hex(8)
