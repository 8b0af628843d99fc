"""Alive, and ready. Must not know what the parts are: it shows what they report."""

from __future__ import annotations

from flask import Blueprint, Response

from re_rest.app_context import services
from re_rest.responses import json_answer

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def alive() -> Response:
    return json_answer({"status": "alive"})


@blueprint.get("/readyz")
def ready() -> Response:
    parts = services().ready()
    checks = {name: why or "ok" for name, why in parts.items()}
    less = dict(services().degraded())
    more = {"degraded": less} if less else {}
    if any(parts.values()):
        return json_answer({"status": "not ready", "checks": checks, **more}, 503, {"Retry-After": "2"})
    return json_answer({"status": "ready", "checks": checks, **more})
