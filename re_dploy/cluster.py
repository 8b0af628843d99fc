"""Center and builder as processes of a cluster: `re-dploy center`, `re-dploy build`. Must not know the command line.

All centers of a cluster have the same keys, since zones admit those; a builder has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from re_core.apps.names import GROUP
from re_core.errors import BadSettings
from re_core.ports import ZoneFigures
from re_core.runtime.settings import Settings
from re_core.usecases.apps.apps import Desk
from re_core.usecases.apps.asking import ask
from re_core.usecases.apps.reader import AppReader
from re_core.usecases.authorization import Binding, Principal
from re_core.wire.redaction import Redaction
from re_dploy.build.builder import Apps, open_builder
from re_dploy.center.center import Center
from re_dploy.center.options import CENTER_SOCKETS, Options, is_loopback, read_clients, read_zones, spread
from re_dploy.center.worker import Dploy
from re_dploy.surroundings import Surroundings
from re_workers.credential import read
from re_workers.host import WorkerHost
from re_workers.worker_selection import confinement

#: name of the file of the center's keys, and of who asks without keys where the settings have that
CENTER, PLAIN = "center", "local"


class ClusterCenter:
    """A center beside others. `start` and `stop` are called once each."""

    def __init__(self, settings: Settings, here: Surroundings) -> None:
        """Raises BadSettings."""
        self._reader = AppReader(here.bus, here.store)
        desk = Desk(here.bus, here.store, here.clock, self._reader, here.seal, settings.request_timeout)
        self._center = Center(
            options_of(settings),
            desk,
            Redaction(settings.redact),
            here.fatal,
            None,
            here.observer,
            credential=read(settings.worker_credential_file),
        )

    def start(self) -> None:
        """Listen, take steps, and look after zones. Raises BadSettings, StoreUnavailable, BusUnavailable."""
        self._center.start()

    def stop(self, seconds: float) -> None:
        """Steps that run are given to another center; zones go on as they are."""
        self._center.stop(seconds)
        self._reader.close()

    def ready(self) -> Mapping[str, str]:
        """Part -> why it cannot be used; empty where it can."""
        return self._center.ready()

    def alive(self) -> bool:
        """Whether all of its threads still work."""
        return self._center.alive()

    def running(self) -> list[str]:
        """Attempts that it carries out."""
        return self._center.running()

    def figures(self) -> Callable[[], ZoneFigures] | None:
        """What says how its zones stand."""
        return self._center.figures

    @property
    def addresses(self) -> Mapping[str, str]:
        """Socket -> where it listens."""
        return self._center.addresses


class ClusterBuilder:
    """A builder beside others. `start` and `stop` are called once each."""

    def __init__(self, settings: Settings, here: Surroundings) -> None:
        """Raises BadSettings."""
        self._reader = AppReader(here.bus, here.store)
        apps = Apps(self._reader.fresh, lambda app, event: ask(here.bus, app, event, settings.request_timeout))
        self._builder = open_builder(settings, here.store, here.clock, apps, confinement(settings), here.marks)
        self._make_host = partial(
            WorkerHost,
            here.bus,
            here.clock,
            [Dploy(builds=self._builder)],
            redaction=Redaction(settings.redact),
            observer=here.observer,
            credential=read(settings.worker_credential_file),
        )
        self._host: WorkerHost | None = None

    def start(self) -> None:
        """Take builds, after what a killed builder has left here was ended. Raises BusUnavailable."""
        self._builder.sweep()
        self._host = self._make_host()
        self._host.start()

    def stop(self, seconds: float) -> None:
        """Builds that run are given to another builder."""
        if self._host is not None:
            self._host.stop(seconds)
        self._reader.close()

    def ready(self) -> Mapping[str, str]:
        """It needs nothing but bus and store."""
        return {}

    def alive(self) -> bool:
        """Its host says so to the core."""
        return True

    def running(self) -> list[str]:
        """Attempts that it carries out."""
        return [] if self._host is None else self._host.running()

    def figures(self) -> Callable[[], ZoneFigures] | None:
        """It has no zones."""
        return None


def options_of(settings: Settings) -> Options:
    """What the settings say of a center of a cluster. Raises BadSettings."""
    if not settings.dploy_listen:
        raise BadSettings(
            "RE_DPLOY_LISTEN is not set: set it to the address at which clients and zones connect, 0.0.0.0:7500"
        )
    if settings.dploy_zones is None:
        raise BadSettings(
            "RE_DPLOY_ZONES is not set: set it to the file that names the zones (docs/how-to/run-zones.md)"
        )
    if settings.dploy_plain and not is_loopback(settings.dploy_listen):
        raise BadSettings(
            f"RE_DPLOY_LISTEN is {settings.dploy_listen}: with RE_DPLOY_PLAIN who can connect may release, so it has to be 127.0.0.1"
        )
    file = settings.dploy_keys_dir / f"{CENTER}.key_secret"
    if not settings.dploy_plain and not file.exists():
        raise BadSettings(
            f"{file} is missing: `dploylib keys {CENTER} --directory {file.parent}` makes it, for all centers alike"
        )
    return Options(
        spread(f"tcp://{settings.dploy_listen}", CENTER_SOCKETS, "RE_DPLOY_LISTEN"),
        None if settings.dploy_plain else file,
        read_zones(settings.dploy_zones, settings.dploy_plain),
        {} if settings.dploy_clients is None else read_clients(settings.dploy_clients),
        Principal(PLAIN, (Binding("member", GROUP),)) if settings.dploy_plain else None,
        settings.dploy_zone_wait,
        settings.request_timeout,
    )
