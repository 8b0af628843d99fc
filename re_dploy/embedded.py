"""Center, builder and one zone in the family of one process: what `rectl up` runs. Must not know front ends.

Center and builder are threads of this process, since the bus is in its memory. The agent of the zone is a process of its own: it dies
and is started again by itself.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path

from dploylib.errors import ConfigurationError
from dploylib.transport import curve
from dploylib.transport.curve import KeyPair
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
from re_dploy.center.options import CENTER_SOCKETS, Options, ZoneOptions, is_loopback, read_clients, read_zones, spread
from re_dploy.local_zone import LOCAL, LocalZone, apps_of
from re_dploy.surroundings import Surroundings
from re_workers.worker_selection import confinement

#: names of the files of keys: of the center, of the zone, and of clients on this machine
CENTER, CLIENT = "center", "client"

#: share of the seconds of a stop that the center gets; the zone has all of them, since its apps end with it
CENTER_STOP = 0.6


class Embedded:
    """`bind`, `start` and `stop` are called once each, in this order."""

    def __init__(self, settings: Settings, here: Surroundings) -> None:
        """Nothing runs yet. Raises BadSettings."""
        pairs = {name: _keys(settings.dploy_keys_dir, name) for name in (CENTER, CLIENT, LOCAL)}
        self._reader = AppReader(here.bus, here.store)
        desk = Desk(here.bus, here.store, here.clock, self._reader, here.seal, settings.request_timeout)
        apps = Apps(self._reader.fresh, lambda app, event: ask(here.bus, app, event, settings.request_timeout))
        confined = confinement(settings)
        self._builder = open_builder(settings, here.store, here.clock, apps, confined, here.marks)
        general = apps_of(settings, confined.user)
        directory = settings.data_dir / "dploy" / LOCAL
        self._zone = LocalZone(directory, pairs[LOCAL], pairs[CENTER].public, general, settings.dploy_plain)
        self._center = Center(
            _options(settings, pairs, self._zone.addresses()),
            desk,
            Redaction(settings.redact),
            here.fatal,
            self._builder,
            here.observer,
            {LOCAL: self._zone.address},
        )

    @property
    def id(self) -> str:
        """Of the worker that it is to the engine."""
        return self._center.id

    def bind(self) -> Mapping[str, str]:
        """Exist for the core, and listen; socket -> address. Raises BadSettings, BusUnavailable."""
        return self._center.bind()

    def start(self) -> None:
        """Take steps, and run the zone. Raises BadSettings, StoreUnavailable, BusUnavailable."""
        self._builder.sweep()
        self._zone.start(self._center.addresses["fetch"])
        self._center.start()

    def stop(self, seconds: float) -> None:
        """Apps end with the zone; a release that goes on is continued by the next start."""
        self._zone.ask_to_end()
        self._center.stop(seconds * CENTER_STOP)
        self._zone.end(seconds * (1 - CENTER_STOP))
        self._reader.close()

    def ready(self) -> Mapping[str, str]:
        """Part -> why it cannot be used; empty where it can."""
        return self._center.ready()

    def degraded(self) -> Mapping[str, str]:
        """Zone -> why it cannot be reached, of those that cannot; what else there is goes on."""
        silent = {f"zone {name}": why for name, why in self._center.silent_zones().items()}
        own = self._zone.trouble()
        return {**silent, f"zone {LOCAL}": own} if own else silent

    def running(self) -> list[str]:
        """Attempts that it carries out."""
        return self._center.running()

    def figures(self) -> ZoneFigures:
        """How its zones stand."""
        return self._center.figures()


def _options(settings: Settings, pairs: Mapping[str, KeyPair], local: Mapping[str, str]) -> Options:
    """Raises BadSettings."""
    zones = {} if settings.dploy_zones is None else read_zones(settings.dploy_zones, settings.dploy_plain)
    if LOCAL in zones:
        raise BadSettings(f"{settings.dploy_zones}: {LOCAL} is the zone of this machine; give the other another name")
    clients = {} if settings.dploy_clients is None else read_clients(settings.dploy_clients)
    # who can read its file can read the token beside it, which has all rights
    clients[pairs[CLIENT].public] = Principal(_user(), (Binding("admin"),))
    return Options(
        spread(_listen(settings), CENTER_SOCKETS, "dploy_listen"),
        settings.dploy_keys_dir / f"{CENTER}.key_secret",
        {**zones, LOCAL: ZoneOptions(local, pairs[LOCAL].public)},
        clients,
        Principal("local", (Binding("member", GROUP),)) if settings.dploy_plain else None,
        settings.dploy_zone_wait,
        settings.request_timeout,
    )


def _listen(settings: Settings) -> str:
    """Raises BadSettings where other hosts would reach a center that asks for no key."""
    if not settings.dploy_listen:
        return "tcp://127.0.0.1:*"
    if settings.dploy_plain and not is_loopback(settings.dploy_listen):
        raise BadSettings(f"dploy_plain: other hosts reach {settings.dploy_listen}; listen at 127.0.0.1, or unset it")
    return f"tcp://{settings.dploy_listen}"


def _keys(directory: Path, name: str) -> KeyPair:
    """The pair of that name, which is made where there is none. Raises BadSettings."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = directory / f"{name}.key_secret"
        if not file.exists():
            curve.write(curve.new_keys(), directory, name)
        return curve.read_file(file)
    except (OSError, ConfigurationError) as error:
        raise BadSettings(f"dploy_keys_dir: {error}") from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "local"
