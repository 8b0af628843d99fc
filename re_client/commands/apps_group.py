"""What the commands of `rectl apps` share."""

from __future__ import annotations

import click

from re_client import releasing, watching
from re_client.errors import DONE
from re_client.session import Session
from re_client.text import duration, since
from re_core.api import apps as api

no_wait_option = click.option("--no-wait", is_flag=True, help="Do not wait for the end of the release.")


class ListingGroup(click.Group):
    """A group whose first argument may be an app: then its hidden command `list` is meant."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, else the list."""
        return self.commands.get(cmd_name) or self.commands.get("list")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of that name, else the list of that app."""
        return super().resolve_command(ctx, args if args[:1] and args[0] in self.commands else ["list", *args])


def follow(
    session: Session, app: str, asked: api.ReleaseAsked, no_wait: bool, as_json: bool, programs: bool = True
) -> int:
    """To the end of what was asked for; the exit code."""
    terminal, id = session.terminal, asked["broadcast_id"]
    if no_wait or not id:
        if as_json:
            terminal.json(asked)
        else:
            terminal.line(
                f"v{asked['release']} waits for its turn" if asked["release"] else "nothing had to be released"
            )
        return DONE
    if as_json:
        return releasing.documents(session.client, app, id, terminal.line)
    return releasing.follow(session.client, app, id, terminal, programs)


def ago(at: str | None) -> str:
    """`5 m 02 s ago`."""
    passed = since(at, None, watching.now())
    return "" if passed is None else f"{duration(passed)} ago"
