"""The OpenAPI 3.1 document, made of the table of routes, the descriptions of documents and the JSON Schemas. Must not serve it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from re_core.api import answers, requests, version0
from re_core.api.schema import Components, Shape, ref
from re_rest import routes
from re_rest.deployments import MOST_LINES
from re_rest.request_parsing import LARGEST, MOST_ROWS
from re_rest.routes import Route

TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "integer"}
TIME: Shape = {"type": "string", "format": "date-time"}

_TOKEN = "`rectl up` leaves one in the file `token` of its data directory; `rectl token create` makes more."

_DESCRIPTION = (
    "Self-hosted release automation: a playbook goes in, a deployment comes out. Version 1 is the one to use; "
    "version 0 stays as it was in 2014, for clients of that time."
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
    for name, kind in {**answers.COMPONENTS, **version0.COMPONENTS, **requests.COMPONENTS}.items():
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
        return {"description": "Nothing more to say."}
    if what.startswith(routes.TEXTUAL):
        return {"description": "As text.", "content": {what: {"schema": TEXT}}}
    content: dict[str, Any] = {"application/json": {"schema": ref(what)}}
    if what in ("Playbook", "V0Playbook", "V0Playbooks"):
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
    schema = ref(route.body.removeprefix("?"))
    kinds = ["application/json", "application/yaml"] if "form" in route.parameters else ["application/json"]
    content = {kind: {"schema": schema} for kind in kinds}
    return {"required": not route.body.startswith("?"), "content": content}


def _in_path(name: str) -> dict[str, Any]:
    shape = {"type": "integer", "minimum": 0} if name in ("revision", "step") else {"type": "string", "minLength": 1}
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
    "limit": _query("limit", {**NUMBER, "minimum": 1, "maximum": MOST_ROWS}, "How many at most."),
    "cursor": _query("cursor", TEXT, "The `next` of the page before."),
    "group": _query("group", TEXT, "Only of this group."),
    "playbook_id": _query("playbook_id", TEXT, "Only of this playbook."),
    "name": _query("name", TEXT, "Only of this name."),
    "user": _query("user", TEXT, "Only of this user."),
    "since": _query("since", TIME, "Only those created at or after it."),
    "status": {
        **_query("status", {"type": "array", "items": ref("DeploymentStatus")}, "Only in one of these."),
        "explode": False,
    },
    "after": _query("after", {**NUMBER, "minimum": 0, "maximum": LARGEST}, "Only lines with a number above it."),
    "tail": _query(
        "tail", {**NUMBER, "minimum": 1, "maximum": MOST_LINES}, "Only the last ones, so many; not with `limit`."
    ),
    "place": _header(
        "Last-Event-ID",
        "The id of the last event seen: go on after it; `0` for all that is kept, and what comes now where it is missing.",
        {"type": "string", "pattern": r"^\d{1,16}(\.\d{1,9})?$"},
    ),
    "kind": _query("kind", TEXT, "Only of this kind of thing: `deployment`. May be given several times."),
    "type": _query("type", TEXT, "Only of this type. May be given several times."),
    "lines": _query("output", {"type": "boolean"}, "`false`: states and the end alone."),
    "step": _query("step", {**NUMBER, "minimum": 0, "maximum": LARGEST}, "Only lines of this step."),
    "text": _query(
        "format", {"enum": ["json", "text"]}, "As JSON, or as plain text (all of it, if no limit is given)."
    ),
    "form": _query("format", {"enum": ["json", "yaml"]}, "Form of the playbook, in and out; goes before the headers."),
    "revision": _query("revision", {**NUMBER, "minimum": 1, "maximum": LARGEST}, "Another than the newest."),
    "key": _header(
        "Idempotency-Key",
        "Two requests with the same key are one; another body under the same key is refused.",
        {"type": "string", "maxLength": 255, "pattern": "^[ -~]*$"},
    ),
    "if-match": _header("If-Match", "Only if the playbook still has this ETag."),
    "if-none-match": _header("If-None-Match", "Only if the playbook has another ETag."),
    "resume": _header(
        "Last-Event-ID",
        "`<entry>.<line>` of the last event seen: go on after it.",
        {"type": "string", "pattern": r"^\d{1,15}\.\d{1,15}$"},
    ),
}

_FAILURES: Mapping[int, str] = {
    400: "The request cannot be understood.",
    401: "A valid token is needed.",
    403: "This token does not reach that far.",
    404: "There is no such thing.",
    409: "A rule, or the state of things, does not allow it.",
    412: "Somebody changed it since.",
    413: "The body has more than 1 MiB.",
    415: "The body is of another type.",
    422: "The body is not what it should be.",
    503: "The bus or the store is away; nothing was done; try again.",
    504: "The engine did not answer in time; the document names the id, to look for it.",
}
