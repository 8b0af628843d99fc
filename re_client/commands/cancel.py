"""`rectl cancel`."""

from __future__ import annotations

import click

from re_client import lookup, watching
from re_client.errors import DONE, NOT_COMPLETED
from re_client.session import Session, json_option, pass_session
from re_core.model import DeploymentStatus


@click.command(short_help="Cancel a deployment.")
@click.argument("id")
@click.option("--reason", default="", metavar="TEXT", help="The reason, kept in the deployment's history.")
@click.option("--wait", is_flag=True, help="Return when the deployment has ended.")
@json_option
@pass_session
def cancel(session: Session, id: str, reason: str, wait: bool, as_json: bool) -> int:
    """Cancel a deployment: running steps are stopped, no new step starts.

    With --wait the exit code is 0 if the deployment was cancelled, 1 if it ended in another way.
    """
    found = lookup.deployment(session.client, id, session.terminal.note)["id"]
    answer = session.client.cancel(found, reason)
    if wait:
        watching.follow(session.client, found, session.terminal, watching.Way.WAIT, as_json)
        return DONE if session.client.deployment(found)["status"] == DeploymentStatus.CANCELLED else NOT_COMPLETED
    if as_json:
        session.terminal.json(answer)
    else:
        session.terminal.line(f"{found} is being cancelled")
    return DONE
