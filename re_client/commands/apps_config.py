"""`rectl apps config …`: the variables of an app."""

from __future__ import annotations

import sys

import click

from re_client.commands.apps_group import ListingGroup, follow, no_wait_option
from re_client.errors import BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import safe

config = ListingGroup(
    "config",
    short_help="List, set, remove and read the variables of an app.",
    help=(
        "List the names of an app's variables; set, unset and get: change or read them.\n\n"
        "Every change is a release of the same code. If it fails, the config is as it was before.\n\n"
        "\b\nrectl apps config shop\nrectl apps config set shop GREETING=hello\nrectl apps config get shop GREETING"
    ),
)


@config.command("list", hidden=True)
@click.argument("app")
@json_option
@pass_session
def list_(session: Session, app: str, as_json: bool) -> None:
    """List the names of an app's variables."""
    found = session.client.apps.config(app)
    if as_json:
        session.terminal.json(found)
    elif found["names"]:
        session.terminal.lines([safe(name) for name in found["names"]])
    else:
        session.terminal.note(f"No variables. `rectl apps config set {safe(app)} NAME=VALUE` sets one.")


@config.command("set", short_help="Set variables.")
@click.argument("app")
@click.argument("values", nargs=-1, metavar="NAME=VALUE…")
@click.option("--stdin", "from_stdin", default="", metavar="NAME", help="Read the value of NAME from standard input.")
@no_wait_option
@json_option
@pass_session
def set_(session: Session, app: str, values: tuple[str, ...], from_stdin: str, no_wait: bool, as_json: bool) -> int:
    """Set variables of an app, and release the same code with them.

    What stands on a command line can be seen in the list of processes and in the history of the shell: for secrets, use --stdin.
    """
    wanted = dict(map(_split, values))
    if from_stdin:
        wanted[from_stdin] = _from_stdin()
    if not wanted:
        raise click.UsageError("name at least one variable: NAME=VALUE, or --stdin NAME")
    return follow(session, app, session.client.apps.configure(app, wanted), no_wait, as_json, programs=False)


@config.command("unset", short_help="Remove variables.")
@click.argument("app")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@no_wait_option
@json_option
@pass_session
def unset(session: Session, app: str, names: tuple[str, ...], no_wait: bool, as_json: bool) -> int:
    """Remove variables of an app, and release the same code without them."""
    return follow(session, app, session.client.apps.configure(app, {}, names), no_wait, as_json, programs=False)


@config.command("get", short_help="Print values.")
@click.argument("app")
@click.argument("name", required=False)
@json_option
@pass_session
def get(session: Session, app: str, name: str | None, as_json: bool) -> None:
    """Print the value of one variable, or all as NAME=VALUE. The token needs the rights to push code to the app."""
    found = session.client.apps.config(app, values=True).get("values", {})
    if name is not None and name not in found:
        known = f"; it has {', '.join(sorted(found)[:20])}" if found else ""
        raise BadInput(f"{app} has no variable {name}{known}")
    if as_json:
        session.terminal.json(found if name is None else found[name])
    elif name is not None:
        # as it is: another program may read it
        session.terminal.line(found[name])
    else:
        session.terminal.lines([f"{safe(one)}={safe(found[one])}" for one in sorted(found)])


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"expected NAME=VALUE, found {text[:20]!r}")
    return name, value


def _from_stdin() -> str:
    if sys.stdin.isatty():
        text: str = click.prompt("Value", hide_input=True, err=True)
        return text
    # the newline that `echo` ends with is none of the value's
    return sys.stdin.read().removesuffix("\n")
