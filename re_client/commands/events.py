"""`rectl events`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from re_client.errors import DONE, INTERRUPTED
from re_client.events import FeedEvent, GapEvent, ResetEvent, Told
from re_client.session import Session, json_option, pass_session
from re_client.terminal import Terminal
from re_client.text import day, safe


@click.command(short_help="Print what happens to deployments, as it happens.")
@click.option("--group", metavar="GROUP", help="Of this group only.")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE", help="Of this type only, such as ended; may be repeated."
)
@click.option("--after", default="", metavar="ID", help="Go on behind this event; 0 for all that is kept.")
@json_option
@pass_session
def events(session: Session, group: str | None, types: tuple[str, ...], after: str, as_json: bool) -> int:
    """Print what happens to all deployments that the token may see, from now on, until it is interrupted.

    A line for each event, with its id behind it; with --json the CloudEvents documents, one a line. It goes on where it was when the
    connection was lost.
    """
    wanted = [one if "." in one else f"release-engine.deployment.{one}" for one in types]
    try:
        for event in session.client.feed(after, group=group, type=wanted or None):
            _tell(session.terminal, event, as_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _tell(terminal: Terminal, event: Told, as_json: bool) -> None:
    if isinstance(event, GapEvent):
        terminal.note(f"connection lost, trying again: {safe(event.why)}")
    elif isinstance(event, ResetEvent):
        terminal.note(f"what happened between {safe(event.last)} and {safe(event.now)} is not kept any more")
    elif as_json:
        terminal.line(json.dumps({**event.document, "place": event.id}))
    else:
        terminal.line(_line(event))


def _line(event: FeedEvent) -> str:
    """`2026-11-27 20:04:05 web/release 01KB… step 3 service:Restart on web01 ended: completed (52224.1)`."""
    document = event.document
    data: Mapping[str, Any] = document.get("data") or {}
    name = f"{data.get('group', '')}/{data.get('playbook', '')}"
    what = str(document.get("type", "")).rpartition(".")[2].replace("_", " ")
    step = f" step {data['step']} {data.get('name', '')}" if "step" in data else ""
    if data.get("host"):
        step += f" on {data['host']}"
    what = what.removeprefix("step ") if step else what
    result = data.get("status") or data.get("resolution") or ""
    result = f": {result}" if result and result != what else ""
    by = f" by {data['user']}" if data.get("user") else ""
    text = f"{name} {data.get('deployment', '')}{step} {what}{result}{by} ({event.id})"
    return f"{day(str(document.get('time', '')))} {safe(text)}"
