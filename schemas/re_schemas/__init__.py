"""What travels, as JSON Schemas (2020-12), one file per message, each with good and bad examples.

Must not know anything of the engine: other programs may read these files too. Nothing is read at import. The
schemas use annotations of ours: `x-expected`, `x-expected-type`, `x-misplaced` and `x-rule` help to word an error, and the
formats `re-group`, `re-name` and `re-host` ask for what a pattern cannot say portably; re_core.playbook.json_schema knows them.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, NamedTuple

_NAMES = (
    "action",
    "cdpm-file",
    "cdpm-key-rotated",
    "cdpm-new-release",
    "cdpm-node",
    "cdpm-open",
    "cdpm-received",
    "cdpm-subscribe",
    "cdpm-subscribed",
    "cdpm-unsubscribe",
    "cdpm-vote",
    "cdpm-vote-answer",
    "check",
    "deployment",
    "deployment-response",
    "dploy-app-build-request",
    "dploy-app-release",
    "dploy-broadcast-message",
    "dploy-build-request",
    "dploy-env-vars",
    "dploy-zone-deploy-order",
    "dploy-zone-stop-deploy",
    "event",
    "heartbeat",
    "inventory",
    "notification",
    "notify-route",
    "notify-templates",
    "output",
    "phase-notification",
    "playbook",
    "reply",
    "step",
    "trigger",
)


class Example(NamedTuple):
    """A document that a schema accepts, or one that it refuses."""

    #: the file's name without its ending: `minimal`, `full` or `broken-<what>`
    name: str
    document: Any
    #: JSON pointer at which the error is reported; None for a good example
    path: str | None = None
    #: why it is refused; empty for a good example
    why: str = ""


def names() -> tuple[str, ...]:
    """The names of all schemas, sorted."""
    return _NAMES


def load(name: str) -> dict[str, Any]:
    """A fresh copy of a schema. Raises KeyError for a name that is not in names()."""
    schema: dict[str, Any] = json.loads(_text(name, f"{name}.json"))
    return schema


def examples(name: str) -> list[Example]:
    """All examples of a schema, sorted by name. Raises KeyError for a name that is not in names()."""
    _known(name)
    folder = resources.files(__name__) / "examples" / name
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json"))
    return [_example(name, file) for file in files]


def _example(name: str, file: str) -> Example:
    content = json.loads(_text(name, f"examples/{name}/{file}"))
    stem = file.removesuffix(".json")
    if not stem.startswith("broken-"):
        return Example(stem, content)
    return Example(stem, content["document"], content["path"], content["why"])


def _text(name: str, path: str) -> str:
    _known(name)
    return resources.files(__name__).joinpath(path).read_text(encoding="utf-8")


def _known(name: str) -> None:
    # a name may come out of a URL: it never reaches the file system unless it is one of ours
    if name not in _NAMES:
        raise KeyError(name)
