"""`rectl workers` and `rectl groups`."""

from __future__ import annotations

import click

from re_client.session import Session, json_option, pass_session
from re_client.text import clock


@click.command(short_help="List the workers that live.")
@json_option
@pass_session
def workers(session: Session, as_json: bool) -> None:
    """List the workers that live and the steps that they offer."""
    found = session.client.workers()
    if as_json:
        session.terminal.json(found)
        return
    rows = [
        (
            one["id"],
            f"{len(one.get('running', ()))}/{one.get('slots', '?')}",
            clock(one.get("seen")),
            ", ".join(sorted(one.get("offers", ()))),
        )
        for one in found
    ]
    session.terminal.table(("id", "busy", "seen", "offers"), rows, "No workers live.")


@click.command()
@json_option
@pass_session
def groups(session: Session, as_json: bool) -> None:
    """List the groups that own playbooks."""
    found = session.client.groups()
    if as_json:
        session.terminal.json(found)
        return
    session.terminal.table(("group", "playbooks"), [(one["name"], one["count"]) for one in found], "No groups.")
