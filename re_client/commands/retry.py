"""`rectl retry`."""

from __future__ import annotations

import click

from re_client import lookup, watching, words
from re_client.errors import DONE, BadInput
from re_client.session import Session, json_option, pass_session
from re_core.api.answers import Deployment
from re_core.model import Resolution


def _resolution(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Also by the names of version 0.1. Raises BadParameter."""
    for one in (Resolution.SUCCEEDED, Resolution.RERUN):
        if value in (one, one.recorded):
            return one
    if value is None:
        return None
    raise click.BadParameter(f"expected succeeded or rerun, found {value!r}", param=parameter)


@click.command(short_help="Continue a failed deployment from the steps that failed.")
@click.argument("id")
@click.option(
    "--lost",
    metavar="succeeded|rerun",
    callback=_resolution,
    help="Resolution of its lost steps: they succeeded, or are run again. Required if it has lost steps.",
)
@click.option("--reason", default="", metavar="TEXT", help="The reason, kept in the deployment's history.")
@click.option("--watch", is_flag=True, help="Show the deployment until it ends.")
@click.option("--wait", is_flag=True, help="Print nothing until the deployment ends.")
@json_option
@pass_session
def retry(session: Session, id: str, lost: str | None, reason: str, watch: bool, wait: bool, as_json: bool) -> int:
    """Continue a failed deployment: failed steps get a new attempt, skipped steps run.

    With --watch or --wait the exit code is 0 if the deployment completed, else 1. The outcome of a lost step is unknown:
    find it out, then give it with --lost.

    \b
    rectl retry 01M82000000000000000000001 --reason "disk was full" --watch
    """
    if watch and wait:
        raise click.UsageError("use --watch or --wait, not both")
    client, terminal = session.client, session.terminal
    found = lookup.deployment(client, id, session.terminal.note)
    if not lost and words.unclear(found):
        head = "the deployment has lost steps; a retry needs their resolution:"
        raise BadInput("\n".join([head, *(f"  {line}" for line in words.todo(found))]))
    last = _last_line(session, found) if watch or wait else ""
    answer = client.retry(found["id"], reason, lost, found.get("retries"))
    if watch or wait:
        way = watching.Way.WATCH if watch else watching.Way.WAIT
        return watching.follow(client, found["id"], terminal, way, as_json, found, last)
    if as_json:
        terminal.json(answer)
    else:
        terminal.line(f"{found['id']} continues")
        terminal.note(f"to watch it: rectl watch {found['id']}")
    return DONE


def _last_line(session: Session, found: Deployment) -> str:
    """From where on to follow its events: what it printed before is no news."""
    printed = session.client.tail(found["id"], 1)
    return f"0.{printed[-1]['number']}" if printed else ""
