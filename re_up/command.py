"""`rectl up`: the engine in one process. Must not know what the engine is made of."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import click
import psutil

from re_core.errors import OperatorError
from re_core.runtime import interpreter, logs
from re_core.runtime.settings import Settings, load


@click.command()
@click.option("--http", metavar="HOST:PORT", help="Address of the API; port 0 chooses a free port.  [RE_HTTP]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Directory of the engine's data.  [RE_DATA_DIR]")
@click.option(
    "--quiet", "-q", is_flag=True, help="Do not print the address and the next commands when the engine is ready."
)
def up(http: str | None, data_dir: Path | None, quiet: bool) -> None:
    """Run the whole engine in one process.

    The process runs the API, the core, the built-in workers and the notifiers, with a bus in memory and a store in SQLite in the
    data directory. Ctrl-C or TERM stops it; at the next start it continues the deployments that were running.
    """
    environ = dict(os.environ)
    if http is not None:
        environ["RE_HTTP"] = http
    if data_dir is not None:
        environ["RE_DATA_DIR"] = str(data_dir)
    _serve(load(environ), quiet)


def _serve(settings: Settings, quiet: bool) -> None:
    interpreter.load()
    from re_core.process import check_alone
    from re_core.runtime.lock import DirectoryLock
    from re_core.runtime.prctl import conceal
    from re_up.server import Server

    check_alone(settings)
    conceal()
    directory = settings.data_dir
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OperatorError(
            f"cannot create the data directory {directory}: {error.strerror}; set RE_DATA_DIR"
        ) from error
    lock = DirectoryLock(directory, "lock")
    lock.acquire(f"the engine with process id {os.getpid()}, started {time.strftime('%Y-%m-%d %H:%M:%S %z')}")
    addresses = (directory / "url", directory / "forest")
    for file in addresses:
        file.unlink(missing_ok=True)
    files, redact = settings.deployment_log_dir, settings.redact
    logs.setup("recore", settings.log_format, settings.log_level, sys.stderr, files, redact, settings.prune_older)
    settings.warn_of_old_names()
    _try(settings)
    began = psutil.Process().create_time()
    try:
        Server(settings, lambda where: _ready(settings, where, began, quiet)).run()
    finally:
        for file in addresses:
            file.unlink(missing_ok=True)


def _try(settings: Settings) -> None:
    """Settings that cannot be used raise here, before a worker process starts. Raises OperatorError, StoreUnavailable."""
    from re_core import bootstrap, connections
    from re_gateways.forest.opening import check_extra
    from re_workers.notify.transports import policy
    from re_workers.worker_selection import confinement, handlers

    if settings.forest_listen:
        check_extra()
    handlers(settings)
    policy(settings)
    confinement(settings).announce()
    store = bootstrap.open_store(settings)
    try:
        connections.open_bus(settings, store).close()
    finally:
        store.close()


def _ready(settings: Settings, url: str, began: float, quiet: bool) -> None:
    from re_up.tokens import write_private

    write_private(settings.data_dir / "url", url + "\n")
    if quiet:
        return
    rectl = "rectl" if shutil.which("rectl") else str(Path(sys.argv[0]).absolute())
    lines = (
        f"Release Engine is ready at {url} after {time.time() - began:.1f} s.",
        f"  data    {settings.data_dir}",
        f"  API     {url}/docs",
        *_runners(settings),
        f"  next    {rectl} playbook apply FILE, then {rectl} deploy GROUP/NAME --watch (in another terminal)",
        "  stop    Ctrl-C",
    )
    click.echo("\n".join(lines), err=True)


def _runners(settings: Settings) -> tuple[str, ...]:
    """Where forest runners connect, where they can."""
    if not settings.forest_listen:
        return ()
    where = (settings.data_dir / "forest").read_text().strip()
    return (f"  runners http://{where}",)
