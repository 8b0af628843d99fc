"""`rectl deploy`."""

from __future__ import annotations

import click

from re_client import lookup, values, watching
from re_client.errors import DONE, BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import safe


@click.command(short_help="Start a deployment of a playbook.")
@click.argument("playbook", metavar="GROUP/NAME")
@values.dynamic_options
@click.option("--watch", is_flag=True, help="Show the deployment until it ends.")
@click.option(
    "--wait", is_flag=True, help="Print nothing until the deployment ends; a terminal shows how far its steps are."
)
@click.option(
    "--key", default="", metavar="TEXT", help="Idempotency key: all requests with the same key start one deployment."
)
@json_option
@pass_session
def deploy(
    session: Session,
    playbook: str,
    texts: tuple[str, ...],
    documents: tuple[str, ...],
    file: str | None,
    watch: bool,
    wait: bool,
    key: str,
    as_json: bool,
) -> int:
    """Start a deployment of a playbook: GROUP/NAME, or the playbook's id.

    With --watch or --wait the exit code is 0 if the deployment completed, else 1. Ctrl-C stops the display, never the deployment.

    \b
    rectl deploy inception/"Simple playbook" --set cart=bitmath --watch
    """
    if watch and wait:
        raise click.UsageError("use --watch or --wait, not both")
    dynamic = values.dynamic(texts, documents, file, session.terminal.note)
    if len(key) > 255:
        raise BadInput("--key: at most 255 characters")
    found = lookup.playbook(session.client, playbook, session.terminal.note)
    started = session.client.deploy(found["group"], found["id"], dynamic, key)
    for warning in started.get("warnings", []):
        session.terminal.note(f"warning: {safe(warning['message'])}")
    if watch or wait:
        if not as_json:
            session.terminal.note(f"deployment {started['id']}")
        way = watching.Way.WATCH if watch else watching.Way.WAIT
        return watching.follow(session.client, started["id"], session.terminal, way, as_json)
    if as_json:
        session.terminal.json(started)
    else:
        # the id alone, for scripts: ID=$(rectl deploy …)
        session.terminal.line(started["id"])
        session.terminal.note(f"{started['status']}; to watch it: rectl watch {started['id']}")
    return DONE
