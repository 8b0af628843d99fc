"""`re-rest`: the front end as a process of its own. Must not know HTTP, bus or store."""

from __future__ import annotations

import os

import click

from re_core.process import check_shared, launch, leave
from re_core.runtime.settings import Settings


def act(settings: Settings) -> int:
    """Serve until told to end; the exit code. Raises OperatorError."""
    check_shared(settings)
    # imported late: help and mistakes need no web framework
    from re_rest.standalone import Server

    try:
        Server(settings).run()
    except SystemExit as end:  # as gunicorn ends
        return end.code if isinstance(end.code, int) else 0
    return 0


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--http", metavar="HOST:PORT", help="Where to listen; port 0 picks a free one.  [RE_HTTP]")
@click.version_option(package_name="release-engine", prog_name="re-rest", message="%(prog)s %(version)s")
def command(http: str | None) -> None:
    """Serve the HTTP API and its pages.

    Start as many as you like, in any order, behind a proxy that spreads requests over them, on the RabbitMQ of RE_BUS_URL
    and the MongoDB of RE_STORE_URL. RE_HTTP_WORKERS processes with RE_HTTP_THREADS threads each answer. GET /readyz says
    what cannot be reached. TERM ends it in order: requests under way are answered, live streams end.

    Exit codes: 0 it was told to end, 1 after a mistake of ours (start it again), 2 somebody must act.
    """
    environ = {**os.environ, **({} if http is None else {"RE_HTTP": http})}
    leave(launch("re-rest", "rerest", act, environ))


def main() -> None:
    """The console script."""
    command()


if __name__ == "__main__":
    main()
