"""What a notification is about, as values: the header `re-about` beside its text. Pure; must not know templates or transports.

The body of a notification is that of 2014 (docs/wire-format.md, Notification); a notifier that knows nothing of this header sends
that text. Whatever a header says is only shown: a part that cannot be read is left out, and the notification goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from re_core.wire.strict_json import dumps

#: the header
ABOUT = "re-about"

#: bytes of the header; a text in it that is longer than its share is cut
MOST = 8192

#: characters of one text, hosts that are named, last lines of a step, and characters of one of them
TEXT, HOSTS, LINES, LINE = 500, 10, 10, 200


class StepFacts(NamedTuple):
    """One step of the deployment."""

    number: int
    #: as people read it: `service:Restart on web1`
    name: str
    host: str = ""
    #: one of StepStatus
    status: str = ""
    message: str = ""
    #: the last of what it printed
    lines: tuple[str, ...] = ()


class Facts(NamedTuple):
    """What a notification is about. Empty fields: not known, or not so."""

    deployment: str = ""
    group: str = ""
    playbook: str = ""
    revision: int = 0
    user: str = ""
    #: one of DeploymentStatus, or of StepStatus where the notification is about a step
    outcome: str = ""
    #: milliseconds since the epoch: when it happened
    at: int = 0
    #: milliseconds that the deployment, or the step, has taken
    took: int | None = None
    #: the first hosts of the plan, and how many there are
    hosts: tuple[str, ...] = ()
    host_count: int = 0
    #: what the deployment was started with, for people: `version=1.4.2`
    values: str = ""
    #: the notification's own step, or the one that failed first
    step: StepFacts | None = None


#: of a notification without the header
NO_FACTS = Facts()


def link_to(url: str, deployment: str) -> str:
    """Where a deployment is shown, below the URL of the front end; empty where that is not known."""
    return f"{url.rstrip('/')}/api/v1/deployments/{quote(deployment, safe='')}" if url and deployment else ""


def write(facts: Facts) -> str:
    """The header: JSON of at most MOST bytes."""
    step = facts.step
    for lines in (LINES, 3, 0):
        short = _short(facts._replace(step=step and step._replace(lines=step.lines[-lines:] if lines else ())))
        text = dumps(short)
        if len(text.encode(errors="surrogatepass")) <= MOST:
            return text
    return dumps({"deployment": facts.deployment[:TEXT]})


def read(text: str) -> Facts:
    """The facts of a header; NO_FACTS where it is none."""
    if not text or len(text) > MOST:
        return NO_FACTS
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return NO_FACTS
    if not isinstance(found, dict):
        return NO_FACTS
    step = found.get("step")
    about: StepFacts | None = _read(StepFacts, step) if isinstance(step, dict) else None
    facts: Facts = _read(Facts, found)
    return facts._replace(step=about)


def _short(facts: Facts) -> dict[str, Any]:
    document = {
        name: _cut(value) for name, value in facts._asdict().items() if name != "step" and value not in ("", ())
    }
    if facts.step is not None:
        document["step"] = {name: _cut(value) for name, value in facts.step._asdict().items() if value not in ("", ())}
    return {name: value for name, value in document.items() if value is not None}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= TEXT else value[: TEXT - 1] + "…"
    if isinstance(value, tuple):
        return [one if len(one) <= LINE else one[: LINE - 1] + "…" for one in value[:LINES]]
    return value


def _read(kind: Any, document: Mapping[str, Any]) -> Any:
    """The named tuple of what has the type of its default; other values keep the default."""
    whole = kind(0, "") if kind is StepFacts else kind()
    found = {name: _typed(document.get(name), default) for name, default in whole._asdict().items() if name != "step"}
    return whole._replace(**{name: value for name, value in found.items() if value is not None})


def _typed(value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
        return tuple(value[:LINES]) if texts else None
    if isinstance(default, str):
        return value if isinstance(value, str) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
