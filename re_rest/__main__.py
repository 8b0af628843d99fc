"""`re-rest`: the front end as a process of its own. Must not know HTTP, bus or store."""

from __future__ import annotations

import os

import click

from re_core.process import check_shared, launch, leave
from re_core.runtime.settings import Settings


def act(settings: Settings) -> int:
    """Serve until a stop signal; the exit code. Raises OperatorError."""
    check_shared(settings)
    # imported late: help and mistakes need no web framework
    from re_rest.standalone import Server

    try:
        Server(settings).run()
    except SystemExit as end:  # as gunicorn ends
        return end.code if isinstance(end.code, int) else 0
    return 0


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--http", metavar="HOST:PORT", help="Address to listen at; port 0 chooses a free port.  [RE_HTTP]")
@click.version_option(package_name="release-engine", prog_name="re-rest", message="%(prog)s %(version)s")
def command(http: str | None) -> None:
    """Serve the HTTP API and its documentation.

    Start any number of them, in any order, behind a load balancer. They use the RabbitMQ of RE_BUS_URL and the MongoDB of
    RE_STORE_URL. Each runs RE_HTTP_WORKERS processes with RE_HTTP_THREADS threads. GET /readyz names what is not available. TERM stops
    it: running requests are answered, live streams end.

    Exit codes: 0 stopped by a signal, 1 an internal error (start it again), 2 the operator must correct a setting or a server.
    """
    environ = {**os.environ, **({} if http is None else {"RE_HTTP": http})}
    leave(launch("re-rest", "rerest", act, environ))


def main() -> None:
    """The console script."""
    command()


if __name__ == "__main__":
    main()
