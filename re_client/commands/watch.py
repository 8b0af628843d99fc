"""`rectl watch`."""

from __future__ import annotations

import click

from re_client import lookup, watching
from re_client.session import Session, json_option, pass_session


@click.command(short_help="Show a deployment until it ends.")
@click.argument("id")
@json_option
@pass_session
def watch(session: Session, id: str, as_json: bool) -> int:
    """Show a deployment until it ends; the exit code is 0 if it completed, else 1. Ctrl-C stops the display, not the deployment.

    Into a pipe: one line per change. With --json: one object per event.
    """
    found = lookup.deployment(session.client, id, session.terminal.note)["id"]
    return watching.follow(session.client, found, session.terminal, as_json=as_json)
