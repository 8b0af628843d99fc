"""`rectl config`."""

from __future__ import annotations

import json
from typing import Any

import click

from re_client.session import Session, json_option, pass_session


@click.command(short_help="Show the settings and their sources.")
@json_option
@pass_session
def config(session: Session, as_json: bool) -> None:
    """Show the settings in force and the source of each; secrets are masked."""
    shown = session.settings.shown()
    if as_json:
        session.terminal.json({name: {"value": value, "origin": origin} for name, (value, origin) in shown.items()})
        return
    rows = [(name, origin, _cell(value)) for name, (value, origin) in shown.items()]
    session.terminal.table(("name", "source", "value"), rows, "", cut=False)


def _cell(value: Any) -> str:
    if value in ("", None, [], {}):
        return "-"
    return value if isinstance(value, str) else json.dumps(value)
