"""`rectl resolve`."""

from __future__ import annotations

import click

from re_client import lookup, words
from re_client.errors import DONE, BadInput
from re_client.session import Session, json_option, pass_session
from re_core.api.answers import Deployment, Step
from re_core.model import Resolution


@click.command(short_help="Resolve a lost step for which a deployment waits.")
@click.argument("id")
@click.argument("step", metavar="[STEP]")
@click.argument("resolution", metavar="succeeded|rerun|failed", required=False)
@click.option("--reason", default="", metavar="TEXT", help="The reason, kept in the deployment's history.")
@json_option
@pass_session
def resolve(session: Session, id: str, step: str, resolution: str | None, reason: str, as_json: bool) -> int:
    """Resolve a lost step: the outcome of the step is unknown, and the deployment waits (the setting `lost_steps: ask`).

    STEP is the step's number in `rectl status`; if only one step waits, omit it. succeeded: the deployment continues after the step.
    rerun: the step gets a new attempt. failed: the deployment fails.

    \b
    rectl resolve 01M82000000000000000000001 3 succeeded --reason "the service runs 1.4.2"
    """
    number, word = (None, step) if resolution is None else (step, resolution)
    try:
        said = Resolution(word)
    except ValueError:
        raise BadInput(f"expected {', '.join(Resolution)}, found {word!r}") from None
    found = lookup.deployment(session.client, id, session.terminal.note)
    step_meant = _chosen_step(found, number)
    answer = session.client.resolve(found["id"], step_meant["number"], said, step_meant["attempt"], reason)
    if as_json:
        session.terminal.json(answer)
    else:
        session.terminal.line(f"{words.place(step_meant)}: {said}")
    return DONE


def _chosen_step(found: Deployment, number: str | None) -> Step:
    """The step that waits. Raises BadInput where that one does not, or where it is not clear which one is meant."""
    waiting = words.asking(found)
    if number is None:
        fitting = waiting if len(waiting) == 1 else []
        problem = f"{len(waiting)} steps wait for a resolution; name one:" if waiting else ""
    else:
        fitting = [step for step in waiting if str(step["number"]) == number]
        problem = f"step {number} does not wait for a resolution; these do:"
    if fitting:
        return fitting[0]
    todo = [f"  {line}" for line in words.todo(found)]
    nothing = f"no step of this deployment waits for a resolution; the deployment is {found['status']}"
    raise BadInput("\n".join([problem if waiting else nothing, *todo]))
