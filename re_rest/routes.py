"""Every route: its right, and what the OpenAPI document shows of it. Must not know how a route is served.

A test compares this table with the routes of the application; another calls every route with every role.
"""

from __future__ import annotations

from typing import NamedTuple

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

#: part of the name of a success whose body is not JSON
TEXTUAL = "text/"


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
        "After the 201 it cannot be lost, and it goes on by itself.",
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
    Route("get", _ONE, SEE, "A deployment as it is now", {200: "Deployment"}, _SEEN),
    Route("get", f"{_ONE}/journal", SEE, "Everything that happened to it, in order", {200: "Journal"}, _SEEN, _PAGE),
    Route(
        "get",
        f"{_ONE}/output",
        OUTPUT,
        "What its steps printed",
        {200: "Output"},
        _SEEN,
        ("after", "limit", "tail", "step", "text"),
    ),
    Route(
        "get",
        f"{_ONE}/steps/{{step}}/result",
        OUTPUT,
        "What the attempts of a step said at their end",
        {200: "Results"},
        _SEEN,
        _PAGE,
        "",
        "With all of the data: of more than 2 KiB the deployment's document has only `result`, size and digest.",
    ),
    Route(
        "get",
        f"{_ONE}/events",
        OUTPUT,
        "States and output as they happen",
        {200: "text/event-stream"},
        _SEEN,
        ("resume", "lines"),
        "",
        "Events `state` (the whole deployment), `output` (one line), `skipped` (the first and the last number of lines that are "
        "left out for a viewer who is far behind) and, at last, `end`.",
    ),
    Route(
        "get",
        f"{_V1}/events",
        LIST,
        "What happens to all deployments, as it happens",
        {200: "text/event-stream"},
        _READ,
        ("place", "group", "kind", "type"),
        "",
        "Each event is a CloudEvents 1.0 document, of the schema `event`; its id is its place in the feed, at every front end. The event "
        "`reset` says that what happened between `last` and `now` is not kept any more, and `place` how far the feed was looked through.",
    ),
    Route("post", f"{_ONE}/cancel", OPERATE, "Cancel it", {202: "Asked"}, (*_SENT, 504), (), "?CancelRequest"),
    Route(
        "post",
        f"{_ONE}/retry",
        OPERATE,
        "Go on from what failed",
        {202: "Asked"},
        (*_SENT, 504),
        ("key",),
        "?RetryRequest",
        "`lost` says of the lost steps whether they succeeded or are run once more (`rerun`); the 409 of a retry that has "
        "to say it names them. `retries`, of the document that its author looked at: it is refused if that has changed.",
    ),
    Route(
        "post",
        f"{_ONE}/resolve",
        RESOLVE,
        "Resolve a step whose outcome is unknown and for which it waits",
        {202: "Asked"},
        (*_SENT, 504),
        ("key",),
        "ResolveRequest",
        "`attempt` is the one that its author looked at: the resolution is refused if the step was lost once more since.",
    ),
    Route(
        "post",
        f"{_ONE}/decide",
        RESOLVE,
        "The same under its name of version 0.1 (deprecated)",
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
        "Store a playbook under its group and name: as a new one, or as the next revision of the one that has them",
        {201: "Applied", 200: "Applied"},
        (*_SENT, 412),
        ("form", "if-match"),
        "playbook",
        "`done` says which; one that is the same already is left as it is. It may be repeated, also at the same time.",
    ),
    Route(
        "post",
        f"{_V1}/playbooks/validate",
        ANY_TOKEN,
        "Check a playbook, store nothing",
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
        "Its revisions, newest first",
        {200: "Playbooks"},
        _SEEN,
    ),
    Route("get", f"{_BOOK}/revisions/{{revision}}", SEE, "An old revision", {200: "Playbook"}, _SEEN, ("form",)),
    Route(
        "post", f"{_BOOK}/plan", SEE, "What would run, in order", {200: "Plan"}, _SENT, ("revision",), "?PlanRequest"
    ),
    Route("get", f"{_V1}/groups", LIST, "Groups that own playbooks", {200: "Groups"}, _READ),
    Route(
        "get",
        f"{_V1}/workers",
        LIST,
        "Workers that are running, and the steps that they offer",
        {200: "Workers"},
        _READ,
    ),
    Route(
        "get",
        f"{_V1}/deadletters",
        ENGINE_OPERATE,
        "Dead letters: messages that nobody could use",
        {200: "DeadLetters"},
        _READ,
        _PAGE,
    ),
    Route("get", f"{_V1}/deadletters/{{id}}", ENGINE_OPERATE, "A dead letter, whole", {200: "DeadLetter"}, _SEEN),
    Route("delete", f"{_V1}/deadletters/{{id}}", ENGINE_OPERATE, "Drop a dead letter", {204: ""}, _SEEN),
    Route(
        "get",
        "/metrics",
        Right(Verb.SEE, Over.ENGINE),
        "Figures for Prometheus",
        {200: "text/plain"},
        (401, 403, 503),
        (),
        "",
        "In the text format, version 0.0.4. They belong to no group: the token must reach all of them.",
    ),
    Route(
        "post",
        f"{_V1}/deadletters/{{id}}/replay",
        ENGINE_OPERATE,
        "Send it to its queue again",
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
    Route("post", f"{_V1}/tokens", ENGINE_ADMIN, "Make a token", {201: "NewToken"}, _SENT, ("key",), "TokenRequest"),
    Route("delete", f"{_V1}/tokens/{{id}}", ENGINE_ADMIN, "Revoke a token", {204: ""}, _SEEN),
)

OPEN = (
    Route("get", f"{_V1}/schemas", None, "Names of the JSON Schemas", {200: "Names"}, ()),
    Route("get", f"{_V1}/schemas/{{name}}", None, "A JSON Schema", {200: "Object"}, (404,)),
    Route("get", "/healthz", None, "Whether the process is alive", {200: "Alive"}, ()),
    Route("get", "/readyz", None, "Whether everything can be reached, and what not", {200: "Ready", 503: "Ready"}, ()),
    Route("get", "/openapi.json", None, "This document", {200: "Object"}, ()),
    Route("get", "/docs", None, "This document for people", {200: "text/html"}, ()),
    Route("get", "/", None, "Redirects to /docs", {302: ""}, ()),
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
        "How a deployment stands",
        {200: "V0Status", 202: "V0Status", 400: "V0Status", 404: "V0Status"},
        (401, 403, 503),
    ),
)
