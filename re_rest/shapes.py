"""The documents that HTTP answers with, and the bodies that only HTTP knows, as JSON Schema. Must not know routes."""

from __future__ import annotations

from typing import Any

from re_core.deployment.plan import StepKind
from re_core.model import DeploymentStatus, Resolution, StepStatus
from re_core.wire.messages import PHASES
from re_rest.bodies import MAX_NUMBER, MAX_TEXT

#: one JSON Schema
Shape = dict[str, Any]

TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "integer"}
FLAG: Shape = {"type": "boolean"}
TIME: Shape = {"type": "string", "format": "date-time"}
ANY: Shape = {}
OBJECT: Shape = {"type": "object"}


def maybe(shape: Shape) -> Shape:
    """That, or null."""
    return {"anyOf": [shape, {"type": "null"}]}


def many(shape: Shape) -> Shape:
    """A list of those."""
    return {"type": "array", "items": shape}


def ref(name: str) -> Shape:
    """A component by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(optional: Shape | None = None, /, **required: Shape) -> Shape:
    """An object with exactly these keys; those of `optional` may be missing."""
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def page(shape: Shape) -> Shape:
    """A page of a list."""
    return closed(items=many(shape), next=maybe(TEXT))


_PLACE = {
    "number": NUMBER,
    "name": TEXT,
    "kind": {"enum": [*StepKind]},
    "host": maybe(TEXT),
    "sequence": maybe(NUMBER),
    "label": TEXT,
}
_RESULT = {"size": NUMBER, "digest": TEXT, "cut": FLAG, "inline": FLAG}
_PLAYBOOK = {
    "id": TEXT,
    "group": TEXT,
    "name": TEXT,
    "revision": NUMBER,
    "created": TIME,
    "updated": TIME,
    "user": TEXT,
}
_LETTER = {"id": TEXT, "queue": TEXT, "reason": TEXT, "detail": TEXT, "by": TEXT, "at": TIME, "size": NUMBER}
_TOKEN = {
    "id": TEXT,
    "user": TEXT,
    "groups": maybe(many(TEXT)),
    "admin": FLAG,
    "notify": FLAG,
    "created": TIME,
    "expires": maybe(TIME),
    "used": maybe(TIME),
}
_LINKS = closed(
    {"retry": TEXT, "resolve": TEXT, "decide": TEXT}, self=TEXT, journal=TEXT, output=TEXT, events=TEXT, cancel=TEXT
)


def _words(*resolutions: Resolution) -> list[str]:
    """Each by its word, then by that of version 0.1."""
    return [*resolutions, *(one.recorded for one in resolutions)]


#: components of version 1
V1: dict[str, Shape] = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457. `errors` has a part for everything that is wrong with a body; `id` is the id "
        "that was minted for a deployment whose fate is not known, `deployment` that of one which stands in the way.",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": TEXT,
            "status": NUMBER,
            "detail": TEXT,
            "request_id": TEXT,
            "errors": many(ref("Fault")),
            "id": TEXT,
            "deployment": TEXT,
        },
    },
    "Fault": closed({"line": NUMBER, "column": maybe(NUMBER)}, path=TEXT, message=TEXT),
    "Links": _LINKS,
    "Created": closed(id=TEXT, status={"const": "accepted"}, links=_LINKS, warnings=many(ref("Fault"))),
    "Asked": closed(id=TEXT, links=_LINKS),
    "DeploymentStatus": {"enum": [*DeploymentStatus]},
    "Step": closed(
        **_PLACE,
        asks=FLAG,
        status={"enum": [*StepStatus]},
        attempt=NUMBER,
        worker=maybe(TEXT),
        dispatched=maybe(TIME),
        started=maybe(TIME),
        ended=maybe(TIME),
        message=maybe(TEXT),
        data=ANY,
        result=maybe(closed(**_RESULT, href=TEXT)),
    ),
    "Results": page(
        closed(
            attempt=NUMBER,
            said={"enum": [StepStatus.COMPLETED, StepStatus.FAILED]},
            late=FLAG,
            at=TIME,
            message=maybe(TEXT),
            data=ANY,
            result=maybe(closed(**_RESULT)),
        )
    ),
    "Deployment": closed(
        id=TEXT,
        status=ref("DeploymentStatus"),
        group=TEXT,
        playbook_id=TEXT,
        playbook=TEXT,
        revision=NUMBER,
        exclusive=FLAG,
        dynamic=OBJECT,
        user=TEXT,
        source=TEXT,
        created=TIME,
        started=maybe(TIME),
        ended=maybe(TIME),
        duration=maybe({"type": "number"}),
        reason=TEXT,
        retries=NUMBER,
        stages=many(TEXT),
        steps=many(ref("Step")),
        counts=closed(completed=NUMBER, total=NUMBER),
        links=_LINKS,
    ),
    "DeploymentRow": closed(
        id=TEXT,
        status=ref("DeploymentStatus"),
        group=TEXT,
        playbook_id=TEXT,
        playbook=TEXT,
        revision=maybe(NUMBER),
        dynamic=maybe(OBJECT),
        user=TEXT,
        created=TIME,
        ended=maybe(TIME),
        done=NUMBER,
        total=NUMBER,
        step=TEXT,
        reason=TEXT,
    ),
    "Deployments": page(ref("DeploymentRow")),
    "Journal": page(closed(number=NUMBER, v=NUMBER, at=TIME, writer=TEXT, records=many(OBJECT))),
    "Line": closed(number=NUMBER, step=maybe(NUMBER), host=maybe(TEXT), at=TIME, text=TEXT),
    "Output": closed(lines=many(ref("Line")), next=maybe(NUMBER)),
    "PlaybookRow": closed(**_PLAYBOOK),
    "Applied": closed({}, **_PLAYBOOK, document=OBJECT, warnings=many(ref("Fault")), done=TEXT),
    "Playbook": closed({"warnings": many(ref("Fault"))}, **_PLAYBOOK, document=OBJECT),
    "Playbooks": page(ref("PlaybookRow")),
    "Verdict": closed(valid=FLAG, errors=many(ref("Fault")), warnings=many(ref("Fault"))),
    "Plan": closed(
        stages=many(TEXT),
        steps=many(closed(**_PLACE, parameters=OBJECT, timeout={"type": "number"}, idempotent=FLAG, retries=NUMBER)),
        dynamic=closed(required=many(TEXT), missing=many(TEXT)),
        warnings=many(ref("Fault")),
    ),
    "Groups": page(closed(name=TEXT, count=NUMBER)),
    "Workers": page(closed(id=TEXT, slots=NUMBER, busy=NUMBER, offers=OBJECT, running=many(TEXT), seen=TIME)),
    "DeadLetters": page(closed(**_LETTER)),
    "DeadLetter": closed(**_LETTER, properties=OBJECT, text=maybe(TEXT), body=TEXT),
    "Replayed": closed(id=TEXT, queue=TEXT),
    "Sent": closed(id=TEXT),
    "Tokens": page(closed(**_TOKEN)),
    "NewToken": closed(**_TOKEN, token=TEXT),
    "Names": page(TEXT),
    "Alive": closed(status={"const": "alive"}),
    "Ready": closed(
        {"degraded": {"type": "object", "additionalProperties": TEXT}},
        status={"enum": ["ready", "not ready"]},
        checks={"type": "object", "additionalProperties": TEXT},
    ),
    "Object": OBJECT,
}

_SHORT_TEXT = {"type": "string", "maxLength": MAX_TEXT}
_WHOLE = {"type": "integer", "maximum": MAX_NUMBER}
_NAME = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": "^[A-Za-z0-9._ -]*[A-Za-z0-9]$"}

#: components: what is sent
SENT: dict[str, Shape] = {
    "DeploymentRequest": {
        "oneOf": [
            ref("deployment"),
            closed(
                {"group": TEXT, "dynamic": OBJECT, "source_ip": TEXT, "user_id": TEXT},
                playbook={
                    "type": "string",
                    "pattern": "^[^/]+/",
                    "description": "Group and name, as `group/name`, in place of `playbook_id`; `group` is that one then.",
                },
            ),
        ]
    },
    "CancelRequest": closed({"reason": _SHORT_TEXT}),
    "RetryRequest": closed(
        {
            "reason": _SHORT_TEXT,
            "lost": {"enum": _words(Resolution.SUCCEEDED, Resolution.RERUN)},
            "retries": {**_WHOLE, "minimum": 0},
        }
    ),
    "ResolveRequest": closed(
        {"reason": _SHORT_TEXT, "attempt": {**_WHOLE, "minimum": 1}},
        step={**_WHOLE, "minimum": 0},
        resolution={"enum": _words(*Resolution)},
    ),
    "DecideRequest": closed(
        {"reason": _SHORT_TEXT, "attempt": {**_WHOLE, "minimum": 1}},
        step={**_WHOLE, "minimum": 0},
        ruling={"enum": _words(*Resolution)},
    ),
    "PlanRequest": closed({"dynamic": OBJECT}),
    "TokenRequest": closed(
        {
            "groups": maybe(many(_NAME)),
            "admin": FLAG,
            "notify": FLAG,
            "expires": {**_SHORT_TEXT, "description": "`never`, `90d`, `12h` or a time; 90 days if nothing is said"},
        },
        user=_NAME,
    ),
    "NotificationRequest": closed(
        transport={"type": "string", "pattern": "^[A-Za-z0-9_]{1,40}$"},
        slug={"type": "string", "maxLength": 80},
        message=TEXT,
        phase={"enum": [*PHASES]},
        target=many(TEXT),
    ),
}

#: components of version 0 (contract, section 9)
V0: dict[str, Shape] = {
    "V0Error": {"type": "object", "required": ["status"], "properties": {"status": TEXT, "message": TEXT, "id": TEXT}},
    "V0Groups": closed(status={"const": "ok"}, items=many(closed(name=TEXT, count=NUMBER))),
    "V0Playbooks": closed(status={"const": "ok"}, items=many(OBJECT)),
    "V0Playbook": closed(status={"const": "ok"}, item=OBJECT),
    "V0Created": closed(status={"const": "created"}, id=TEXT),
    "V0Replaced": closed(status={"const": "ok"}, id=TEXT),
    "V0Gone": closed(status={"const": "gone"}),
    "V0Status": {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {"enum": ["completed", "in progress", "failed", "not found", "bad request"]},
            "message": TEXT,
            "created": TEXT,
            "deployment": TEXT,
            "duration": NUMBER,
            "ended": TEXT,
            "active_step": TEXT,
            "failed_step": TEXT,
        },
    },
}
