"""The OpenAPI 3.1 document, made of the table of routes, the descriptions of documents and the JSON Schemas. Must not serve it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from re_core.api import answers, apps, artifacts, hosts, notifications, pipelines, requests, version0, workers
from re_core.api.schema import Components, Shape, ref
from re_core.artifacts import annotation
from re_core.ports.apps import MOST_LOG_LINES
from re_rest import routes
from re_rest.deployments import MOST_LINES
from re_rest.request_parsing import LARGEST, MOST_ROWS
from re_rest.route import Route, is_media

TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "integer"}
TIME: Shape = {"type": "string", "format": "date-time"}

_BINARY: Shape = {"type": "string", "format": "binary"}

_TOKEN = "`rectl up` writes a token to the file `token` in its data directory; `rectl token create` creates more."

_DESCRIPTION = (
    "Self-hosted release automation: store a playbook, start a deployment of it. Use version 1; "
    "version 0 is for clients of 2014 and does not change."
)


def document(version: str, schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The whole document; `schemas` are the JSON Schemas of what travels, by name."""
    embedded = {name: embed(schema, name) for name, schema in schemas.items()}
    components = {**described(), **embedded}
    paths: dict[str, Any] = {}
    for route in (*routes.V1, *routes.OPEN, *routes.V0):
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Release Engine", "version": version, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": components,
            "parameters": {name: dict(one) for name, one in _PARAMETERS.items()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": _TOKEN},
                "basic": {"type": "http", "scheme": "basic", "description": "The token as the password."},
            },
        },
        "security": [{"token": []}],
    }


def described() -> dict[str, Shape]:
    """A component for each document of HTTP, by name."""
    components = Components(answers.EXTENSIBLE | version0.EXTENSIBLE)
    theirs = [part for one in (artifacts, pipelines, apps, hosts, workers) for part in (one.COMPONENTS, one.REQUESTS)]
    for part in (answers.COMPONENTS, notifications.COMPONENTS, version0.COMPONENTS, requests.COMPONENTS, *theirs):
        for name, kind in part.items():
            components.add(name, kind)
    return components.found


def embed(schema: Mapping[str, Any], name: str) -> Shape:
    """A JSON Schema as a component: what it refers to is found among the components, nothing is fetched."""
    whole = {key: _referring(value, name) for key, value in schema.items() if key not in ("$id", "$schema")}
    return {**whole}


def _referring(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _component(one, name) if key == "$ref" else _referring(one, name) for key, one in value.items()}
    if isinstance(value, list):
        return [_referring(one, name) for one in value]
    return value


def _component(target: str, name: str) -> str:
    file, _, inside = target.partition("#")
    other = file.rpartition("/")[2].removesuffix(".json").removesuffix(".schema") or name
    return f"#/components/schemas/{other}{inside}"


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _name(route),
        "tags": [_tag(route.path)],
        "responses": {str(status): _answer(what) for status, what in route.answers.items()},
    }
    if route.description:
        operation["description"] = route.description
    if route.deprecated:
        operation["deprecated"] = True
    problem = "V0Error" if route in routes.V0 else "Problem"
    for status in sorted(set(route.fails) - set(route.answers)):
        operation["responses"][str(status)] = _failure(status, problem)
    in_path = [_in_path(name) for name in re.findall(r"{(\w+)}", route.path)]
    named = [{"$ref": f"#/components/parameters/{name}"} for name in route.parameters]
    if in_path or named:
        operation["parameters"] = in_path + named
    if route.body:
        operation["requestBody"] = _body(route)
    if route in routes.OPEN:
        operation["security"] = []
    elif route in routes.V0:
        operation["security"] = [{"token": []}, {"basic": []}]
    return operation


def _answer(what: str) -> dict[str, Any]:
    if not what:
        return {"description": "No content."}
    if is_media(what):
        is_text = what.startswith("text/")
        kinds = [what] if is_text else ["application/gzip", what]
        return {"description": "Text." if is_text else "Bytes.", "content": {kind: {"schema": TEXT} for kind in kinds}}
    content: dict[str, Any] = {"application/json": {"schema": ref(what)}}
    if what in ("Playbook", "PipelineNode", "V0Playbook", "V0Playbooks"):
        content["application/yaml"] = content["text/yaml"] = {}
    if what == "Output":
        content["text/plain"] = {"schema": TEXT}
    return {"description": what, "content": content}


