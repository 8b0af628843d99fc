"""`rectl deadletters …`: undeliverable messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from re_client import lookup
from re_client.session import Session, json_option, pass_session
from re_client.text import day, safe
from re_core.api.answers import DeadLetter


@click.group(short_help="List, show, replay and drop dead letters.")
def deadletters() -> None:
    """List, show, replay and drop dead letters: messages that no consumer can process."""


@deadletters.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), metavar="N", help="Show the newest N.")
@json_option
@pass_session
def list_(session: Session, limit: int, as_json: bool) -> None:
    """List dead letters, newest first."""
    session.terminal.listing(
        as_json,
        session.client.dead_letters(limit),
        ("id", "at", "queue", "reason", "detail"),
        lambda one: [(one["id"], day(one.get("at")), one["queue"], one["reason"], one.get("detail", ""))],
        "No dead letters.",
        spare=("at",),
    )


@deadletters.command(short_help="Show a dead letter and its reason.")
@click.argument("id")
@json_option
@pass_session
def show(session: Session, id: str, as_json: bool) -> None:
    """Show a dead letter: its queue, the reason, its properties and its body."""
    found = session.client.dead_letter(lookup.dead_letter(session.client, id, session.terminal.note))
    if as_json:
        session.terminal.json(found)
        return
    lines = list(_lines(found))
    room = max(len(name) for name, _ in lines) + 2
    for name, value in lines:
        first, *others = value.splitlines() or [""]
        session.terminal.line(f"{name + ':':<{room}}{safe(first)}")
        for line in others:
            session.terminal.line(f"{'':<{room}}{safe(line)}")


def _lines(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    """Name and value of what there is to say. A body that is not UTF-8 is shown as base64."""
    for name in ("id", "queue", "reason", "detail", "by"):
        yield name, str(letter.get(name, ""))
    yield "at", day(letter.get("at"))
    for name, value in letter.get("properties", {}).items():
        if isinstance(value, Mapping):
            yield from ((f"header {key}", str(one)) for key, one in value.items())
        elif value not in ("", None):
            yield name.replace("_", " "), str(value)
    yield "size", f"{letter.get('size', 0)} bytes"
    text = letter.get("text")
    yield ("base64", letter.get("body", "")) if text is None else ("text", text)


@deadletters.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@pass_session
def replay(session: Session, ids: tuple[str, ...]) -> None:
    """Send dead letters to their queues again."""
    for id in _found(session, ids):
        session.client.replay_dead_letter(id)
        session.terminal.note(f"{id} was sent to its queue again")


@deadletters.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_session
def drop(session: Session, ids: tuple[str, ...], yes: bool) -> None:
    """Delete dead letters permanently."""
    found = _found(session, ids)
    session.confirm(f"Delete {len(found)} dead letter(s) permanently?", yes)
    for id in found:
        session.client.drop_dead_letter(id)
        session.terminal.note(f"{id} is deleted")


def _found(session: Session, ids: tuple[str, ...]) -> list[str]:
    """All of them before anything is done to the first."""
    return [lookup.dead_letter(session.client, id, session.terminal.note) for id in ids]
