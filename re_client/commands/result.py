"""`rectl result`."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click

from re_client import lookup, words
from re_client.errors import DONE, BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import clock, safe
from re_core.artifacts.names import NAME


@click.command(short_help="Print the complete result of a step.")
@click.argument("id")
@click.argument("step", type=click.IntRange(0))
@json_option
@pass_session
def result(session: Session, id: str, step: int, as_json: bool) -> int:
    """Print the data that the step's newest attempt returned, as JSON.

    STEP is the step's number in `rectl status`. With --json: the outcomes of all its attempts.
    """
    found = lookup.deployment(session.client, id, session.terminal.note)
    if step >= len(found["steps"]):
        raise BadInput(f"deployment {found['id']} has steps 0 to {len(found['steps']) - 1}, and no step {step}")
    said = session.client.results(found["id"], step)
    if as_json:
        session.terminal.json(said)
        return DONE
    known = [one for one in said if one["result"] is not None and not one["late"]]
    if not known:
        session.terminal.note(f"{words.place(found['steps'][step])} has returned no data")
        return DONE
    newest = known[-1]
    session.terminal.note(f"attempt {newest['attempt']}, {safe(newest['said'])} at {clock(newest['at'])}")
    if newest["result"] is not None and newest["result"]["cut"]:
        session.terminal.note("the data is cut: the journal keeps only its beginning")
    session.terminal.line(json.dumps(newest["data"], indent=2))
    if artifact := _artifact(newest["data"]):
        session.terminal.note(
            f"to get it:  rectl artifacts pull {artifact} DIRECTORY --group {shlex.quote(found['group'])}"
        )
    return DONE


def _artifact(data: Any) -> str:
    """The name of the artifact that the data refers to; empty where it refers to none."""
    is_reference = isinstance(data, dict) and set(data) == {"artifact", "file", "digest", "size"}
    return data["artifact"] if is_reference and NAME.fullmatch(str(data["artifact"])) else ""
