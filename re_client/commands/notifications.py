"""`rectl notifications`: what was sent, to whom, and what failed; who would hear of what; and a notification to try a target."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from re_client import lookup
from re_client.errors import BadInput, NotDelivered
from re_client.session import Session, json_option, pass_session
from re_client.text import day
from re_core.api.notifications import NotificationRow, NotificationTargets

#: seconds between two looks at whether a test was delivered
LOOK = 0.5

#: notifications that one look looks at
NEWEST = 100


@click.group(invoke_without_command=True, short_help="List notifications; show who hears; try a target.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), metavar="N", help="Show the newest N.")
@click.option("--group", default="", help="Only those of this group.")
@click.option("--deployment", default="", metavar="ID", help="Only those of this deployment.")
@click.option("--transport", default="", help="Only those of this transport, such as email.")
@click.option("--failed", is_flag=True, help="Only those that were not delivered.")
@json_option
@pass_session
@click.pass_context
def notifications(
    context: click.Context,
    session: Session,
    limit: int,
    group: str,
    deployment: str,
    transport: str,
    failed: bool,
    as_json: bool,
) -> None:
    """List notifications, newest first: when, by which transport and to whom, and why one failed.

    The list has the newest 10 000 of the last 30 days. One that failed is a dead letter too: `rectl deadletters replay` sends it
    again.
    """
    if context.invoked_subcommand is not None:
        return
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


@notifications.command(short_help="Show who hears of a playbook's deployments.")
@click.argument("playbook", metavar="GROUP/PLAYBOOK")
@click.option("--environment", multiple=True, metavar="NAME", help="An environment of its steps; may be repeated.")
@json_option
@pass_session
def targets(session: Session, playbook: str, environment: tuple[str, ...], as_json: bool) -> None:
    """Show who hears of the deployments of a playbook, by PHASE_NOTIFICATION and notify_routes of the settings.

    The playbook need not be stored. What its steps say under `notify` is not shown.
    """
    group, _, name = playbook.partition("/")
    if not (group and name):
        raise BadInput(f"expected GROUP/PLAYBOOK, found {playbook!r}")
    found = session.client.notification_targets(group, name, environment)
    if as_json:
        session.terminal.json(found)
        return
    session.terminal.table(("when", "transport", "to"), list(_targets(found)), f"Nothing is sent for {playbook}.")


@notifications.command(short_help="Send a notification to try a target.")
@click.argument("transport")
@click.argument("target", nargs=-1, required=True)
@click.option("--phase", type=click.Choice(["started", "completed", "failed"]), default="completed", show_default=True)
@click.option(
    "--wait", default=60.0, show_default=True, type=click.FloatRange(0), metavar="SECONDS", help="Wait so long."
)
@pass_session
def test(session: Session, transport: str, target: tuple[str, ...], phase: str, wait: float) -> None:
    """Send a notification to try TARGETs of a TRANSPORT, and say whether it was delivered.

    A target is an address (email), a channel or nick (irc), or a name of the settings (webhook, apprise). The exit code is 1 where it
    was not delivered, or not within the time: it is tried for 15 minutes. The token needs the right `notify`.
    """
    id = session.client.notify(transport, target, "Test", "This is a test of the settings: it can be read here.", phase)
    until = time.monotonic() + wait
    while (row := _reported(session, transport, id)) is None:
        if time.monotonic() >= until:
            raise NotDelivered(
                f"not delivered within {wait:g} s; it is tried for 15 minutes: "
                f"rectl notifications --transport {transport} shows what becomes of it, and the notifier's log why it waits"
            )
        time.sleep(LOOK)
    if row["outcome"] == "failed":
        raise NotDelivered(row["why"])
    session.terminal.line(f"sent by {transport} to {', '.join(row['target'])}")


def _reported(session: Session, transport: str, id: str) -> NotificationRow | None:
    rows = session.client.notifications(NEWEST, transport=transport)
    return next((row for row in rows if row["notification"] == id), None)


def _targets(found: NotificationTargets) -> Iterator[tuple[str, str, str]]:
    for phase, by_transport in found["phases"].items():
        yield from ((phase, transport, ", ".join(to)) for transport, to in by_transport.items())
    for daily in found["daily"]:
        when = f"daily {daily['at']} ({', '.join(daily['outcomes'])})"
        yield from ((when, transport, ", ".join(to)) for transport, to in daily["to"].items())


def _lines(row: NotificationRow) -> Iterator[tuple[str, str, str, str, str, str]]:
    outcome: str = row["outcome"]
    if row["tries"] > 1:
        outcome += f" ({row['tries']} tries)"
    if row["together"]:
        outcome += f" (one of {row['together']})"
    yield day(row["at"]), row["transport"], ", ".join(row["target"]), outcome, row["slug"], row["why"]
