"""Texts about steps and deployments: where one stands, and what an operator can do next. Pure; must not know who shows them.

A command stands on a line of its own and does one thing, so that it can be pasted into a shell as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from re_client.text import safe
from re_core.api.answers import Deployment, DeploymentRow, Step, StepPlace
from re_core.deployment.plan import StepKind
from re_core.model import Resolution, StepStatus

#: `kind` of the data of a failed step whose host was not reached by what the inventory says of it
_OF_WAY = frozenset({"bad-host", "login", "unreachable"})

#: steps with a large result that are named one by one
LISTED = 10

#: resolution -> when it is the right one
_MEANINGS = {
    Resolution.SUCCEEDED: "the step was carried out",
    Resolution.RERUN: "it was not, or running it twice does no harm",
    Resolution.FAILED: "let the deployment fail",
}


def values(document: Deployment | DeploymentRow) -> list[str]:
    """`version=1.4.2`, one for each value that the deployment was started with; an older engine does not say."""
    given = document.get("dynamic") or {}
    return [f"{safe(name)}={safe(one if isinstance(one, str) else json.dumps(one))}" for name, one in given.items()]


def name(step: StepPlace) -> str:
    """Command and subcommand, and what the playbook calls it."""
    label = f" ({safe(step['label'])})" if step["label"] else ""
    return safe(step["name"]) + label


def place(step: StepPlace) -> str:
    """`step 3 service:Restart on foo.example.com`."""
    return f"step {step['number']} {name(step)}" + (f" on {safe(step['host'])}" if step["host"] else "")


def asking(document: Deployment) -> list[Step]:
    """The steps about which the deployment waits for a resolution."""
    return [step for step in document["steps"] if step.get("asks")]


def unclear(document: Deployment) -> list[Step]:
    """The steps about which a retry of the deployment has to say something."""
    if not can_be_retried(document):
        return []
    return [step for step in document["steps"] if step["status"] == StepStatus.LOST and step["kind"] != StepKind.ACTION]


def can_be_retried(document: Deployment) -> bool:
    """Whether it has failed and may go on."""
    return "retry" in document["links"]


def question(document: Deployment, step: Step) -> list[str]:
    """What is asked about a step, and the commands that answer."""
    id, number = safe(document["id"]), step["number"]
    return [_doubt(step), *_commands(f"rectl resolve {id} {number}", tuple(Resolution))]


def todo(document: Deployment) -> list[str]:
    """What an operator can do so that it goes on; nothing where it goes on by itself, or never."""
    asked, id = asking(document), safe(document["id"])
    if asked:
        return [line for step in asked for line in question(document, step)]
    if not can_be_retried(document):
        return []
    lost = unclear(document)
    if not lost:
        return [f"continue from the failed steps:  rectl retry {id}", *_of_inventory(document)]
    return [*map(_doubt, lost), *_commands(f"rectl retry {id} --lost", (Resolution.SUCCEEDED, Resolution.RERUN))]


def results(document: Deployment) -> list[str]:
    """Where the results are that are too large for this document."""
    large = [step for step in document["steps"] if (found := step.get("result")) and not found["inline"]]
    id = safe(document["id"])
    lines = [f"result of {place(step)}, {_size(step)}:  rectl result {id} {step['number']}" for step in large[:LISTED]]
    rest = len(large) - LISTED
    return [*lines, f"and {rest} more steps have large results"] if rest > 0 else lines


def _of_inventory(document: Deployment) -> list[str]:
    """What a retry does not see, where a host was not reached: a person who has mended the inventory would meet the same failure."""
    kinds = [step["data"].get("kind") for step in document["steps"] if isinstance(step.get("data"), dict)]
    if not _OF_WAY.intersection(kinds):
        return []
    return [
        "a retry reaches hosts as the inventory was at the start; if you change the inventory, deploy again instead"
    ]


def _size(step: Step) -> str:
    found = step.get("result")
    return f"{-(-found['size'] // 1024)} KiB" if found else ""


def _doubt(step: Step) -> str:
    return f"{place(step)} is lost: its outcome is unknown. Find it out, then:"


def _commands(begin: str, resolutions: Sequence[Resolution]) -> list[str]:
    longest = max(map(len, resolutions))
    return [f"  {begin} {one:<{longest}}  # {_MEANINGS[one]}" for one in resolutions]
