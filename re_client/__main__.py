"""`rectl`: finds the command, runs it, turns what went wrong into a message and an exit code. Must not know any command."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import click

from re_client.commands import LazyGroup
from re_client.errors import BAD_INPUT, DONE, INTERRUPTED, NOT_REACHABLE, ClientError
from re_client.session import Session
from re_client.terminal import ReaderGone
from re_core.errors import CallerError, OperatorError, ReleaseEngineError

EXIT_CODES = """\b
Exit codes: 0 success, 1 the deployment failed or was cancelled,
2 wrong usage or input, 3 the engine cannot be reached or refuses
the token, 130 interrupted."""


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(package_name="release-engine", prog_name="rectl", message="%(prog)s %(version)s")
def cli() -> None:
    """Release Engine: run the engine, deploy playbooks, watch deployments.

    RE_URL is the address of the engine and RE_TOKEN the token. Without them rectl uses the engine that `rectl up` runs on this machine.
    """


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Carry out one command line; the exit code."""
    session = Session(environ)
    try:
        # rich asks click for colours, and click ignores NO_COLOR
        color = False if session.environ.get("NO_COLOR") else None
        result = cli.main(list(arguments), prog_name="rectl", standalone_mode=False, obj=session, color=color)
        return result if isinstance(result, int) else DONE
    except click.ClickException as error:
        error.show()
        # click's own code for some is 1, which here says that a deployment failed
        return BAD_INPUT
    except (KeyboardInterrupt, click.Abort):
        session.terminal.note("")
        return INTERRUPTED
    except ReaderGone:
        _forget_output()
        return INTERRUPTED  # not 0: the outcome of the watched deployment is unknown
    except ReleaseEngineError as error:
        session.terminal.error(str(error))
        return _exit_code(error)
    finally:
        session.close()


def _exit_code(error: ReleaseEngineError) -> int:
    if isinstance(error, ClientError):
        return error.exit_code
    return BAD_INPUT if isinstance(error, CallerError | OperatorError) else NOT_REACHABLE


def _forget_output() -> None:
    """Python flushes at its end, and would complain that the pipe is closed."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())


if __name__ == "__main__":
    main()
