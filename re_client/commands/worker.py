"""`rectl worker …`: for authors of workers, and for those who run them."""

from __future__ import annotations

from pathlib import Path

import click

from re_client.commands import worker_credentials
from re_client.errors import BadInput
from re_client.scaffold import worker_files
from re_client.session import Session, json_option, pass_session


@click.group()
def worker() -> None:
    """Create a worker of your own, and credentials of workers."""


for _one in (worker_credentials.add, worker_credentials.list_, worker_credentials.revoke, worker_credentials.remove):
    worker.add_command(_one)


@worker.command(short_help="Write the files of a new worker.")
@click.argument("name")
@click.option(
    "--dir", "directory", metavar="DIR", help="The directory to write to; the setting workers_dir if omitted."
)
@json_option
@pass_session
def new(session: Session, name: str, directory: str | None, as_json: bool) -> None:
    """Write the files of a worker NAME: two steps and a test, ready to run and to change."""
    files = worker_files(name)
    base = Path(directory) if directory else session.settings.workers_dir
    taken = [base / path for path in files if (base / path).exists()]
    if taken:
        raise BadInput(f"{taken[0]} exists already; nothing was written")
    try:
        for path, text in files.items():
            (base / path).parent.mkdir(parents=True, exist_ok=True)
            (base / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from None
    written = [str(base / path) for path in files]
    if as_json:
        session.terminal.json({"command": name, "files": written})
        return
    for path in written:
        session.terminal.line(path)
    where = "" if base == session.settings.workers_dir else f" with workers_dir: {base.absolute()} in its settings"
    session.terminal.note(f"Test it with `pytest {written[-1]}`; `rectl up`{where} loads it at its next start.")
