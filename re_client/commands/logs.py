"""`rectl logs`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import chain

import click

from re_client import lookup
from re_client.errors import DONE, INTERRUPTED
from re_client.events import OutputEvent
from re_client.session import Session, json_option, pass_session
from re_client.text import day, safe, width
from re_core.api.answers import Deployment, Line


@click.command(short_help="Print the output of a deployment's steps.")
@click.argument("id")
@click.option("-f", "--follow", is_flag=True, help="Continue with new lines until the deployment ends.")
@click.option(
    "--step", type=click.IntRange(0), metavar="N", help="Only lines of this step: its number in `rectl status`."
)
@click.option("--after", default=0, type=click.IntRange(0), metavar="N", help="Only lines with a number above N.")
@click.option("--tail", type=click.IntRange(1, 10_000), metavar="N", help="Only the last N lines.")
@click.option("--times", is_flag=True, help="Print the time and the step before every line.")
@click.option("--no-prefix", is_flag=True, help="Do not print the host before every line.")
@json_option
@pass_session
def logs(
    session: Session,
    id: str,
    follow: bool,
    step: int | None,
    after: int,
    tail: int | None,
    times: bool,
    no_prefix: bool,
    as_json: bool,
) -> int:
    """Print the output of a deployment's steps. If they ran on several hosts, each line begins with its host.

    With --json: one object per line.
    """
    document = lookup.deployment(session.client, id, session.terminal.note)
    found, prefix = document["id"], _prefixes(document, times, not no_prefix)

    def print_page(lines: Sequence[Line]) -> None:
        if as_json:
            session.terminal.lines([json.dumps(line) for line in lines])
        else:
            session.terminal.lines([prefix(line) + safe(line["text"]) for line in lines])

    if tail and after:
        raise click.UsageError("use --tail or --after, not both")
    last = after
    client = session.client
    for page in iter([client.tail(found, tail, step)]) if tail else client.output_pages(found, after, step):
        print_page(page)
        last = page[-1]["number"] if page else last
    try:
        if follow:
            _follow(session, found, step, last, print_page)
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _prefixes(document: Deployment, times: bool, hosts: bool) -> Callable[[Line], str]:
    """What stands before each line."""
    names = {safe(step["host"]) for step in document["steps"] if step["host"]}
    room = max(map(width, names), default=0)

    def prefix(line: Line) -> str:
        step = "" if line["step"] is None else line["step"]
        host = safe(line["host"])
        shown = f"{host}{' ' * (room - width(host))} | " if hosts and (times or len(names) > 1) else ""
        return f"{day(line['at'])} {step:>4} {shown or '| '}" if times else shown

    return prefix


def _follow(
    session: Session, id: str, step: int | None, last: int, print_page: Callable[[Sequence[Line]], None]
) -> None:
    """No line twice, none left out: where the stream skips some, or begins later than what was read, they are read again."""
    events = (event for event in session.client.events(id, f"0.{last}") if isinstance(event, OutputEvent))
    for event in chain(events, [None]):
        if event is not None and event.line["number"] <= last:
            continue
        follows = event is not None and event.line["number"] == last + 1
        for page in [[event.line]] if event is not None and follows else session.client.output_pages(id, last):
            last = page[-1]["number"] if page else last
            print_page([line for line in page if step is None or line["step"] == step])
