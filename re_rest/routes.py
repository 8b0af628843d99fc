"""Every route: its right, and what the OpenAPI document shows of it. Must not know how a route is served.

A test compares this table with the routes of the application; another calls every route with every role.
"""

from __future__ import annotations

from typing import NamedTuple

from re_core.artifacts import annotation
from re_core.usecases.authorization import Verb
from re_rest.rights import (
    ANY_TOKEN,
    AUTHOR,
    DEPLOY,
    ENGINE_ADMIN,
    ENGINE_OPERATE,
    LIST,
    OPERATE,
    OUTPUT,
    RESOLVE,
    SEE,
    Over,
    Right,
)


def is_media(what: str) -> bool:
    """Whether an answer is named by its media type: its body is not JSON."""
    return "/" in what


class Route(NamedTuple):
    """One operation. `answers`: status -> component (or a media type, or nothing); `fails`: statuses of a problem."""

    method: str
    path: str
    #: what the caller needs; None where no token is needed
    right: Right | None
    summary: str
    answers: dict[int, str]
    fails: tuple[int, ...]
    parameters: tuple[str, ...] = ()
    #: component of the body; a leading ? where it may be missing
    body: str = ""
    #: what the summary does not say
    description: str = ""
    #: whether it goes with the next release
    deprecated: bool = False


_V1 = "/api/v1"
_ONE = f"{_V1}/deployments/{{id}}"
_BOOK = f"{_V1}/playbooks/{{id}}"
_ARTIFACT = f"{_V1}/artifacts/{{name}}"
_PAGE = ("limit", "cursor")
_SEEN = (400, 401, 403, 404, 503)
_READ = (400, 401, 403, 503)
_SENT = (400, 401, 403, 404, 409, 413, 415, 422, 503)

