"""`re-core`: the core as a process of its own. Must not know what the core is made of.

Any number of them share the work; none is a leader. What one of them leaves behind, another one takes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from re_core import bootstrap, connections
from re_core.ports.peering import REFUSALS
from re_core.process import Process, check_shared, launch, leave, pinged, reach
from re_core.runtime.settings import Settings
from re_core.runtime.supervision import SupervisorNotifier


class CoreProcess:
    """Store, bus and core."""

    def __init__(
        self,
        settings: Settings,
        process: Process,
        observation: connections.Observation,
        refused: Callable[[str], None],
    ) -> None:
        """Open them and begin. `refused`: see Core. Raises OperatorError, TransientError."""
        self._store = bootstrap.open_store(settings)
        try:
            self._bus = reach(settings, self._store)
            try:
                clock, observer = connections.system_clock(), observation.observer
                peering = bootstrap.open_peering(settings)
                self._core = bootstrap.Core(
                    settings,
                    self._bus,
                    self._store,
                    clock,
                    process.fatal,
                    observer=observer,
                    peering=peering,
                    refused=refused,
                    secret_seal=bootstrap.open_secret_seal(settings),
                )
            except BaseException:
                self._bus.close()
                raise
        except BaseException:
            self._store.close()
            raise
        observation.watch(self._core, self._store, clock)
        self._core.start()

    def ready(self) -> Mapping[str, str]:
        """See process.Part."""
        bus, store = pinged(self._bus.ping), pinged(self._store.ping)
        # without the bus no heartbeat comes that could be written
        return {"bus": bus, "store": store or ("" if bus else self._core.unwritten()), "core": self._core.trouble()}

    def alive(self) -> bool:
        """See process.Part."""
        return self._core.alive()

    def stop(self, seconds: float) -> None:
        """The batch under way is finished; what is on the queues goes to another core, or waits for one."""
        self._core.stop(seconds, finish=False)
        self._bus.close()
        self._store.close()


def act(settings: Settings, ready_file: Path | None) -> int:
    """Run until a stop signal; the exit code. Raises OperatorError."""
    check_shared(settings)
    process = Process("re-core", settings, SupervisorNotifier(os.environ, ready_file))
    observation = connections.Observation(settings, "re-core")
    refused = observation.metrics.peers(REFUSALS).refused
    observation.listen(settings)
    try:
        return process.run(lambda: CoreProcess(settings, process, observation, refused))
    finally:
        observation.close()


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that exists, and is touched every second, while the core is ready.",
)
@click.version_option(package_name="release-engine", prog_name="re-core", message="%(prog)s %(version)s")
def command(ready_file: Path | None) -> None:
    """Run deployments: accept requests, dispatch steps, keep the journals.

    Start any number of them, in any order. They use the RabbitMQ of RE_BUS_URL and the MongoDB of RE_STORE_URL. Settings come
    from the environment and from the file that RE_CONFIG names. TERM stops it after its current batch, a second TERM at once.

    Exit codes: 0 stopped by a signal, 1 an internal error (start it again), 2 the operator must correct a setting or a server.
    """
    leave(launch("re-core", "recore", lambda settings: act(settings, ready_file), os.environ))


def main() -> None:
    """The console script."""
    command()


if __name__ == "__main__":
    main()
