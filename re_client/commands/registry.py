"""`rectl workers` and `rectl groups`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from re_client.session import Session, json_option, pass_session
from re_client.text import clock, safe, width, wrapped

_HEAD = ("id", "busy", "seen", "place", "shown", "offers")

#: columns that are left out where no worker says anything in them
_OPTIONAL = frozenset({"place", "shown"})


@click.command(short_help="List the workers that are running.")
@json_option
@pass_session
def workers(session: Session, as_json: bool) -> None:
    """List the workers that are running: their pool, environments and labels, what they have shown, and the steps that they offer.

    Under `shown` stands the credential by which a worker has shown who it is, or why what it has shown does not count.
    """
    terminal = session.terminal
    found = session.client.workers()
    kept = [name for name in _HEAD if name not in _OPTIONAL or any(_known(one)[name] for one in found)]
    rows_of = partial(worker_rows, columns=terminal.columns, head=kept)
    terminal.listing(as_json, found, kept, rows_of, "No workers are running.", cut=False)


@click.command()
@json_option
@pass_session
def groups(session: Session, as_json: bool) -> None:
    """List the groups that own playbooks."""
    head = ("group", "playbooks")
    session.terminal.listing(
        as_json, session.client.groups(), head, lambda one: [(one["name"], one["count"])], "No groups."
    )


def _known(worker: dict[str, Any]) -> dict[str, str]:
    """By the names of the columns. An older engine says less."""
    labels = (f"{name}={text}" for name, text in sorted((worker.get("labels") or {}).items()))
    place = [worker.get("pool") or "", *(worker.get("environments") or ()), *labels]
    fault = worker.get("fault")
    return {
        "id": worker["id"],
        "busy": f"{worker['busy']}/{worker['slots']}",
        "seen": clock(worker["seen"]),
        "place": safe(" ".join(one for one in place if one)),
        "shown": safe(f"no steps: {fault}" if fault else worker.get("credential") or ""),
    }


def worker_rows(worker: dict[str, Any], columns: int | None, head: Sequence[str] = _HEAD) -> list[tuple[str, ...]]:
    """The worker's row, and on a terminal more of them below where its offers need more room."""
    values = _known(worker)
    known = tuple(values[name] for name in head[:-1])
    offers = sorted(worker["offers"])
    if columns is None:
        return [(*known, ", ".join(offers))]
    taken = sum(max(width(cell), width(name)) + 2 for cell, name in zip(known, head, strict=False))
    first, *others = wrapped(offers, max(columns - taken, 20))
    return [(*known, first), *((*("",) * len(known), line) for line in others)]