V1 = (
    Route(
        "post",
        f"{_V1}/deployments",
        DEPLOY,
        "Start a deployment",
        {201: "Created"},
        (*_SENT, 504),
        ("key",),
        "DeploymentRequest",
        "After the 201 the deployment is on durable storage and runs without the caller.",
    ),
    Route(
        "get",
        f"{_V1}/deployments",
        LIST,
        "Deployments, newest first",
        {200: "Deployments"},
        _READ,
        (*_PAGE, "group", "playbook_id", "status", "user", "since"),
    ),
    Route("get", _ONE, SEE, "The current state of a deployment", {200: "Deployment"}, _SEEN),
    Route("get", f"{_ONE}/journal", SEE, "The journal of a deployment, in order", {200: "Journal"}, _SEEN, _PAGE),
    Route(
        "get",
        f"{_ONE}/output",
        OUTPUT,
        "The output of a deployment's steps",
        {200: "Output"},
        _SEEN,
        ("after", "limit", "tail", "step", "text"),
    ),
    Route(
        "get",
        f"{_ONE}/steps/{{step}}/result",
        OUTPUT,
        "The outcomes of a step's attempts",
        {200: "Results"},
        _SEEN,
        _PAGE,
        "",
        "With all data. The deployment's document has data of up to 2 KiB; of more it has only `result`, with size and digest.",
    ),
    Route(
        "get",
        f"{_ONE}/events",
        OUTPUT,
        "A stream of the states and the output of a deployment",
        {200: "text/event-stream"},
        _SEEN,
        ("resume", "lines"),
        "",
        "Events `state` (the whole deployment), `output` (one line), `skipped` (the first and the last number of the lines that are "
        "omitted for a slow viewer) and, as the last one, `end`.",
    ),
    Route(
        "get",
        f"{_V1}/events",
        LIST,
        "A stream of the events of all deployments",
        {200: "text/event-stream"},
        _READ,
        ("place", "group", "kind", "type"),
        "",
        "Each event is a CloudEvents 1.0 document, of the schema `event`; its id is its position in the feed, the same at every front end. "
        "The event `reset` says that the events between `last` and `now` are no longer kept; `place` gives the position that was read.",
    ),
    Route(
        "post", f"{_ONE}/cancel", OPERATE, "Cancel a deployment", {202: "Asked"}, (*_SENT, 504), (), "?CancelRequest"
    ),
    Route(
        "post",
        f"{_ONE}/retry",
        OPERATE,
        "Continue a failed deployment from the steps that failed",
        {202: "Asked"},
        (*_SENT, 504),
        ("key",),
        "?RetryRequest",
        "`lost` is the resolution of the lost steps: they succeeded, or are run again (`rerun`). A retry that needs it gets a 409 "
        "that names them. `retries` is that of the document that the operator read; the request is refused if it has changed.",
    ),
    Route(
        "post",
        f"{_ONE}/resolve",
        RESOLVE,
        "Resolve a lost step for which the deployment waits",
        {202: "Asked"},
        (*_SENT, 504),
        ("key",),
        "ResolveRequest",
        "`attempt` is that of the document that the operator read; the request is refused if the step was lost again since.",
    ),
    Route(
        "post",
        f"{_ONE}/decide",
        RESOLVE,
        "Resolve a lost step, under the name of version 0.1 (deprecated)",
        {202: "Asked"},
        (*_SENT, 504),
        ("key",),
        "ResolveRequest",
        "Use `resolve`. The words `happened`, `again` and `fail` mean `succeeded`, `rerun` and `failed`.",
        deprecated=True,
    ),
    Route(
        "get", f"{_V1}/playbooks", LIST, "Playbooks, newest first", {200: "Playbooks"}, _READ, (*_PAGE, "group", "name")
    ),
    Route(
        "post", f"{_V1}/playbooks", AUTHOR, "Store a playbook", {201: "Playbook"}, _SENT, ("key", "form"), "playbook"
    ),
    Route(
        "post",
        f"{_V1}/playbooks/apply",
        AUTHOR,
        "Store a playbook under its group and name: a new playbook, or a new revision of the one that has them",
        {201: "Applied", 200: "Applied"},
        (*_SENT, 412),
        ("form", "if-match"),
        "playbook",
        "`done` is `created`, `updated` or `unchanged`: an equal playbook keeps its revision. The request may be repeated.",
    ),
    Route(
        "post",
        f"{_V1}/playbooks/validate",
        ANY_TOKEN,
        "Check a playbook without storing it",
        {200: "Verdict"},
        _SENT,
        ("form",),
        "Object",
    ),
    Route("get", _BOOK, SEE, "A playbook", {200: "Playbook", 304: ""}, _SEEN, ("form", "if-none-match")),
    Route(
        "put", _BOOK, AUTHOR, "Replace a playbook", {200: "Playbook"}, (*_SENT, 412), ("form", "if-match"), "playbook"
    ),
    Route("delete", _BOOK, AUTHOR, "Delete a playbook", {204: ""}, (*_SEEN, 409, 412), ("if-match",)),
    Route(
        "get",
        f"{_BOOK}/revisions",
        Right(Verb.SEE, denied=404),
        "The revisions of a playbook, newest first",
        {200: "Playbooks"},
        _SEEN,
    ),
    Route(
        "get", f"{_BOOK}/revisions/{{revision}}", SEE, "One revision of a playbook", {200: "Playbook"}, _SEEN, ("form",)
    ),
    Route(
        "post",
        f"{_BOOK}/plan",
        SEE,
        "The steps that a deployment would run, in order",
        {200: "Plan"},
        _SENT,
        ("revision",),
        "?PlanRequest",
    ),
    Route(
        "get",
        f"{_V1}/artifacts",
        LIST,
        "Artifacts, newest first",
        {200: "Artifacts"},
        (*_READ, 422),
        (*_PAGE, "group", "prefix"),
    ),
    Route(
        "get", _ARTIFACT, SEE, "An artifact, with its files", {200: "ArtifactWithFiles"}, (*_SEEN, 409), ("of-group",)
    ),
    Route(
        "put",
        _ARTIFACT,
        AUTHOR,
        "Push an artifact",
        {201: "Artifact", 200: "Artifact"},
        _SENT,
        ("of-group", "content", *annotation.FIELDS),
        "ArtifactRequest",
        "The body is a tar.gz whose top-level directories are the categories of its files (`deployment`, `spec`, …), or JSON with texts. "
        "200: it exists with this content. 409: it exists with another content or annotation, which never change; or the quota is used up. "
        "Of a tar.gz the annotation is in the query, of JSON in the body; it can follow later, once.",
    ),
    Route(
        "put",
        f"{_ARTIFACT}/annotation",
        AUTHOR,
        "Annotate an artifact that has no annotation yet",
        {200: "Artifact"},
        _SENT,
        ("of-group",),
        "AnnotationRequest",
        "An equal repetition is a 200; another annotation is a 409.",
    ),
    Route(
        "get",
        f"{_ARTIFACT}/content",
        SEE,
        "The files of an artifact as a tar.gz, or one of them",
        {200: "application/octet-stream", 304: ""},
        (*_SEEN, 409),
        ("of-group", "file", "if-none-match"),
        "",
        "`application/gzip`; with `file`: the bytes of that file. The digests of what is sent are compared before the answer begins.",
    ),
    Route(
        "delete",
        _ARTIFACT,
        AUTHOR,
        "Delete an artifact that nothing needs",
        {204: ""},
        (*_SEEN, 409),
        ("of-group",),
        "",
        "409: a deployment used it within RE_ARTIFACT_KEEP, or one that has not ended needs it, which `deployment` names; or a playbook "
        "names it.",
    ),
    Route(
        "post",
        f"{_V1}/artifacts/prune",
        AUTHOR,
        "Delete the artifacts that nothing has needed for long",
        {200: "PrunedArtifacts"},
        _SENT,
        (),
        "?ArtifactPruneRequest",
    ),
    Route("get", f"{_V1}/groups", LIST, "Groups that own playbooks", {200: "Groups"}, _READ),
    Route(
        "get",
        f"{_V1}/workers",
        LIST,
        "Live workers and the steps that they offer",
        {200: "Workers"},
        _READ,
    ),
    Route(
        "get",
        f"{_V1}/deadletters",
        ENGINE_OPERATE,
        "Dead letters: messages that no consumer can process",
        {200: "DeadLetters"},
        _READ,
        _PAGE,
    ),
    Route(
        "get", f"{_V1}/deadletters/{{id}}", ENGINE_OPERATE, "A dead letter, with its body", {200: "DeadLetter"}, _SEEN
    ),
    Route("delete", f"{_V1}/deadletters/{{id}}", ENGINE_OPERATE, "Delete a dead letter", {204: ""}, _SEEN),
    Route(
        "get",
        "/metrics",
        Right(Verb.SEE, Over.ENGINE),
        "Metrics for Prometheus",
        {200: "text/plain"},
        (401, 403, 503),
        (),
        "",
        "In the text format, version 0.0.4. The metrics belong to no group: the token must have access to all groups.",
    ),
    Route(
        "post",
        f"{_V1}/deadletters/{{id}}/replay",
        ENGINE_OPERATE,
        "Send a dead letter to its queue again",
        {202: "Replayed"},
        (*_SEEN, 409),
    ),
    Route(
        "post",
        f"{_V1}/notifications",
        Right(Verb.NOTIFY, Over.ENGINE),
        "Send a notification",
        {202: "Sent"},
        _SENT,
        ("key",),
        "NotificationRequest",
    ),
    Route("get", f"{_V1}/tokens", ENGINE_ADMIN, "Tokens, without their secrets", {200: "Tokens"}, _READ),
    Route("post", f"{_V1}/tokens", ENGINE_ADMIN, "Create a token", {201: "NewToken"}, _SENT, ("key",), "TokenRequest"),
    Route("delete", f"{_V1}/tokens/{{id}}", ENGINE_ADMIN, "Revoke a token", {204: ""}, _SEEN),
    Route("get", f"{_V1}/runners", LIST, "Forest runners, without their secrets", {200: "Runners"}, _READ),
    Route(
        "post",
        f"{_V1}/runners",
        ENGINE_ADMIN,
        "Enroll a forest runner",
        {201: "NewRunner"},
        _SENT,
        (),
        "RunnerRequest",
        "The answer contains the id with which the runner connects; no other answer does.",
    ),
    Route(
        "put",
        f"{_V1}/runners/{{id}}",
        ENGINE_ADMIN,
        "Change how many releases a forest runner is given at once",
        {200: "Runner"},
        _SENT,
        (),
        "RunnerChange",
    ),
    Route(
        "post",
        f"{_V1}/runners/{{id}}/revoke",
        ENGINE_ADMIN,
        "Revoke a forest runner",
        {200: "Runner"},
        _SEEN,
        (),
        "",
        "Gateways end its session and refuse it. A release that it executes goes on, and its completion counts.",
    ),
    Route(
        "delete",
        f"{_V1}/runners/{{id}}",
        ENGINE_ADMIN,
        "Delete a revoked forest runner",
        {204: ""},
        (*_SEEN, 409),
    ),
)

