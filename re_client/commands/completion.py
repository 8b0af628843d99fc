"""`rectl completion`."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from re_client.session import Session, pass_session

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
@pass_session
def completion(session: Session, context: click.Context, shell: str) -> None:
    """Print a script that completes commands and options.

    \b
    bash:  eval "$(rectl completion bash)"
    zsh:   eval "$(rectl completion zsh)"
    fish:  rectl completion fish | source
    """
    root = context.find_root().command
    session.terminal.line(_SHELLS[shell](root, {}, "rectl", "_RECTL_COMPLETE").source())
