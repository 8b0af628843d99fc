"""`re-forest`: the gateway of forest runners as a process of its own. Must not know their protocol.

Any number of processes serve runners: a runner connects to one of them, and each continues the releases that another left behind.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from re_core import bootstrap, connections
from re_core.errors import BadSettings
from re_core.process import Process, check_shared, launch, leave, pinged, reach
from re_core.runtime.settings import Settings
from re_core.runtime.supervision import SupervisorNotifier
from re_gateways.forest.opening import check_extra, listen, open_gateway


class GatewayProcess:
    """Store, bus and gateway."""

    def __init__(self, settings: Settings, observation: connections.Observation) -> None:
        """Open them and begin. Raises OperatorError, TransientError."""
        self._store = bootstrap.open_store(settings)
        try:
            self._bus = reach(settings, self._store)
            try:
                self._begin(settings, observation)
            except BaseException:
                self._bus.close()
                raise
        except BaseException:
            self._store.close()
            raise

    def _begin(self, settings: Settings, observation: connections.Observation) -> None:
        clock = connections.system_clock()
        self._gateway = open_gateway(settings, self._bus, self._store, clock, observation.observer)
        try:
            listen(settings, self._gateway)
            self._gateway.start()
        except BaseException:
            self._gateway.stop(0)
            raise
        observation.metrics.watch_running(self._gateway.running)

    def ready(self) -> Mapping[str, str]:
        """See process.Service."""
        return {"bus": pinged(self._bus.ping), "store": pinged(self._store.ping), **self._gateway.ready()}

    def alive(self) -> bool:
        """See process.Service."""
        return self._gateway.alive()

    def stop(self, seconds: float) -> None:
        """Runners keep their releases, and connect to another gateway, or to the next one at this address."""
        self._gateway.stop(seconds)
        self._bus.close()
        self._store.close()


def act(settings: Settings, ready_file: Path | None) -> int:
    """Run until a stop signal; the exit code. Raises OperatorError."""
    check_shared(settings)
    if not settings.forest_listen:
        raise BadSettings("RE_FOREST_LISTEN is not set: set it to the address at which runners connect, 127.0.0.1:7070")
    check_extra()
    process = Process("re-forest", settings, SupervisorNotifier(os.environ, ready_file))
    observation = connections.Observation(settings, "re-forest")
    observation.listen(settings)
    try:
        return process.run(lambda: GatewayProcess(settings, observation))
    finally:
        observation.close()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that exists, and is touched every second, while the gateway is ready.",
)
@click.version_option(package_name="release-engine", prog_name="re-forest", message="%(prog)s %(version)s")
def command(ready_file: Path | None) -> None:
    """Serve forest runners: pass `forest:Release` steps to them.

    Runners connect to RE_FOREST_LISTEN. Start any number of them, in any order; a runner connects to one of them, and each continues
    the releases that another one left behind. They use the RabbitMQ of RE_BUS_URL and the MongoDB of RE_STORE_URL, and need the extra
    `forest`. TERM stops it; runners keep their releases and connect again.

    Exit codes: 0 stopped by a signal, 1 an internal error (start it again), 2 the operator must correct a setting or a server.
    """
    leave(launch("re-forest", "reforest", lambda settings: act(settings, ready_file), os.environ))


def main() -> None:
    """The console script."""
    command()


if __name__ == "__main__":
    main()