OPEN = (
    Route(
        "post",
        "/subscribe",
        None,
        "Subscribe to the releases of a pipeline, or end a subscription (CDPM)",
        {200: "cdpm-subscribed"},
        (400, 401, 403, 404, 409, 413, 415, 429, 503),
        ("cdpm-signature",),
        "cdpm-subscribe",
        "For pipelines of other engines (docs/cdpm.md); 404 unless RE_CDPM is on. A refusal is a signed `cdpm-subscribed` if the "
        "signature of the request fits.",
    ),
    Route(
        "get",
        "/cdpm",
        None,
        "The WebSocket by which a subscribed pipeline gets releases and votes on them (CDPM)",
        {101: ""},
        (400, 403, 404, 503),
        (),
        "",
        "Needs the subprotocol `cdpm`, and no `Origin`. The messages are described in docs/cdpm.md.",
    ),
    Route("get", f"{_V1}/schemas", None, "Names of the JSON Schemas", {200: "Names"}, ()),
    Route("get", f"{_V1}/schemas/{{name}}", None, "A JSON Schema", {200: "Object"}, (404,)),
    Route("get", "/healthz", None, "Whether the process is alive", {200: "Alive"}, ()),
    Route(
        "get",
        "/readyz",
        None,
        "Whether the process is ready, and which parts are not",
        {200: "Ready", 503: "Ready"},
        (),
    ),
    Route("get", "/openapi.json", None, "This document", {200: "Object"}, ()),
    Route("get", "/docs", None, "This document as a web page", {200: "text/html"}, ()),
    Route("get", "/", None, "Redirect to /docs", {302: ""}, ()),
)

