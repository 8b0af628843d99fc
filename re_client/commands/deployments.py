"""`rectl deployments` and `rectl status`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import click

from re_client import lookup, screen, verdict, watching, words
from re_client.errors import DONE, NOT_COMPLETED, BadInput, ClientError
from re_client.events import OutputEvent, StateEvent
from re_client.session import Session, json_option, pass_session
from re_client.terminal import Terminal
from re_client.text import day, duration, fitted, short_day, since, typed
from re_client.view import Watched
from re_core.api.answers import DeploymentRow
from re_core.model import DeploymentStatus

_AGO = re.compile(r"(\d{1,6})([smhdw])")
#: columns of a terminal from which on times have their date and seconds
WIDE = 120
#: columns that the values of a deployment take at most
VALUES = 40
#: steps whose last lines are looked at for how far they are, and how many lines of each
LOOKED_AT, LINES = 8, 20
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.command(short_help="List deployments, newest first.")
@click.option("--group", metavar="GROUP", help="Only deployments of this group.")
@click.option("--playbook", metavar="GROUP/NAME", help="Only deployments of this playbook.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([one.value for one in DeploymentStatus]),
    help="Only deployments in this state.",
)
@click.option("--user", metavar="USER", help="Only deployments that this user started.")
@click.option(
    "--since",
    "start",
    metavar="WHEN",
    help="Only deployments created since then: 30m, 12h, 7d, or a time such as rectl prints; local unless it has an offset.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), metavar="N", help="Show the newest N.")
@json_option
@pass_session
def deployments(
    session: Session,
    group: str | None,
    playbook: str | None,
    statuses: tuple[str, ...],
    user: str | None,
    start: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List deployments, newest first.

    On a narrow terminal rectl omits columns and shortens values; into a pipe and with --json it prints all of them.
    """
    created = _when(start, watching.now()) if start else None
    playbook_id = lookup.playbook(session.client, playbook, session.terminal.note)["id"] if playbook else None
    found = session.client.deployments(
        limit, group=group, playbook_id=playbook_id, status=statuses, user=user, since=created
    )
    if as_json:
        session.terminal.json(found)
        return
    show(session.terminal, found, watching.now())


def show(terminal: Terminal, found: Sequence[DeploymentRow], now: datetime) -> None:
    """The table: on a narrow terminal times are brief, and its columns for time and steps are left out."""
    brief = terminal.columns is not None and terminal.columns < WIDE
    head = ("id", "status", "created", "user", "playbook", "rev", "values", "time", "steps", "detail")
    terminal.table(
        head, [_cells(row, now, brief) for row in found], "No deployments.", spare=("time", "steps", "values", "rev")
    )


@click.command(short_help="Show one deployment with its steps.")
@click.argument("id")
@json_option
@pass_session
def status(session: Session, id: str, as_json: bool) -> int:
    """Show one deployment with all its steps; the exit code is 1 if it failed or was cancelled.

    If a step stopped the deployment, rectl also shows the step's last lines of output and the commands that continue the deployment.
    """
    found = lookup.deployment(session.client, id, session.terminal.note)
    if found["ended"] is None:
        for trouble in session.client.troubles():
            session.terminal.note(f"the engine is not ready: {trouble}")
    watched = Watched()
    watched.feed(StateEvent(found))
    if as_json:
        session.terminal.json(found)
    else:
        _learn_progress(session, watched)
        session.terminal.rows(screen.whole(watched, watching.now(), session.terminal.unicode))
        if watched.ended and not watched.completed and watched.stopped_by:
            for line in session.client.tail(found["id"], verdict.FAILED_LINES, watched.stopped_by["number"]):
                watched.feed(OutputEvent(line))
        session.terminal.rows([*verdict.why(watched), *verdict.results(watched), *verdict.todo(watched)])
    return NOT_COMPLETED if watched.ended and not watched.completed else DONE


def _learn_progress(session: Session, watched: Watched) -> None:
    """How far the steps are that are being worked on."""
    for step in watched.going[:LOOKED_AT]:
        with suppress(ClientError):  # the steps are known, and shown without it
            watched.learn(
                session.client.tail(watched.document["id"] if watched.document else "", LINES, step["number"])
            )


def _cells(row: DeploymentRow, now: datetime, brief: bool) -> tuple[object, ...]:
    """User and time stand before what may be long: a narrow terminal cuts the end of a line."""
    status = screen.look(row["status"], screen.DEPLOYMENTS).words
    took = duration(since(row["created"], row["ended"], now))
    name, done = f"{row['group']}/{row['playbook']}", f"{row['done']}/{row['total']}"
    why = row["reason"] or ("" if row["ended"] else row["step"])
    created = short_day(row["created"], now) if brief else day(row["created"])
    given = fitted(", ".join(words.values(row)), VALUES)
    return (row["id"], status, created, row["user"], name, row.get("revision") or "", given, took, done, why)


def _when(text: str, now: datetime) -> str:
    """An RFC 3339 time, from one or from `12h`."""
    ago = _AGO.fullmatch(text)
    found = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else typed(text, now)
    if found is None:
        raise BadInput(
            f"--since {text!r}: expected 30m, 12h, 7d, or a time such as 2026-11-22T16:00:00Z, 2026-11-22 17:00, 11-22 17:00 or 17:00"
        )
    return found.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
