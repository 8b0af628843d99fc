"""What a request asks: its body, its query, its conditions. Must not know what will be done about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from re_core.api.body import Body, check
from re_core.errors import CallerError
from re_core.playbook import documents
from re_core.usecases.artifact_pushing import too_large
from re_core.usecases.deployments import Origin
from re_core.usecases.keys import check_key
from re_core.usecases.playbooks import Condition
from re_core.wire import strict_json
from re_core.wire.trace_context import TRACEPARENT
from re_rest.errors import unsupported
from re_rest.pacing import PacedSocket

#: rows of a list, by default and at most
ROWS, MOST_ROWS = 50, 1000

#: bytes a second that an upload must have in the long run, beyond the seconds that every request has
UPLOAD_RATE = 256 * 1024

#: bytes that are read at a time
_PIECE = 64 * 1024

#: numbers above it are no numbers of ours, and some stores cannot take them
LARGEST = 2**53

_FORMS: Mapping[str, documents.Form] = {"json": "json", "yaml": "yaml"}
_JSON = frozenset({"application/json"})
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})


def json_body() -> bytes:
    """The bytes of a body that says that it is JSON, or says nothing. Raises 415, 413."""
    # most say exactly this, and taking a type apart takes longer than the rest of this function
    if request.environ.get("CONTENT_TYPE") != "application/json":
        kind = request.mimetype
        if kind and kind not in _JSON and not kind.endswith("+json"):
            raise unsupported(kind, "application/json")
    return body()


def body() -> bytes:
    """The bytes of the body: all of them, or none. Raises 413, CallerError.

    The server below passes on what it got of a body whose sender went away, and the framework cuts one of undeclared
    length where it becomes too long, and says nothing of it: half a playbook is often a playbook.
    """
    data = request.get_data()
    declared = request.content_length
    if len(data) > strict_json.MAX_BYTES:
        raise RequestEntityTooLarge
    if declared is not None and len(data) < declared:
        raise CallerError(f"received only {len(data)} bytes of a body of {declared}")
    return data


def upload(limit: int) -> Iterator[bytes]:
    """The body in pieces, as it comes: all of it, or an error. Raises TooLarge above `limit` bytes, CallerError where it is cut off.

    A sender that keeps up UPLOAD_RATE may take as long as that needs.
    """
    declared = request.content_length
    if declared is not None and declared > limit:
        raise too_large(limit)
    request.max_content_length = limit + 1
    connection = request.environ.get("gunicorn.socket")
    count = 0
    while piece := request.stream.read(_PIECE):
        count += len(piece)
        if count > limit:
            raise too_large(limit)
        if isinstance(connection, PacedSocket):
            connection.allowed = count / UPLOAD_RATE
        yield piece
    if declared is not None and count < declared:
        raise CallerError(f"received only {count} bytes of a body of {declared}")


def json_document(kind: Any) -> Body:
    """The body, as `kind` describes it (re_core.api.requests). Raises BadDocument."""
    return check(strict_json.loads(json_body()), kind)


def optional_document(kind: Any) -> Body:
    """As json_document; no body at all is an empty object."""
    data = json_body()
    return check(strict_json.loads(data) if data.strip() else {}, kind)


def form_in() -> documents.Form:
    """`json` or `yaml`: what `?format=` says the body is, else what its type says. Raises CallerError, 415."""
    said = request.args.get("format")
    if said is not None:
        return form(said)
    kind = request.mimetype
    if kind in _YAML:
        return "yaml"
    if not kind or kind in _JSON:
        return "json"
    raise unsupported(kind, "application/json or application/yaml")


def form_out() -> documents.Form:
    """`json` or `yaml`: what `?format=` or else Accept wants. Raises CallerError."""
    said = request.args.get("format")
    if said is not None:
        return form(said)
    best = request.accept_mimetypes.best_match(["application/json", *sorted(_YAML)], "application/json")
    return "yaml" if best in _YAML else "json"


def wants_text() -> bool:
    """Whether plain text is wanted rather than JSON."""
    said = request.args.get("format")
    if said is not None:
        if said not in ("text", "json"):
            raise CallerError(f"format: expected text or json, found {said[:40]!r}")
        return said == "text"
    return request.accept_mimetypes.best_match(["application/json", "text/plain"], "") == "text/plain"


def whole_number(name: str, default: int, low: int, high: int) -> int:
    """A number of the query. Raises CallerError."""
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        wanted = f"from {low} to {high}" if high < LARGEST else f"of at least {low}"
        raise CallerError(f"{name}: expected a whole number {wanted}, found {text[:40]!r}")
    return int(text)


def yes_or_no(name: str, default: bool) -> bool:
    """`true` or `false` of the query. Raises CallerError."""
    text = request.args.get(name)
    if text not in (None, "true", "false"):
        raise CallerError(f"{name}: expected true or false, found {text[:40]!r}")
    return default if text is None else text == "true"


def limit() -> int:
    """How many rows are wanted. Raises CallerError."""
    return whole_number("limit", ROWS, 1, MOST_ROWS)


def key() -> str:
    """The Idempotency-Key; empty where there is none. Raises CallerError."""
    return check_key(request.headers.get("Idempotency-Key"))


def origin() -> Origin:
    """Where the request comes from, with which Idempotency-Key and `traceparent`. Raises CallerError."""
    return Origin(request.remote_addr or "", key(), request.headers.get(TRACEPARENT, ""))


def condition() -> Condition | None:
    """Which etags `If-Match` accepts; None where the request has no such header."""
    if "If-Match" not in request.headers:
        return None
    wanted = request.if_match
    return lambda etag: etag.strip('"') in wanted


def unchanged(etag: str) -> bool:
    """Whether `If-None-Match` says that the caller has this one already."""
    wanted = request.if_none_match
    return wanted.contains_weak(etag.strip('"'))


def form(said: str) -> documents.Form:
    """What `?format=` says. Raises CallerError."""
    if said not in _FORMS:
        raise CallerError(f"format: expected json or yaml, found {said[:40]!r}")
    return _FORMS[said]