_V0 = "/api/v0"
_V0_ONE = f"{_V0}/{{group}}/playbook/{{id}}/"
_V0_FAILS = (400, 401, 403, 404, 413, 503)

V0 = (
    Route("get", f"{_V0}/groups/", LIST, "Groups", {200: "V0Groups"}, (401, 503)),
    Route("get", f"{_V0}/playbooks/", LIST, "Playbooks", {200: "V0Playbooks"}, (400, 401, 503), ("form",)),
    Route(
        "get",
        f"{_V0}/{{group}}/playbook/",
        SEE,
        "A group's playbooks",
        {200: "V0Playbooks"},
        (400, 401, 403, 404, 503),
        ("form",),
    ),
    Route(
        "put",
        f"{_V0}/{{group}}/playbook/",
        AUTHOR,
        "Store a playbook",
        {201: "V0Created"},
        _V0_FAILS,
        ("form",),
        "playbook",
    ),
    Route("get", _V0_ONE, SEE, "A playbook", {200: "V0Playbook"}, (400, 401, 403, 404, 503), ("form",)),
    Route("post", _V0_ONE, AUTHOR, "Replace a playbook", {200: "V0Replaced"}, (*_V0_FAILS, 409), ("form",), "playbook"),
    Route("delete", _V0_ONE, AUTHOR, "Delete a playbook", {410: "V0Gone"}, (400, 401, 403, 404, 409, 503)),
    Route(
        "put",
        f"{_V0_ONE}deployment/",
        DEPLOY,
        "Start a deployment",
        {201: "V0Created"},
        (*_V0_FAILS, 409, 504),
        ("form",),
        "?Object",
    ),
    Route(
        "get",
        f"{_V0}/deployment/status/{{id}}/",
        SEE,
        "The status of a deployment",
        {200: "V0Status", 202: "V0Status", 400: "V0Status", 404: "V0Status"},
        (401, 403, 503),
    ),
)
