"""`rectl worker add|list|revoke|remove`: by what workers show who they are."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from re_client.errors import BadInput
from re_client.session import Session, json_option, pass_session
from re_client.text import day, safe
from re_core.api.workers import BrokerRights, NewWorkerCredential, WorkerCredential
from re_core.errors import BadMessage
from re_core.wire.proof import A_NAME, SigningKey, is_name, key_bytes

_HEAD = ("name", "commands", "pool", "environments", "created", "state")


@click.command(short_help="Make the credential of a worker.")
@click.argument("name")
@click.option(
    "--command",
    "commands",
    multiple=True,
    metavar="NAME",
    help="Steps of this command; repeatable.  [default: every one]",
)
@click.option("--pool", default="", metavar="NAME", help="Steps of this pool.  [default: steps that name no pool]")
@click.option(
    "--environment",
    "environments",
    multiple=True,
    metavar="NAME",
    help="Steps and secrets of this environment; repeatable.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the private half is written.  [default: NAME.credential]",
)
@click.option(
    "--public-key",
    default="",
    metavar="BASE64",
    help="The public half of a key that was made elsewhere; nothing is written then.",
)
@json_option
@pass_session
def add(
    session: Session,
    name: str,
    commands: tuple[str, ...],
    pool: str,
    environments: tuple[str, ...],
    file: Path | None,
    public_key: str,
    as_json: bool,
) -> None:
    """Make the credential of the worker NAME; for administrators.

    rectl makes a key, writes its private half to a file that you take to the worker, and gives the engine the public half alone. It
    prints what a user of the worker's own at RabbitMQ needs.
    """
    _check(name, public_key)
    file = file or Path(f"{name}.credential")
    key = None if public_key else _new_key(name, file)
    try:
        public = public_key if key is None else key.public
        made = session.client.add_worker_credential(name, public, commands, pool, environments)
    except BaseException:
        if key is not None:
            file.unlink(missing_ok=True)
        raise
    if as_json:
        session.terminal.json({**made, "file": None if key is None else str(file)})
        return
    if key is not None:
        session.terminal.line(str(file))
    for line in (*_how_to_start(made, None if key is None else file), *_at_rabbitmq(name, made["rabbitmq"])):
        session.terminal.note(line)


@click.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """List the credentials of workers; `rectl workers` lists those that run."""
    none = "No worker has a credential. `rectl worker add NAME` makes one."
    found = session.client.worker_credentials()
    session.terminal.listing(as_json, found, _HEAD, lambda one: [_row(one)], none, ("created",))


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_session
def revoke(session: Session, names: tuple[str, ...]) -> None:
    """Revoke credentials: within two seconds their workers are granted nothing more; for administrators.

    Steps that such a worker runs go on, and their outcomes count.
    """
    for name in names:
        session.client.revoke_worker_credential(name)
        session.terminal.note(f"{safe(name)} is revoked")


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@pass_session
def remove(session: Session, names: tuple[str, ...]) -> None:
    """Delete revoked credentials, so that their names are free; for administrators.

    The outcome of a step that such a worker still runs does not count any more.
    """
    for name in names:
        session.client.remove_worker_credential(name)
        session.terminal.note(f"{safe(name)} is removed")


def _check(name: str, public_key: str) -> None:
    if not is_name(name):
        raise BadInput(f"expected {A_NAME}, found {name[:80]!r}")
    try:
        _ = public_key and key_bytes(public_key)
    except BadMessage as error:
        raise BadInput(f"--public-key: {error}") from None


def _new_key(name: str, file: Path) -> SigningKey:
    """Written before the engine hears of it: a key that only this process has must not be registered."""
    try:
        key = SigningKey.new(name)
    except ImportError as error:
        raise BadInput(f"{error.name} is missing: pip install release-engine[secrets], or give --public-key") from None
    try:
        written = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(written, key.line().encode())
        finally:
            os.close(written)
    except FileExistsError:
        raise BadInput(f"{file} exists already; nothing was made") from None
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None
    return key


def _how_to_start(made: NewWorkerCredential, file: Path | None) -> list[str]:
    place = [f"--pool {made['pool']}"] if made["pool"] else []
    place += [f"--environment {one}" for one in made["environments"]]
    start = " ".join(["re-worker", "--credential", str(file or "FILE"), *place, *(made["commands"] or ["all"])])
    keep = ["It is the worker's alone: move it there, and keep no copy."] if file else []
    return [*keep, "Start the worker with it:", f"  {start}"]


def _at_rabbitmq(name: str, rights: BrokerRights) -> list[str]:
    """What an operator types there; the virtual host is `/` unless RE_BUS_URL names another."""
    words = [shlex.quote(rights[key]) for key in ("configure", "write", "read")]
    topic = [shlex.quote(rights[key]) for key in ("exchange", "topic_write", "topic_read")]
    return [
        "Give it a user of its own at RabbitMQ (-p names the virtual host):",
        f"  rabbitmqctl add_user {name}",
        f"  rabbitmqctl set_permissions -p / {name} {' '.join(words)}",
        f"  rabbitmqctl set_topic_permissions -p / {name} {' '.join(topic)}",
    ]


def _row(one: WorkerCredential) -> tuple[str, ...]:
    state = f"revoked {day(one['revoked'])}" if one["revoked"] else ""
    return (
        one["name"],
        ", ".join(one["commands"]) or "*",
        one["pool"] or "",
        ", ".join(one["environments"]),
        day(one["created"]),
        state,
    )
