"""`rectl retry`."""

from __future__ import annotations

import click

from re_client import resolve, watching, words
from re_client.errors import DONE, BadInput
from re_client.session import Session, json_option, pass_session
from re_client.shapes import Deployment
from re_core.model import Resolution


@click.command(short_help="Let a failed deployment go on from what failed.")
@click.argument("id")
@click.option(
    "--lost",
    type=click.Choice([Resolution.HAPPENED.value, Resolution.AGAIN.value]),
    help="What became of its lost steps: they happened, or shall be done again. Needed where there are any.",
)
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads its history.")
@click.option("--watch", is_flag=True, help="Show it until it ends.")
@click.option("--wait", is_flag=True, help="Say nothing until it ends.")
@json_option
@pass_session
def retry(session: Session, id: str, lost: str | None, reason: str, watch: bool, wait: bool, as_json: bool) -> int:
    """Let a failed deployment go on: what failed gets a new attempt, what was skipped its turn.

    With --watch or --wait the exit code tells how it ended. Of a step that is lost nobody knows whether it happened: look,
    then say so with --lost.

    \b
    rectl retry 01M82000000000000000000001 --reason "disk was full" --watch
    """
    if watch and wait:
        raise click.UsageError("--watch and --wait exclude each other")
    client, terminal = session.client, session.terminal
    found = resolve.deployment(client, id, session.terminal.note)
    if not lost and words.unclear(found):
        head = "it has lost steps, and a retry has to say what became of them:"
        raise BadInput("\n".join([head, *(f"  {line}" for line in words.todo(found))]))
    last = _last_line(session, found) if watch or wait else ""
    answer = client.retry(found["id"], reason, lost, found.get("retries"))
    if watch or wait:
        way = watching.Way.WATCH if watch else watching.Way.WAIT
        return watching.follow(client, found["id"], terminal, way, as_json, found, last)
    if as_json:
        terminal.json(answer)
    else:
        terminal.line(f"{found['id']} goes on")
        terminal.note(f"watch it with: rectl watch {found['id']}")
    return DONE


def _last_line(session: Session, found: Deployment) -> str:
    """From where on to follow its events: what it printed before is no news."""
    printed = session.client.tail(found["id"], 1)
    return f"0.{printed[-1]['number']}" if printed else ""
