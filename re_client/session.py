"""What every command of `rectl` gets: the environment, the settings, the client, the terminal, each made when asked for.

Must not know any command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import click

from re_client import discovery
from re_client.api import Client
from re_client.errors import BadInput
from re_client.terminal import Terminal
from re_core.runtime import settings

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Session:
    """One run of `rectl`."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = os.environ if environ is None else environ

    @cached_property
    def settings(self) -> settings.Settings:
        """Raises BadSettings."""
        return settings.load(self.environ)

    @cached_property
    def client(self) -> Client:
        """Raises BadSettings, NotReachable."""
        return Client(*discovery.find(self.settings))

    @cached_property
    def terminal(self) -> Terminal:
        """The streams as they are when first asked for."""
        return Terminal(sys.stdout, sys.stderr, self.environ)

    def confirm(self, question: str, yes: bool) -> None:
        """Ask the user; a script must have said `--yes`. Raises BadInput, click.Abort."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise BadInput(f"{question} Standard input is not a terminal; use --yes to confirm.")
        click.confirm(question, abort=True, err=True)

    def close(self) -> None:
        """Close what was opened."""
        if "client" in self.__dict__:
            self.client.close()


pass_session = click.make_pass_decorator(Session, ensure=True)


def json_option(command: _Command) -> _Command:
    """`--json`, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(command)
