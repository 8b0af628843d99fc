"""`rectl token …`: the tokens that authenticate callers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import click

from re_client import lookup, watching
from re_client.session import Session, json_option, pass_session
from re_client.text import absolute, day
from re_core.api.answers import Token


class WantedToken(NamedTuple):
    """What the options say of a token to make."""

    user: str
    groups: tuple[str, ...]
    all_groups: bool
    admin: bool
    notify: bool
    #: as it was said; empty where nothing was
    expires: str


def token_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of a command that makes a token, which gets them as `wanted`."""
    options = (
        click.option("--user", required=True, metavar="USER", help="The user of the token."),
        click.option(
            "--group", "groups", multiple=True, metavar="GROUP", help="A group that the token may access; repeatable."
        ),
        click.option("--all-groups", is_flag=True, help="The token may access all groups."),
        click.option(
            "--admin", is_flag=True, help="The token may access all groups, and may create and revoke tokens."
        ),
        click.option("--notify", is_flag=True, help="The token may send notifications; an administrator's always may."),
        click.option(
            "--expires",
            default="",
            metavar="WHEN",
            help="When the token expires: 90d, 12h, a time (local unless it has an offset), or never.  [default: 90d]",
        ),
    )

    @wraps(command)
    def call(*given: Any, as_json: bool, **said: Any) -> None:
        wanted = WantedToken(**said)
        if bool(wanted.groups) == (wanted.all_groups or wanted.admin):
            raise click.UsageError(
                "name the groups that the token may access: --group GROUP (repeatable), --all-groups, or --admin"
            )
        command(*given, wanted, as_json)

    for option in reversed(options):
        call = option(call)
    return call


@click.group()
def token() -> None:
    """Create, list and revoke tokens; for administrators."""


@token.command()
@token_options
@json_option
@pass_session
def create(session: Session, wanted: WantedToken, as_json: bool) -> None:
    """Create a token. rectl prints it once; it cannot be shown again."""
    expires = absolute(wanted.expires, watching.now())
    made = session.client.create_token(wanted.user, wanted.groups or None, wanted.admin, wanted.notify, expires)
    if as_json:
        session.terminal.json(made)
        return
    session.terminal.line(made["token"])
    session.terminal.note(f"token {made['id']} of {wanted.user}, {_end(made)}; save it: it cannot be shown again")


@token.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List tokens, without their secrets."""
    head = ("id", "user", "groups", "admin", "notify", "created", "expires", "used")
    spare = ("created", "notify")
    session.terminal.listing(as_json, session.client.tokens(), head, lambda one: [_row(one)], "No tokens.", spare)


@token.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@pass_session
def revoke(session: Session, ids: tuple[str, ...]) -> None:
    """Revoke tokens: the engine no longer accepts them."""
    for id in [lookup.token(session.client, id, session.terminal.note) for id in ids]:
        session.client.revoke_token(id)
        session.terminal.note(f"{id} is revoked")


def _row(one: Token) -> tuple[str, ...]:
    flags = ("yes" if one["admin"] else "", "yes" if one.get("notify") else "")
    end, used = one.get("expires"), one.get("used")
    return one["id"], one["user"], _reach(one), *flags, day(one["created"]), day(end) if end else "never", day(used)


def _end(made: Token) -> str:
    end = made.get("expires")
    return f"valid until {day(end)}" if end else "without an expiry"


def _reach(row: Token) -> str:
    return "all" if row["groups"] is None else ", ".join(row["groups"])
