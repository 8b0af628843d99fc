"""A center, whole: built and run by a process of its own or by `rectl up`. Must not know settings.

To the engine it is a worker, to clients a service on ZeroMQ, to zones the only one whose orders they take. All that it relies on is
in journals, rows and zones, so another center goes on where this one ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

import zmq
from ulid import ULID

from dploylib.errors import DploylibError
from dploylib.services import Service
from dploylib.transport import Context, curve
from dploylib.transport.curve import Curve, KeyPair
from re_core.apps.names import GROUP
from re_core.errors import BadSettings
from re_core.ports import UNOBSERVED, Observer, ZoneFigures
from re_core.services.polling import PollingThread
from re_core.usecases.apps.apps import Desk
from re_core.usecases.apps.asking import ask
from re_core.usecases.apps.sealing import values_of
from re_core.wire.proof import SigningKey
from re_core.wire.redaction import Redaction
from re_dploy.center.announcing import PERIOD as ANNOUNCE
from re_dploy.center.announcing import Announcer
from re_dploy.center.calls import Zone
from re_dploy.center.cargoes import Cargoes
from re_dploy.center.checks import Checks
from re_dploy.center.door import Door
from re_dploy.center.front import Office, Waker, front_of
from re_dploy.center.keeping import PERIOD as KEEP
from re_dploy.center.keeping import Keeper
from re_dploy.center.lines import Lines, output_texts
from re_dploy.center.links import ZmqLink, fixed
from re_dploy.center.options import Options
from re_dploy.center.orders import Orders
from re_dploy.center.peers import Peers
from re_dploy.center.shelf import Shelf
from re_dploy.center.tools import Tools
from re_dploy.center.watching import AppList
from re_dploy.center.worker import Builds, Dploy
from re_workers.host import WorkerHost

#: seconds in which the sockets must stand
BIND = 10.0
#: seconds between two flushes of lines that clients broadcast
FLUSH = 0.25
#: seconds of a stop that are kept for threads and sockets
LAST = 2.0

_log = logging.getLogger(__name__)


class _Configs:
    """See orders.Configs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def env(self, app: str, config: str) -> Mapping[str, str]:
        if not config:
            return {}
        return values_of(self._desk.store, self._desk.sealing(), app, config)


