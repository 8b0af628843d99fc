"""Made-up documents of the API."""

from __future__ import annotations

from typing import Any

from re_core.api.answers import Deployment, Line, PlaybookRow, Step

AT = "2026-11-22T12:00:{:06.3f}Z"


def step(number: int = 0, status: str = "pending", **more: Any) -> Step:
    """A step of that status; started at second `number`, ended half a second later."""
    begun, ended = status not in ("pending", "skipped"), status not in ("pending", "dispatched", "started", "skipped")
    found: dict[str, Any] = {
        "number": number,
        "name": "noop:Do",
        "kind": "step",
        "host": "foo.example.com",
        "sequence": 0,
        "label": "",
        "asks": False,
        "status": status,
        "attempt": 1,
        "worker": None,
        "dispatched": AT.format(number % 60) if begun else None,
        "started": AT.format(number % 60) if begun and status != "dispatched" else None,
        "ended": AT.format(number % 60 + 0.5) if ended else None,
        "message": None,
        "data": None,
    }
    return {**found, **more}  # type: ignore[typeddict-item]  # the keys are those of Step


def deployment(status: str = "running", *steps: Step, **more: Any) -> Deployment:
    """A deployment of these steps."""
    ended = AT.format(30) if status in ("completed", "failed", "cancelled") else None
    found: dict[str, Any] = {
        "id": "01DEPLOYMENT",
        "status": status,
        "group": "inception",
        "playbook_id": "p1",
        "playbook": "Simple playbook",
        "revision": 3,
        "exclusive": False,
        "dynamic": {},
        "user": "ann",
        "source": "127.0.0.1",
        "created": AT.format(0),
        "started": AT.format(0),
        "ended": ended,
        "duration": 30.0 if ended else None,
        "reason": "",
        "retries": 0,
        "stages": [],
        "steps": list(steps),
        "counts": {"completed": sum(one["status"] == "completed" for one in steps), "total": len(steps)},
        "links": {},
    }
    return {**found, **more}  # type: ignore[typeddict-item]  # the keys are those of Deployment


def line(number: int, text: str = "hello", step: int | None = 0) -> Line:
    """One line of output."""
    return {"number": number, "step": step, "host": "foo.example.com", "at": AT.format(number % 60), "text": text}


def playbook(id: str = "p1", name: str = "Simple playbook", group: str = "inception", revision: int = 1) -> PlaybookRow:
    """One row of the list of playbooks."""
    at = AT.format(0)
    return {"id": id, "group": group, "name": name, "revision": revision, "created": at, "updated": at, "user": "ann"}
