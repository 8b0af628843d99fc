"""`rectl secret …`: secrets of the engine's own store."""

from __future__ import annotations

import sys

import click

from re_client.errors import BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import day
from re_core.api.answers import Secret
from re_core.secret_names import FORM, MOST_VALUE, is_name

_HEAD = ("name", "environment", "version", "updated", "user")


@click.group()
def secret() -> None:
    """Set, list, remove and seal again the secrets of steps; for administrators."""


@secret.command("set", short_help="Set a secret, from standard input.")
@click.argument("name")
@json_option
@pass_session
def set_(session: Session, name: str, as_json: bool) -> None:
    """Set the secret NAME, which is GROUP/NAME or GROUP/ENVIRONMENT/NAME.

    rectl reads the value from standard input, or asks for it at a terminal without showing it. It takes no value as an argument,
    which every user of the machine could read. A line end behind a single line is left out.
    """
    if not is_name(name):
        raise BadInput(f"expected {FORM}, found {name[:80]!r}")
    made = session.client.set_secret(name, _value(name))
    if as_json:
        session.terminal.json(made)
        return
    session.terminal.note(f"{name} is set; a step refers to it by {{secret: {name}}}")


@secret.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List the secrets, without their values."""
    session.terminal.listing(
        as_json, session.client.secrets(), _HEAD, lambda one: [_row(one)], "No secrets.", ("user",)
    )


@secret.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_session
def rm(session: Session, names: tuple[str, ...]) -> None:
    """Remove secrets. Steps that refer to one fail from then on."""
    for name in names:
        session.client.remove_secret(name)
        session.terminal.note(f"{name} is removed")


@secret.command(short_help="Seal all secrets with the engine's newest key.")
@json_option
@pass_session
def rotate(session: Session, as_json: bool) -> None:
    """Seal all secrets again, with the first key of the engine's key file.

    Put the new key in front of the old one in that file, restart the engine, and run this: then the old key can be removed. It
    changes no value.
    """
    done = session.client.rotate_secrets()
    if as_json:
        session.terminal.json(done)
        return
    session.terminal.note(f"{done['sealed']} secrets are sealed with the first key; the others can be removed")


def _value(name: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"Value of {name}", hide_input=True, err=True))
    data = sys.stdin.buffer.read(MOST_VALUE + 2)
    if len(data) > MOST_VALUE + 1:
        raise BadInput(f"a secret has at most {MOST_VALUE} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise BadInput("expected text in UTF-8; encode bytes with base64") from None
    return text.removesuffix("\n").removesuffix("\r") if text.count("\n") == 1 else text


def _row(one: Secret) -> tuple[str, ...]:
    return one["name"], one["environment"] or "", str(one["version"]), day(one["updated"]), one["user"]
