"""`re-worker NAME…`: workers and notifiers as a process of their own. Must not know what they do.

Any number of processes may offer the same: each step goes to one of them. A worker needs the bus alone, no store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from re_core import connections
from re_core.errors import BadSettings
from re_core.process import CANNOT, Process, check_shared, launch, leave, pinged, reach
from re_core.rows import WorkerPlace
from re_core.runtime.settings import Settings
from re_core.runtime.supervision import SupervisorNotifier
from re_core.wire.proof import SigningKey
from re_core.wire.redaction import Redaction
from re_workers import credential as credentials
from re_workers.host import SLOTS, WorkerHost
from re_workers.machine_slot import MachineSlot
from re_workers.notify.reach import Reach
from re_workers.notify.transports import policy
from re_workers.worker_selection import ALL, Crew, chosen, listed, secrets, sweep


class WorkerProcess:
    """Bus, workers and notifiers."""

    def __init__(
        self,
        settings: Settings,
        crew: Crew,
        slots: int,
        observation: connections.Observation,
        credential: SigningKey | None = None,
    ) -> None:
        """Connect and begin. Raises OperatorError, TransientError."""
        self._bus = reach(settings, None)
        clock, redaction = connections.system_clock(), Redaction(settings.redact)
        self._reach = Reach(crew.probes)
        self._hosts = crew.hosts
        try:
            self._host = WorkerHost(
                self._bus,
                clock,
                crew.workers,
                crew.handlers,
                slots,
                redaction,
                observer=observation.observer,
                degraded=self._reach.trouble,
                secrets=secrets(settings),
                place=_place(settings),
                notices=policy(settings),
                credential=credential,
            )
        except BaseException:
            self._bus.close()
            raise
        observation.metrics.watch_running(self._host.running)
        self._host.start()
        self._reach.start()

    def ready(self) -> Mapping[str, str]:
        """See process.Part."""
        return {"bus": pinged(self._bus.ping)}

    def alive(self) -> bool:
        """Its loops outlive every mistake."""
        return True

    def stop(self, seconds: float) -> None:
        """Running steps may end, then they are cancelled; what has not begun goes to another worker."""
        self._reach.stop()
        self._host.stop(seconds)
        self._hosts.close()
        self._bus.close()


def act(settings: Settings, names: Sequence[str], slots: int, ready_file: Path | None) -> int:
    """Run until a stop signal; the exit code. Raises OperatorError."""
    check_shared(settings, store=False)
    _place(settings)
    notifier = SupervisorNotifier(os.environ, ready_file)
    key = credentials.read(settings.worker_credential_file)
    place = MachineSlot(settings.data_dir)
    sweep(settings)
    crew = chosen(settings, place, names)
    observation = connections.Observation(settings, "re-worker")
    observation.listen(settings)
    try:
        return Process("re-worker", settings, notifier).run(
            lambda: WorkerProcess(settings, crew, slots, observation, key)
        )
    finally:
        observation.close()


def _place(settings: Settings) -> WorkerPlace:
    """Raises BadSettings."""
    if settings.worker_environments and not settings.worker_pool:
        # else it shares a queue with others, and takes steps from it that the core cannot grant it
        raise BadSettings(
            "worker_environments: a worker that is bound to environments needs a pool of its own: --pool NAME"
        )
    return WorkerPlace(settings.worker_pool, settings.worker_labels, settings.worker_environments)


def show(settings: Settings) -> int:
    """Print what there is to run; the exit code."""
    rows = listed(settings)
    wide = max(len(name) for name, _ in rows)
    for name, about in rows:
        click.echo(f"{name:{wide}}  {about}")
    return 0


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--list", "as_list", is_flag=True, help="List the available workers and notifiers.")
@click.option(
    "--slots",
    type=click.IntRange(1, 1000),
    default=SLOTS,
    show_default=True,
    help="Number of steps that each worker runs at once.",
)
@click.option(
    "--pool", default="", metavar="NAME", help="Take the steps of this pool alone, instead of RE_WORKER_POOL's."
)
@click.option(
    "--environment",
    "environments",
    multiple=True,
    metavar="NAME",
    help="Bind the worker to this environment, instead of those of RE_WORKER_ENVIRONMENTS; repeatable.",
)
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=TEXT",
    help="What people want to know of the worker, instead of RE_WORKER_LABELS; repeatable.",
)
@click.option(
    "--credential",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file by which the worker shows who it is, instead of RE_WORKER_CREDENTIAL_FILE.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that exists, and is touched every second, while the worker is ready.",
)
@click.version_option(package_name="release-engine", prog_name="re-worker", message="%(prog)s %(version)s")
def command(
    names: tuple[str, ...],
    as_list: bool,
    slots: int,
    pool: str,
    environments: tuple[str, ...],
    labels: tuple[str, ...],
    credential: Path | None,
    ready_file: Path | None,
) -> None:
    """Run steps and deliver notifications.

    NAME is a worker (a command of playbooks) or a notifier; `all` means every worker, and every notifier whose server the
    settings name. Start any number of them, in any order. They use the RabbitMQ of RE_BUS_URL. After TERM the worker
    begins no step, and running steps have RE_STOP_TIMEOUT seconds to end; 10 seconds before that (half of the time where it is shorter
    than 20) the worker cancels them. A second TERM stops it at once.

    Exit codes: 0 stopped by a signal, 1 an internal error (start it again), 2 the operator must correct a setting or a server.
    """
    if as_list:
        leave(launch("re-worker", "reworker", show, os.environ))
    if not names:
        click.echo(f"re-worker: name the workers to run: NAME..., or {ALL}", err=True)
        launch("re-worker", "reworker", show, os.environ)
        leave(CANNOT)
    said = {
        "RE_WORKER_POOL": pool,
        "RE_WORKER_ENVIRONMENTS": ",".join(environments),
        "RE_WORKER_LABELS": ",".join(labels),
        "RE_WORKER_CREDENTIAL_FILE": "" if credential is None else str(credential.absolute()),
    }
    given = {**os.environ, **{name: value for name, value in said.items() if value}}
    leave(launch("re-worker", "reworker", lambda settings: act(settings, names, slots, ready_file), given))


def main() -> None:
    """The console script."""
    command()


if __name__ == "__main__":
    main()
