"""`re-dploy`: parts of dploy as processes of their own. Must not know what they do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from re_core import bootstrap, connections
from re_core.process import Process, check_shared, launch, leave, pinged, reach
from re_core.runtime.settings import Settings
from re_core.runtime.supervision import SupervisorNotifier
from re_dploy.opening import check_extra, check_part, open_part
from re_dploy.surroundings import Surroundings


class PartProcess:
    """Store, bus, and the center or a builder."""

    def __init__(self, settings: Settings, observation: connections.Observation, name: str) -> None:
        """Open them and begin. Raises OperatorError, TransientError."""
        self._failed = False
        self._store = bootstrap.open_store(settings)
        try:
            self._bus = reach(settings, self._store)
            try:
                self._begin(settings, observation, name)
            except BaseException:
                self._bus.close()
                raise
        except BaseException:
            self._store.close()
            raise

    def _begin(self, settings: Settings, observation: connections.Observation, name: str) -> None:
        seal, clock = bootstrap.open_seal(settings), connections.system_clock()
        here = Surroundings(self._bus, self._store, clock, seal, self._on_fatal, observation.observer)
        self._part = open_part(name, settings, here)
        self._part.start()
        observation.metrics.watch_running(self._part.running)
        if (figures := self._part.figures()) is not None:
            observation.metrics.watch_zones(figures)

    def ready(self) -> Mapping[str, str]:
        """See process.Service."""
        return {"bus": pinged(self._bus.ping), "store": pinged(self._store.ping), **self._part.ready()}

    def alive(self) -> bool:
        """See process.Service."""
        return not self._failed and self._part.alive()

    def stop(self, seconds: float) -> None:
        """Steps that run are given to another process; zones go on as they are."""
        self._part.stop(seconds)
        self._bus.close()
        self._store.close()

    def _on_fatal(self, error: Exception) -> None:
        """A thread of it cannot go on: the process ends, and its supervisor starts another one."""
        self._failed = True


def _serve(name: str, settings: Settings, ready_file: Path | None) -> int:
    """Run a part until a stop signal; the exit code. Raises OperatorError."""
    check_shared(settings)
    check_extra(f"re-dploy {name}")
    check_part(name, settings)
    process = Process(f"re-dploy {name}", settings, SupervisorNotifier(os.environ, ready_file))
    observation = connections.Observation(settings, f"re-dploy {name}")
    observation.listen(settings)
    try:
        return process.run(lambda: PartProcess(settings, observation, name))
    finally:
        observation.close()


_ready_file = click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that exists, and is touched every second, while it is ready.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="release-engine", prog_name="re-dploy", message="%(prog)s %(version)s")
def command() -> None:
    """Build apps, and run them in zones."""


@command.command()
@_ready_file
def center(ready_file: Path | None) -> None:
    """Let clients ask for releases at RE_DPLOY_LISTEN, and give the zones of RE_DPLOY_ZONES their orders.

    Start any number of them, with the same keys; each continues what another one has begun. They use the RabbitMQ of RE_BUS_URL and the
    MongoDB of RE_STORE_URL. TERM stops it; zones go on as they are.

    Exit codes: 0 stopped by a signal, 1 an internal error (start it again), 2 the operator must correct a setting or a server.
    """
    leave(launch("re-dploy", "redploy", lambda settings: _serve("center", settings, ready_file), os.environ))


@command.command()
@_ready_file
def build(ready_file: Path | None) -> None:
    """Build what was pushed, RE_DPLOY_BUILDS at once.

    Start any number of them. They use the RabbitMQ of RE_BUS_URL and the MongoDB of RE_STORE_URL. TERM stops it; builds that run begin
    again in another process.

    Exit codes: 0 stopped by a signal, 1 an internal error (start it again), 2 the operator must correct a setting or a server.
    """
    leave(launch("re-dploy", "redploy", lambda settings: _serve("build", settings, ready_file), os.environ))


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