def _failure(status: int, problem: str) -> dict[str, Any]:
    kind = "application/problem+json" if problem == "Problem" else "application/json"
    answer: dict[str, Any] = {"description": _FAILURES[status], "content": {kind: {"schema": ref(problem)}}}
    if problem == "V0Error" and status == 400:
        # of a bad id, where a playbook is replaced
        answer["content"]["text/yaml"] = {}
    return answer


def _body(route: Route) -> dict[str, Any]:
    if is_media(route.body):
        return {"required": True, "content": {route.body: {"schema": _BINARY}}}
    schema = ref(route.body.removeprefix("?"))
    kinds = ["application/json", "application/yaml"] if "form" in route.parameters else ["application/json"]
    content: dict[str, Any] = {kind: {"schema": schema} for kind in kinds}
    if "content" in route.parameters:
        content["application/gzip"] = {"schema": _BINARY}
    return {"required": not route.body.startswith("?"), "content": content}


def _in_path(name: str) -> dict[str, Any]:
    shape = (
        {"type": "integer", "minimum": 0}
        if name in ("release", "revision", "step")
        else {"type": "string", "minLength": 1}
    )
    return {"name": name, "in": "path", "required": True, "schema": shape}


def _name(route: Route) -> str:
    words = re.findall(r"\w+", route.path.removeprefix("/api/"))
    return "_".join([route.method, *words]).replace("_v1_", "_")


def _tag(path: str) -> str:
    words = path.strip("/").split("/")
    if words[0] != "api":
        return "engine"
    return "version 0" if words[1] == "v0" else words[2]


