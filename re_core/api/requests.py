"""The bodies of version 1. Must not know how they are checked.

Playbooks and requests for a deployment travel the bus as well and have JSON Schemas (re_schemas).
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from re_core.api.fields import (
    MAX_TEXT,
    Elsewhere,
    Expected,
    Flag,
    Name,
    Rules,
    Schema,
    ShortText,
    Was,
    whole,
)
from re_core.model import Resolution
from re_core.wording import one_of


def _resolutions(*known: Resolution) -> tuple[Schema, Expected]:
    """One of these, by its name or by that of version 0.1."""
    new, old = [one.value for one in known], [one.recorded for one in known]
    return Schema(anyOf=[{"enum": new}, {"enum": old, "deprecated": True}]), Expected(one_of(new))


class ByName(TypedDict):
    """A request for a deployment that names the playbook."""

    playbook: Annotated[str, Rules(pattern="^[^/]+/"), "`group/name`, instead of `playbook_id` and `group`"]
    group: NotRequired[str]
    dynamic: NotRequired[Annotated[dict[str, Any], "the dynamic values"]]
    source_ip: NotRequired[str]
    user_id: NotRequired[str]


class CancelRequest(TypedDict):
    """Cancel a deployment."""

    reason: NotRequired[ShortText]


class RetryRequest(TypedDict):
    """Continue a failed deployment."""

    reason: NotRequired[ShortText]
    lost: NotRequired[
        Annotated[
            str,
            *_resolutions(Resolution.SUCCEEDED, Resolution.RERUN),
            "the resolution of its lost steps; required if it has lost steps",
        ]
    ]
    retries: NotRequired[
        Annotated[
            int,
            *whole(0, "a whole number of at least 0"),
            "`retries` of the deployment's document that the operator read; the request is refused if it has changed",
        ]
    ]


class ResolveRequest(TypedDict):
    """Resolve a lost step for which a deployment waits."""

    step: Annotated[int, *whole(0, "the number of a step")]
    resolution: Annotated[str, *_resolutions(*Resolution), Was("ruling"), "the outcome of the step, or `rerun`"]
    attempt: NotRequired[
        Annotated[
            int,
            *whole(1, "the number of an attempt, from 1"),
            "`attempt` of the step that the operator read; the request is refused if it has changed",
        ]
    ]
    reason: NotRequired[ShortText]


class PlanRequest(TypedDict):
    """Dynamic values of a plan."""

    dynamic: NotRequired[Annotated[dict[str, Any], Expected("an object")]]


class TokenRequest(TypedDict):
    """A token to create."""

    user: Name
    groups: NotRequired[
        Annotated[
            list[Name] | None,
            Expected("null for all groups, or a list of names"),
            "the groups that it may access; null: all",
        ]
    ]
    admin: NotRequired[Annotated[Flag, "whether it may create and revoke tokens"]]
    notify: NotRequired[Annotated[Flag, "whether it may send notifications"]]
    expires: NotRequired[
        Annotated[
            str,
            Rules(maxLength=MAX_TEXT),
            Expected("never, days or hours such as 90d or 12h, or a time"),
            "`never`, `90d`, `12h` or a time; 90 days if omitted",
        ]
    ]


#: number of releases at once of a runner
Parallel = Annotated[int, Rules(minimum=1, maximum=100), Expected("a whole number from 1 to 100")]


class RunnerRequest(TypedDict):
    """A forest runner to enroll."""

    name: Annotated[
        str,
        Rules(pattern="^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_-])?$", format="re-line"),
        Expected("1 to 64 letters, digits, _, . and -, beginning with a letter or digit and not ending with a dot"),
    ]
    parallel: NotRequired[Annotated[Parallel, "number of releases that it is given at once; 1 if omitted"]]


class RunnerChange(TypedDict):
    """What can be changed of a runner."""

    parallel: Annotated[Parallel, "number of releases that it is given at once"]


class SecretRequest(TypedDict):
    """The value of a secret."""

    value: Annotated[str, Rules(maxLength=65_536), Expected("a string"), "the value; no answer contains it"]


class NotificationRequest(TypedDict):
    """A notification to send."""

    transport: Annotated[
        str,
        Rules(pattern="^[A-Za-z0-9_]{1,40}$", format="re-line"),
        Expected("the name of a transport: letters, digits and _"),
    ]
    slug: Annotated[str, Elsewhere("notification", "slug")]
    message: Annotated[str, Elsewhere("notification", "message")]
    phase: Annotated[str, Elsewhere("notification", "phase")]
    target: Annotated[list[str], Elsewhere("notification", "target")]


#: names of components of OpenAPI, and what they are
COMPONENTS: dict[str, Any] = {
    **{
        kind.__name__: kind
        for kind in (
            CancelRequest,
            RetryRequest,
            ResolveRequest,
            PlanRequest,
            TokenRequest,
            RunnerRequest,
            RunnerChange,
            SecretRequest,
            NotificationRequest,
            ByName,
        )
    },
    "DeploymentRequest": Annotated[
        dict[str, Any],
        Schema(oneOf=[{"$ref": f"#/components/schemas/{name}"} for name in ("deployment", "ByName")]),
    ],
}
