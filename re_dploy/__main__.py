"""`re-dploy`: parts of dploy as processes of their own. Must not know what they do."""

from __future__ import annotations

import os
from pathlib import Path

import click

from re_core.process import launch, leave
from re_core.runtime.settings import Settings
from re_dploy.opening import check_extra


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="release-engine", prog_name="re-dploy", message="%(prog)s %(version)s")
def command() -> None:
    """Run apps in zones."""


@command.command()
@click.option(
    "--config",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="What the zone is: docs/how-to/run-zones.md.",
)
@click.option("--watch-stdin", is_flag=True, hidden=True, help="End when standard input ends: the engine has died.")
def zone(config: Path, watch_stdin: bool) -> None:
    """Run the agent of a zone on this host: it carries out orders of the center, and supervises apps.

    It needs no settings of the engine but those of the log (RE_LOG_LEVEL, RE_LOG_FORMAT). TERM stops it; apps go on unless its
    configuration says `at_stop: end`.

    Exit codes: 0 stopped by a signal, 1 an internal error (start it again), 2 the operator must correct its configuration.
    """

    def act(_: Settings) -> int:
        check_extra("the agent of a zone")
        from re_dploy.zone.command import run

        return run(config, watch_stdin)

    leave(launch("re-dploy", "redploy", act, os.environ))


def main() -> None:
    """The console script."""
    command()


if __name__ == "__main__":
    main()
