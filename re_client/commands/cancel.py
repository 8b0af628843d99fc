"""`rectl cancel`."""

from __future__ import annotations

import click

from re_client import lookup, watching
from re_client.errors import DONE, NOT_COMPLETED
from re_client.session import Session, json_option, pass_session
from re_core.model import DeploymentStatus


@click.command(short_help="Ask a deployment to stop.")
@click.argument("id")
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads its history.")
@click.option("--wait", is_flag=True, help="Return when it has ended.")
@json_option
@pass_session
def cancel(session: Session, id: str, reason: str, wait: bool, as_json: bool) -> int:
    """Ask a deployment to stop: what runs is stopped, nothing new begins.

    With --wait the exit code is 0 where it was cancelled, 1 where it ended in another way.
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
