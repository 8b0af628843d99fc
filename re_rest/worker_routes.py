"""The rows of forest runners and of credentials of workers in the table of routes. Must not know how a route is served."""

from __future__ import annotations

from re_rest.rights import ENGINE_ADMIN, LIST
from re_rest.route import READ, SEEN, SENT, Route

_V1 = "/api/v1"

ROUTES = (
    Route("get", f"{_V1}/runners", LIST, "Forest runners, without their secrets", {200: "Runners"}, READ),
    Route(
        "post",
        f"{_V1}/runners",
        ENGINE_ADMIN,
        "Enroll a forest runner",
        {201: "NewRunner"},
        SENT,
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
        SENT,
        (),
        "RunnerChange",
    ),
    Route(
        "post",
        f"{_V1}/runners/{{id}}/revoke",
        ENGINE_ADMIN,
        "Revoke a forest runner",
        {200: "Runner"},
        SEEN,
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
        (*SEEN, 409),
    ),
    Route(
        "get",
        f"{_V1}/worker-credentials",
        ENGINE_ADMIN,
        "Credentials of workers, by name",
        {200: "WorkerCredentials"},
        READ,
    ),
    Route(
        "post",
        f"{_V1}/worker-credentials",
        ENGINE_ADMIN,
        "Add a credential of a worker",
        {201: "NewWorkerCredential"},
        (*SENT, 409),
        (),
        "WorkerCredentialRequest",
        "The engine stores the public half of the key alone. The answer says what a user of the worker's own at RabbitMQ needs.",
    ),
    Route(
        "post",
        f"{_V1}/worker-credentials/{{id}}/revoke",
        ENGINE_ADMIN,
        "Revoke a credential of a worker",
        {200: "WorkerCredential"},
        SEEN,
        (),
        "",
        "Nothing is granted for it from then on. What was granted before goes on, and its outcome counts.",
    ),
    Route(
        "delete",
        f"{_V1}/worker-credentials/{{id}}",
        ENGINE_ADMIN,
        "Delete a revoked credential of a worker",
        {204: ""},
        (*SEEN, 409),
    ),
)
