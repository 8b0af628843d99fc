"""`rectl notifications`: what was sent, to whom, and what failed."""

from __future__ import annotations

from collections.abc import Iterator

import click

from re_client import lookup
from re_client.session import Session, json_option, pass_session
from re_client.text import day
from re_core.api.answers import NotificationRow


@click.command(short_help="List notifications that were sent or failed.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), metavar="N", help="Show the newest N.")
@click.option("--group", default="", help="Only those of this group.")
@click.option("--deployment", default="", metavar="ID", help="Only those of this deployment.")
@click.option("--transport", default="", help="Only those of this transport, such as email.")
@click.option("--failed", is_flag=True, help="Only those that were not delivered.")
@json_option
@pass_session
def notifications(
    session: Session, limit: int, group: str, deployment: str, transport: str, failed: bool, as_json: bool
) -> None:
    """List notifications, newest first: when, by which transport and to whom, and why one failed.

    The list has the newest 10 000 of the last 30 days. One that failed is a dead letter too: `rectl deadletters replay` sends it
    again.
    """
    if deployment:
        deployment = lookup.deployment(session.client, deployment, session.terminal.note)["id"]
    rows = session.client.notifications(limit, group, deployment, "failed" if failed else "", transport)
    session.terminal.listing(
        as_json,
        rows,
        ("at", "transport", "to", "outcome", "slug", "why"),
        lambda row: list(_lines(row)),
        "No notifications.",
        spare=("at",),
    )


def _lines(row: NotificationRow) -> Iterator[tuple[str, str, str, str, str, str]]:
    outcome: str = row["outcome"]
    if row["tries"] > 1:
        outcome += f" ({row['tries']} tries)"
    if row["together"]:
        outcome += f" (one of {row['together']})"
    yield day(row["at"]), row["transport"], ", ".join(row["target"]), outcome, row["slug"], row["why"]
