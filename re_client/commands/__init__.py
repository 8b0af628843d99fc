"""The commands of `rectl`, one file per group; this table is all that is imported before one is chosen.

A package that is not part of the client adds its own through the entry point group `re_client.commands`, as `up` does.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

import click

from re_client.text import suggestion

#: entry points that are commands
ENTRY_POINTS = "re_client.commands"

#: command -> module and attribute
COMMANDS = {
    "apps": "re_client.commands.apps:apps",
    "artifacts": "re_client.commands.artifacts:artifacts",
    "cancel": "re_client.commands.cancel:cancel",
    "cdpm": "re_client.commands.cdpm:cdpm",
    "completion": "re_client.commands.completion:completion",
    "config": "re_client.commands.config:config",
    "deadletters": "re_client.commands.deadletters:deadletters",
    "deploy": "re_client.commands.deploy:deploy",
    "deployments": "re_client.commands.deployments:deployments",
    "events": "re_client.commands.events:events",
    "groups": "re_client.commands.registry:groups",
    "hosts": "re_client.commands.hosts:hosts",
    "logs": "re_client.commands.logs:logs",
    "notifications": "re_client.commands.notifications:notifications",
    "playbook": "re_client.commands.playbook:playbook",
    "resolve": "re_client.commands.resolve:resolve",
    "result": "re_client.commands.result:result",
    "retry": "re_client.commands.retry:retry",
    "runners": "re_client.commands.runners:runners",
    "secret": "re_client.commands.secret:secret",
    "status": "re_client.commands.deployments:status",
    "token": "re_client.commands.token:token",
    "watch": "re_client.commands.watch:watch",
    "worker": "re_client.commands.worker:worker",
    "workers": "re_client.commands.registry:workers",
}


#: names of version 0.1, which no list shows -> the command of today
ALIASES = {"decide": "resolve"}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted({*COMMANDS, *entry_points(group=ENTRY_POINTS).names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; None where there is no such."""
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name in COMMANDS:
            module, _, name = COMMANDS[cmd_name].partition(":")
            return cast(click.Command, getattr(import_module(module), name))
        for entry in entry_points(group=ENTRY_POINTS, name=cmd_name):
            try:
                return cast(click.Command, entry.load())
            except ImportError as error:
                return _broken(cmd_name, f"{entry.value} cannot be loaded: {error}")
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As every group does; a name that is not there gets a suggestion."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in (*known, *ALIASES):
            raise click.UsageError(f"there is no command {args[0]!r}{suggestion(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)


def _broken(name: str, why: str) -> click.Command:
    """In place of a command whose package is broken: the others, and the help, must go on working."""

    def refuse(arguments: tuple[str, ...]) -> None:
        raise click.ClickException(why)

    settings = {"ignore_unknown_options": True}
    everything = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
    return click.Command(name, callback=refuse, params=[everything], help=f"({why})", context_settings=settings)
