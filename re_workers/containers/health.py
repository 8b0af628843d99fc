"""Whether a container does its work. Must not know why that is asked."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from re_workers.containers.engine import Engine
from re_workers.context import Context
from re_workers.lines import Lines
from re_workers.outcomes import Failed

#: seconds between two looks
LOOK = 0.5
#: last lines of a container that a failure repeats, and characters of what its check said
LAST_LINES, MOST_SAID = 20, 500


def await_healthy(ctx: Context, engine: Engine, name: str, seconds: float, steady: float) -> str:
    """Wait until its own check finds it healthy, or, where it has none, until it has run for `steady` seconds; which of both.

    Raises Failed, with its last lines, where it has ended, starts again and again, or is not healthy in time; Cancelled.
    """
    until = time.monotonic() + seconds
    since: tuple[str, float] | None = None
    while True:
        found = engine.found(name)
        if found is None:
            raise Failed(f"{name} is not there any more: it was removed meanwhile", {"kind": "gone"})
        state = found.get("State") or {}
        health = _checked(engine, name, state)
        if problem := _ended(state, health):
            raise unwell(ctx, engine, name, problem, state)
        began = str(state.get("StartedAt", ""))
        if since is None or since[0] != began:  # it may have been started again
            since = began, time.monotonic()
        if state.get("Running") and (health == "healthy" or (not health and time.monotonic() - since[1] >= steady)):
            return health or "running"
        if time.monotonic() >= until:
            words = f"is {health or state.get('Status', 'unknown')} after {seconds:g} s"
            raise unwell(ctx, engine, name, words, state)
        ctx.wait(LOOK)


def _checked(engine: Engine, name: str, state: Any) -> str:
    """What its check says; empty where it has none."""
    health = state.get("Health") or {}
    said = str(health.get("Status") or "")
    if said in ("", "none"):
        return ""
    if said == "starting" and engine.is_podman and state.get("Running"):
        # podman leaves checks to systemd's timers, and checks at once when it is asked
        with contextlib.suppress(Failed), engine.errors():
            engine.api.get(f"{engine.api.base_url}/v4.0.0/libpod/containers/{name}/healthcheck", timeout=60)
    return said


def _ended(state: Any, health: str) -> str:
    status = str(state.get("Status", ""))
    if status in ("exited", "dead", "stopped"):
        return f"has ended with exit code {state.get('ExitCode')}"
    if status == "restarting":
        return f"has ended with exit code {state.get('ExitCode')}, and is started again and again"
    return "is not healthy" if health == "unhealthy" else ""


def unwell(ctx: Context, engine: Engine, name: str, problem: str, state: Any) -> Failed:
    """With its last lines in the output."""
    last = last_lines(engine, name)
    for line in last:
        ctx.output(f"{name}: {line}")
    checks = (state.get("Health") or {}).get("Log") or []
    said = " ".join(str(checks[-1].get("Output", "")).split())[:MOST_SAID] if checks else ""
    reason = f": its check says {said}" if said else f": {last[-1]}" if last else ""
    return Failed(f"{name} {problem}{reason}", {"kind": "unhealthy", "output": last})


def last_lines(engine: Engine, name: str, count: int = LAST_LINES) -> list[str]:
    """The last lines that it has printed; none where its engine keeps none."""
    try:
        with engine.errors():
            said = engine.api.logs(name, stdout=True, stderr=True, tail=count)
    except Failed:
        return []
    lines = Lines()
    return [*lines.feed(said), *lines.end()]