class Center:
    """One. `bind`, `start` and `stop` are called once each, in this order."""

    def __init__(
        self,
        options: Options,
        desk: Desk,
        redaction: Redaction,
        fatal: Callable[[Exception], None],
        builds: Builds | None = None,
        observer: Observer = UNOBSERVED,
        addresses: Mapping[str, Callable[[str], str]] | None = None,
        credential: SigningKey | None = None,
    ) -> None:
        """`builds`: the builder's part, where this process has it too. `addresses`: of zones whose addresses change. `credential`: by
        what it shows the core who it is.

        `fatal` is called, by any thread, with the reason why the process cannot go on.
        """
        self.id = str(ULID())
        self._options, self._desk, self._fatal = options, desk, fatal
        self._stopping = threading.Event()
        self._context = Context.new()
        self._links = self._made_links(addresses or {})
        zones = {name: Zone(name, link) for name, link in self._links.items()}
        cargoes = Cargoes(desk.store)
        self._apps = AppList(desk.store, desk.reader, time.monotonic)
        tools = Tools(
            desk.reader,
            lambda app, event: ask(desk.bus, app, event, desk.timeout),
            zones,
            Orders(cargoes, _Configs(desk)),
            Checks(desk.store, desk.clock).check,
            time.monotonic,
            options.zone_wait,
            lambda deployment: output_texts(desk.store, deployment),
        )
        shelf = Shelf(desk.store, desk.clock, redaction.text)
        self.keepers = {name: Keeper(zone, tools, self._apps.states, shelf, self.id) for name, zone in zones.items()}
        self._lines = Lines(desk.bus, self.id, redaction)
        self._announcer = Announcer(desk.store, desk.reader, desk.clock, self._apps.states, self._publish)
        peers = Peers(
            options.clients, {zone.key: name for name, zone in options.zones.items() if zone.key}, options.plain
        )
        door = Door(desk, cargoes, self._announcer.find, self._lines.add)
        self._office = Office(door, peers, self._announcer.groups_of)
        self._peers = peers
        self._service = Service()
        self._service.add_server("center", front_of(self._office))
        self._waker: Waker | None = None
        worker = Dploy(tools, builds)
        self._make_host = partial(
            WorkerHost,
            desk.bus,
            desk.clock,
            [worker],
            redaction=redaction,
            identity=self.id,
            observer=observer,
            credential=credential,
        )
        self._host: WorkerHost | None = None
        self._threads = self._made_threads()

    def _made_links(self, moving: Mapping[str, Callable[[str], str]]) -> dict[str, ZmqLink]:
        own = _keys(self._options)
        links = {}
        for name, zone in self._options.zones.items():
            used: Curve | None = curve.client(zone.key, own) if zone.key and own is not None else None
            address = moving.get(name) or fixed(zone.addresses)
            links[name] = ZmqLink(name, self._context, address, used)
        return links

    def _made_threads(self) -> list[PollingThread]:
        threads = [
            PollingThread(f"dploy.keep.{name}", self._paced(keeper.turn, KEEP), self._fatal)
            for name, keeper in self.keepers.items()
        ]
        threads.append(PollingThread("dploy.announce", self._paced(self._announcer.turn, ANNOUNCE), self._fatal))
        threads.append(PollingThread("dploy.lines", self._paced(self._lines.flush, FLUSH), self._fatal))
        return threads

    def _paced(self, turn: Callable[[], None], seconds: float) -> Callable[[], bool]:
        """The turn, and then a pause that a stop ends."""

        def paced() -> bool:
            turn()
            self._stopping.wait(seconds)
            return True

        return paced

    # -- its life ----------------------------------------------------------------------------------

    def bind(self) -> dict[str, str]:
        """Listen, and exist for the core; socket -> address.

        Raises BadSettings where an address cannot be had, StoreUnavailable, BusUnavailable.
        """
        if self._host is None:
            self._serve()
            self._host = self._make_host()
        return self.addresses

    @property
    def addresses(self) -> dict[str, str]:
        """Socket -> where it listens."""
        return dict(self._office.addresses)

    def _serve(self) -> None:
        own = None if self._options.plain is not None else _keys(self._options)
        if own is None:
            text = "without keys any program of this machine may release the apps of the group %s: unset dploy_plain"
            _log.warning(text, GROUP, extra={"action": "dploy_plain"})
        encrypted = (
            {} if own is None else {"curve": {"secret_key": own.secret, "clients": self._peers.keys or [own.public]}}
        )
        # old listeners come again as soon as the sockets stand, and are asked whose broadcasts they want to hear
        self._announcer.learn()
        sockets = {name: {"uri": uri, **encrypted} for name, uri in self._options.listen.items()}
        try:
            self._service.start(config_dict={"servers": {"center": sockets}})
            self._service.wait_ready(BIND)
        except (DploylibError, TimeoutError, zmq.ZMQError) as error:
            self._service.stop(LAST)
            raise BadSettings(f"the center cannot listen: {error}") from None
        self._waker = Waker(self._office.context)
        self._office.on_send(self._waker)

    def start(self) -> None:
        """Take steps, and look after zones. Raises BadSettings, StoreUnavailable, BusUnavailable."""
        self.bind()
        assert self._host is not None  # noqa: S101  # bind made it
        self._host.start()
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Steps that run are given to another center, or to the next start of this one; zones go on as they are."""
        end = time.monotonic() + seconds
        self._stopping.set()
        for thread in self._threads:
            thread.request_stop()
        for link in self._links.values():
            link.close()
        if self._host is not None:
            self._host.stop(max(0.0, seconds - LAST))
        for thread in self._threads:
            if thread.alive:
                thread.join(max(0.1, end - time.monotonic()))
        self._office.close()
        if self._waker is not None:
            self._waker.close()  # first: the context of the servers' sockets, which its socket is of, ends with them
        self._service.stop(LAST)
        self._apps.close()
        self._context.term(int(LAST * 1000))

    # -- what it says of itself --------------------------------------------------------------------

    def ready(self) -> Mapping[str, str]:
        """Part -> why it cannot be used; empty where it can."""
        stopped = [thread.name for thread in self._threads if not thread.alive]
        return {"dploy": f"{stopped[0]} has ended" if stopped and not self._stopping.is_set() else ""}

    def alive(self) -> bool:
        """Whether all of its threads still work."""
        return all(thread.alive for thread in self._threads)

    def running(self) -> list[str]:
        """Attempts that it carries out."""
        return [] if self._host is None else self._host.running()

    def silent_zones(self) -> dict[str, str]:
        """Zone -> why it does not answer, of those that do not."""
        return {name: keeper.trouble for name, keeper in self.keepers.items() if keeper.trouble}

    def figures(self) -> ZoneFigures:
        """How its zones stand, for metrics."""
        silent = len(self.silent_zones())
        behind = sum(len(keeper.errors) for keeper in self.keepers.values())
        return ZoneFigures(len(self.keepers) - silent, silent, behind, self.dropped())

    def dropped(self) -> dict[str, int]:
        """Reason -> what was dropped of that which clients sent."""
        return dict(self._office.dropped)

    def _publish(self, broadcast_id: str, body: bytes) -> None:
        self._office.publish(broadcast_id, body)


def _keys(options: Options) -> KeyPair | None:
    """The center's own. Raises BadSettings."""
    if options.key_file is None:
        return None
    try:
        return curve.read_file(options.key_file)
    except DploylibError as error:
        raise BadSettings(str(error)) from None
