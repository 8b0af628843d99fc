"""`rectl runners …`: the forest runners that work for the engine."""

from __future__ import annotations

import click

from re_client import watching
from re_client.session import Session, json_option, pass_session
from re_client.text import day, duration, safe, since
from re_core.api.answers import Runner

_HEAD = ("name", "state", "types", "busy", "seen", "peer", "gateway")

_parallel_option = click.option(
    "--parallel",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Releases that the runner is given at once. Real runners execute one after the other.  [default: 1]",
)


@click.group(short_help="Enroll, list and revoke forest runners.")
def runners() -> None:
    """Enroll, list and revoke forest runners.

    A forest runner connects to the forest gateway and executes the releases of `forest:Release` steps.
    """


@runners.command()
@click.argument("name")
@_parallel_option
@json_option
@pass_session
def enroll(session: Session, name: str, parallel: int | None, as_json: bool) -> None:
    """Enroll a runner; for administrators.

    Prints the id with which the runner connects. It contains a secret; rectl prints it once, and it cannot be shown again.
    """
    made = session.client.enroll_runner(name, parallel)
    if as_json:
        session.terminal.json(made)
        return
    session.terminal.line(made["id"])
    for line in _how_to_start(made["id"], name):
        session.terminal.note(line)


@runners.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List runners: state, types of destinations, releases that they execute, last heartbeat, address."""
    none = "No runners are enrolled. `rectl runners enroll NAME` enrolls one."
    found = session.client.runners()
    session.terminal.listing(as_json, found, _HEAD, lambda one: [_row(one)], none, ("gateway", "peer"))


@runners.command("set", short_help="Change how many releases a runner is given at once.")
@click.argument("name")
@click.option("--parallel", type=click.IntRange(1, 100), metavar="N", required=True, help="Releases at once.")
@pass_session
def set_(session: Session, name: str, parallel: int) -> None:
    """Change how many releases a runner is given at once; for administrators.

    More than 1 is right only for a runner that executes releases in parallel. A runner that executes one after the other
    does not start the others in time, and they are given to another runner.
    """
    session.client.set_runner(name, parallel)
    session.terminal.note(f"{safe(name)} is given up to {parallel} release{'' if parallel == 1 else 's'} at once")


@runners.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_session
def revoke(session: Session, names: tuple[str, ...]) -> None:
    """Revoke runners: the gateway ends their sessions and refuses them; for administrators.

    A release that a revoked runner executes goes on, and its completion counts.
    """
    for name in names:
        session.client.revoke_runner(name)
        session.terminal.note(f"{safe(name)} is revoked")


@runners.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_session
def forget(session: Session, names: tuple[str, ...]) -> None:
    """Delete revoked runners, so that their names can be enrolled again; for administrators."""
    for name in names:
        session.client.forget_runner(name)
        session.terminal.note(f"{safe(name)} is forgotten")


def _how_to_start(id: str, name: str) -> list[str]:
    return [
        "Save it: it cannot be shown again. Start the runner with the address of the gateway (RE_FOREST_LISTEN):",
        f"  FOREST_SERVER_ADDR=http://HOST:PORT FOREST_RUNNER_ID={id} forest-runner",
        "The runner prints its id when it starts: a reader of its log can take its place.",
        f"If the id became known: rectl runners revoke {name}",
    ]


def _row(one: Runner) -> tuple[str, ...]:
    gone = since(one["seen"], None, watching.now())
    seen = "never" if gone is None else f"{duration(gone)} ago"
    state = f"revoked {day(one['revoked'])}" if one["revoked"] else one["state"]
    busy = f"{one['active']}/{one['parallel']}"
    return one["name"], state, ", ".join(one["types"]), busy, seen, one["peer"], one["gateway"] or ""
