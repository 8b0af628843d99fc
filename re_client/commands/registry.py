"""`rectl workers` and `rectl groups`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from re_client.session import Session, json_option, pass_session
from re_client.text import clock, width, wrapped

_HEAD = ("id", "busy", "seen", "offers")


@click.command(short_help="List the workers that are running.")
@json_option
@pass_session
def workers(session: Session, as_json: bool) -> None:
    """List the workers that are running, and the steps that they offer."""
    terminal = session.terminal
    rows_of = partial(worker_rows, columns=terminal.columns)
    terminal.listing(as_json, session.client.workers(), _HEAD, rows_of, "No workers are running.", cut=False)


@click.command()
@json_option
@pass_session
def groups(session: Session, as_json: bool) -> None:
    """List the groups that own playbooks."""
    head = ("group", "playbooks")
    session.terminal.listing(
        as_json, session.client.groups(), head, lambda one: [(one["name"], one["count"])], "No groups."
    )


def worker_rows(worker: dict[str, Any], columns: int | None) -> list[tuple[str, ...]]:
    """The worker's row, and on a terminal more of them below where its offers need more room."""
    busy = f"{worker['busy']}/{worker['slots']}"
    known = (worker["id"], busy, clock(worker["seen"]))
    offers = sorted(worker["offers"])
    if columns is None:
        return [(*known, ", ".join(offers))]
    taken = sum(max(width(cell), width(name)) + 2 for cell, name in zip(known, _HEAD, strict=False))
    first, *others = wrapped(offers, max(columns - taken, 20))
    return [(*known, first), *(("", "", "", line) for line in others)]