def _query(name: str, schema: Shape, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _header(name: str, description: str, schema: Shape = TEXT) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": schema, "description": description}


_PARAMETERS: Mapping[str, Shape] = {
    "limit": _query("limit", {**NUMBER, "minimum": 1, "maximum": MOST_ROWS}, "The largest number of items."),
    "cursor": _query("cursor", TEXT, "`next` of the previous page."),
    "group": _query("group", TEXT, "Only items of this group."),
    "playbook_id": _query("playbook_id", TEXT, "Only deployments of this playbook."),
    "name": _query("name", TEXT, "Only items with this name."),
    "user": _query("user", TEXT, "Only deployments that this user started."),
    "since": _query("since", TIME, "Only deployments created at this time or later."),
    "status": {
        **_query(
            "status",
            {"type": "array", "items": ref("DeploymentStatus")},
            "Only deployments with one of these statuses.",
        ),
        "explode": False,
    },
    "after": _query("after", {**NUMBER, "minimum": 0, "maximum": LARGEST}, "Only lines with a number above this."),
    "tail": _query(
        "tail",
        {**NUMBER, "minimum": 1, "maximum": MOST_LINES},
        "Only the last lines, this many; not together with `limit`.",
    ),
    "pattern": _query("pattern", TEXT, "Only hosts that the patterns mean, as in a playbook's list. Repeatable."),
    "place": _header(
        "Last-Event-ID",
        "The id of the last event that was read: the stream starts after it. `0`: all events that are kept. If omitted: only new events.",
        {"type": "string", "pattern": r"^\d{1,16}(\.\d{1,9})?$"},
    ),
    "kind": _query(
        "kind", TEXT, "Only events of this kind of aggregate: `deployment`, `pipeline` or `app`. Repeatable."
    ),
    "type": _query("type", TEXT, "Only events of this type. Repeatable."),
    "lines": _query("output", {"type": "boolean"}, "`false`: only the events `state` and `end`."),
    "step": _query("step", {**NUMBER, "minimum": 0, "maximum": LARGEST}, "Only lines of this step."),
    "text": _query("format", {"enum": ["json", "text"]}, "JSON, or plain text (all lines, if there is no `limit`)."),
    "form": _query(
        "format", {"enum": ["json", "yaml"]}, "Format of the playbook in request and answer; overrides the headers."
    ),
    "revision": _query(
        "revision", {**NUMBER, "minimum": 1, "maximum": LARGEST}, "The revision; the newest if omitted."
    ),
    "look": _query(
        "look",
        {"type": "boolean"},
        "`true`: workers look at the hosts, and each step says what it would change. Needs the right to deploy.",
    ),
    "prefix": _query("prefix", TEXT, "Only artifacts whose names begin with this."),
    "of-group": _query(
        "group",
        TEXT,
        "The group of the artifact; may be omitted if only one group that the token may access has it, or can have it.",
    ),
    "content": _query(
        "kind", {"enum": ["files", "archive"]}, "`archive`: store the tar.gz as it is, without opening it."
    ),
    "file": _query("file", TEXT, "Only this file: `<category>/<path>`."),
    **{
        name: _query(name, {**TEXT, "maxLength": most}, f"`{name}` of the annotation.")
        for name, most in annotation.FIELDS.items()
    },
    "key": _header(
        "Idempotency-Key",
        "Requests with the same key are carried out once; the same key with another body is refused.",
        {"type": "string", "maxLength": 255, "pattern": "^[ -~]*$"},
    ),
    "deployment": _query("deployment", TEXT, "Only those of this deployment."),
    "outcome": _query("outcome", {"enum": ["sent", "failed"]}, "Only those with this outcome."),
    "transport": _query("transport", TEXT, "Only those of this transport."),
    "playbook": _query("playbook", TEXT, "Name of the playbook."),
    "environment": _query(
        "environment", TEXT, "An environment of the deployment's steps; may be given more than once."
    ),
    "values": _query("values", {"type": "boolean"}, "`true`: the values too."),
    "note": _query("note", {**TEXT, "maxLength": 500}, "What people see of the release; `Deploy <commit>` if omitted."),
    "broadcast": _query(
        "broadcast_id",
        {**TEXT, "maxLength": 128},
        "The caller's own, one per push: a repeated push is one release. If omitted, the engine makes one.",
    ),
    "log-tail": _query("tail", {**NUMBER, "minimum": 1, "maximum": MOST_LOG_LINES}, "How many of the newest lines."),
    "ps": _query("ps", TEXT, "Only lines of this process (`web.1`), or of this type of processes (`web`)."),
    "source": _query("source", {"enum": ["app", "dploy"]}, "Only lines of the app, or of what its zones say of it."),
    "log-line": _header(
        "Last-Event-ID",
        "The id of the last event that the client read: the stream starts after it.",
        {"type": "string", "pattern": r"^\d{1,16}$"},
    ),
    "cdpm-signature": _header(
        "CDPM-Signature", "`<protected>..<signature>`: a JWS (RS256) whose payload is the body (RFC 7515, appendix F)."
    ),
    "if-match": _header("If-Match", "Carry out the request only if the playbook has this ETag."),
    "if-none-match": _header("If-None-Match", "Answer with 304 if the ETag is still this one."),
    "resume": _header(
        "Last-Event-ID",
        "`<entry>.<line>` of the last event that the client read: the stream starts after it.",
        {"type": "string", "pattern": r"^\d{1,15}\.\d{1,15}$"},
    ),
}

_FAILURES: Mapping[int, str] = {
    400: "The request is malformed.",
    401: "A valid token is needed.",
    403: "The token does not have the right that this needs.",
    404: "It does not exist, or the token may not see it.",
    409: "A rule, or the current state, does not allow the request.",
    412: "The playbook has changed: its ETag is another one.",
    413: "The body has more than 1 MiB; of an artifact: more than RE_ARTIFACT_LIMIT.",
    415: "The body has a content type that is not supported.",
    422: "The body is not valid.",
    429: "Too many messages; try again later.",
    502: "The host does not answer.",
    503: "The bus or the store is not available; nothing was done; try again.",
    504: "The core did not answer in time; use the id in the document to find out whether the request was carried out.",
}
