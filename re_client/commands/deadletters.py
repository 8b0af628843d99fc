"""`rectl deadletters …`: messages that nobody could use."""

from __future__ import annotations

import click

from re_client.session import Session, json_option, pass_session
from re_client.text import day, safe


@click.group()
def deadletters() -> None:
    """See, replay and drop messages that nobody could use."""


@deadletters.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="The newest ones.")
@json_option
@pass_session
def list_(session: Session, limit: int, as_json: bool) -> None:
    """List them, newest first."""
    found = session.client.dead_letters(limit)
    if as_json:
        session.terminal.json(found)
        return
    rows = [(one["id"], day(one.get("at")), one["queue"], one["reason"], one.get("detail", "")) for one in found]
    session.terminal.table(("id", "at", "queue", "reason", "detail"), rows, "No dead letters.")


@deadletters.command()
@click.argument("id")
@json_option
@pass_session
def show(session: Session, id: str, as_json: bool) -> None:
    """Show one, with its bytes."""
    found = session.client.dead_letter(id)
    if as_json:
        session.terminal.json(found)
        return
    for name, value in found.items():
        first, *others = str(value).splitlines() or [""]
        session.terminal.line(f"{name + ':':<12}{safe(first)}")
        for line in others:
            session.terminal.line(f"{'':<12}{safe(line)}")


@deadletters.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@pass_session
def replay(session: Session, ids: tuple[str, ...]) -> None:
    """Send messages to their queues again."""
    for id in ids:
        session.client.replay_dead_letter(id)
        session.terminal.note(f"{id} is on its way again")


@deadletters.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def drop(session: Session, ids: tuple[str, ...], yes: bool) -> None:
    """Forget messages for ever."""
    session.confirm(f"Forget {len(ids)} dead letter(s) for ever?", yes)
    for id in ids:
        session.client.drop_dead_letter(id)
        session.terminal.note(f"{id} is gone")
