"""Builds the objects from the settings. It and connections alone import adapters; must not know HTTP or workers."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec

from re_core.admission.acceptance import Acceptance
from re_core.admission.exclusive import Exclusive
from re_core.cdpm.sources import allowed
from re_core.connections import EMBEDDED
from re_core.deployment.plan import OnLost
from re_core.deployment.senders import Protection
from re_core.errors import BadSettings, ReleaseEngineError
from re_core.playbook.command_rules import CommandRules
from re_core.playbook.compiler import EnginePolicy
from re_core.playbook.host_rules import AsWritten, HostResolver, HostRules
from re_core.playbook.notice_routes import read_routes
from re_core.playbook.secret_rules import SecretRules
from re_core.ports import (
    UNOBSERVED,
    Bus,
    Clock,
    EntryCodec,
    LinkFigures,
    Observer,
    Store,
    ThreadFigures,
)
from re_core.ports.peering import Peering, Seal
from re_core.runtime import addresses
from re_core.runtime.inventory_sources import sources_of
from re_core.runtime.setting_kinds import masked
from re_core.runtime.settings import Settings
from re_core.sequencer.aggregate import Aggregate
from re_core.sequencer.apps import Apps
from re_core.sequencer.loop import Sequencer
from re_core.sequencer.pipelines import Pipelines
from re_core.services.artifacts import ArtifactAnswers
from re_core.services.cdpm import PipelineServices
from re_core.services.daily_digest import DailyDigests
from re_core.services.dead_letters import DeadLetterRecorder
from re_core.services.heartbeats import Heartbeats
from re_core.services.inventory_watch import InventoryWatch
from re_core.services.notification_recorder import NotificationRecorder
from re_core.services.output_recorder import Recorder
from re_core.services.polling import PollingThread
from re_core.services.pruner import Pruner
from re_core.services.secrets import SecretAnswers
from re_core.services.sweeper import Sweeper, recover
from re_core.usecases.artifact_pushing import Bounds
from re_core.usecases.artifact_release import Shelf
from re_core.usecases.secret_release import Release
from re_core.usecases.secrets import SecretDesk
from re_core.usecases.worker_proofs import WorkerProofs
from re_core.wire.redaction import Redaction
from re_core.workforce.capabilities import LiveOffers
from re_core.workforce.failure_detector import FailureDetector
from re_core.workforce.presence import UNPROVEN, Presence, RollCall
from re_core.workforce.routing import StepRouter

#: seconds that a consumer waits for a delivery before it looks whether it shall stop
WAIT = 1.0

#: names of the threads of a core's consumers
_THREADS = ("sequencer", "recorder", "heartbeats", "dead-letters", "secrets", "artifacts", "notifications")

#: seconds between two looks of the sweeper
SWEEP = 0.5

#: kinds of aggregates beside deployments, registered here (docs/decisions/0021)
KINDS: tuple[type[Aggregate], ...] = (Pipelines, Apps)

_log = logging.getLogger(__name__)


#: scheme of a URL -> the module that holds its adapter
ADAPTERS = {
    "amqp": "re_core.adapters.amqp",
    "amqps": "re_core.adapters.amqp",
    "mongodb": "re_core.adapters.mongo",
    "mongodb+srv": "re_core.adapters.mongo",
}


def load_adapters(settings: Settings) -> None:
    """Import what `open_store` and `open_bus` will need, for a process that forks before it opens them."""
    for url in (settings.bus_url, settings.store_url):
        module = ADAPTERS.get(url.partition(":")[0])
        if module is not None:
            import_module(module)


def open_store(settings: Settings, kinds: Sequence[type[Aggregate]] = KINDS) -> Store:
    """The store that the settings name. Raises BadSettings, StoreRefused, StoreUnavailable.

    A server that is not there yet is StoreUnavailable after five seconds: the processes may be started in any order,
    so callers try again. Journals of `kinds` can be read beside those of deployments; an entry of any other kind is refused.
    """
    codec = EntryCodec(*kinds)
    if settings.store_url.startswith("sqlite:///"):
        from re_core.adapters.sqlite import SqliteStore

        return SqliteStore(settings.store_url.removeprefix("sqlite:///"), codec=codec)
    if settings.store_url.startswith(("mongodb://", "mongodb+srv://")):
        from re_core.adapters.mongo import MongoStore

        return MongoStore(settings.store_url, codec)
    raise BadSettings(
        "RE_STORE_URL: expected sqlite:///<path> or mongodb://…/<database>, "
        f"found {masked(settings.store_url, False)!r:.60}"
    )


def open_peering(settings: Settings, make_key: bool = False) -> Peering | None:
    """What pipelines need to speak with their peers; None where they do not. Raises BadSettings.

    `make_key`: make the file that seals private keys where it is missing; never in a cluster, whose processes share one.
    """
    if not settings.cdpm:
        return None
    try:
        from re_core.adapters.peering.channel import serve
        from re_core.adapters.peering.dialer import PeerDialer
        from re_core.adapters.peering.jws import JoseSignatures, new_key
        from re_core.adapters.peering.seal import FernetSeal, make_file
        from re_core.adapters.peering.sources import PeerSources
        from re_core.runtime.http_exchange import ExchangeFailed, Way
    except ImportError as error:
        raise BadSettings(f"RE_CDPM: {error.name} is missing; pip install release-engine[cdpm]") from None
    if make_key:
        make_file(settings.secret_key_file)
    ca_file = None if settings.cdpm_ca_file is None else str(settings.cdpm_ca_file)
    way = Way(addresses.rule(settings.cdpm_denied, "cdpm_denied"), ca_file)
    try:
        if ca_file is not None:
            way.trust()
    except ExchangeFailed as error:
        raise BadSettings(f"RE_CDPM_CA_FILE: {error}") from None
    permitted = allowed(settings.cdpm_sources)
    sources, dialer = PeerSources(permitted, way), PeerDialer(way, permitted.kinds | {"https"})
    return Peering(JoseSignatures(), sources, FernetSeal(settings.secret_key_file), new_key, serve, dialer)


def open_seal(settings: Settings, make_key: bool = False) -> Seal:
    """What closes the configs of apps in the store. Raises BadSettings.

    `make_key`: as of `open_peering`.
    """
    try:
        from re_core.adapters.peering.seal import CONFIGS, FernetSeal, make_file
    except ImportError as error:
        raise BadSettings(f"RE_DPLOY: {error.name} is missing; pip install release-engine[dploy]") from None
    if make_key:
        make_file(settings.secret_key_file)
    return FernetSeal(settings.secret_key_file, CONFIGS)


def open_secret_seal(settings: Settings, make_key: bool = False) -> Seal | None:
    """What closes the secrets of the store; None where the extra is missing. The file of its keys is read when it is used.

    `make_key`: as of `open_peering`.
    """
    try:
        from re_core.adapters.peering.seal import SECRETS, LateSeal
    except ImportError:
        return None
    return LateSeal(settings.secret_key_file, SECRETS, make_key)


def open_inventory(settings: Settings, store: Store, on_fatal: Callable[[Exception], None]) -> InventoryWatch:
    """What keeps the inventory of the settings and of the store, once it is started."""
    return InventoryWatch(sources_of(settings.inventory), store, settings.unknown_hosts == "refuse", on_fatal)


def around(settings: Settings, hosts: HostResolver = AsWritten()) -> EnginePolicy:  # noqa: B008  # it is immutable
    """What the settings put around every deployment; `hosts` as `open_inventory` made it."""
    return EnginePolicy(
        checks=settings.pre_deploy_check,
        actions=settings.post_deploy_action,
        triggers=settings.triggers,
        notify=settings.phase_notification,
        routes=read_routes(settings.notify_routes),
        step_timeout=settings.step_timeout,
        patience=settings.queue_timeout,
        output_quota=settings.output_quota,
        on_lost=OnLost(settings.lost_steps),
        commands=CommandRules(settings.group_commands),
        secrets=SecretRules(settings.group_secrets),
        hosts=hosts,
        host_rules=HostRules(settings.group_hosts),
    )


def protection(settings: Settings) -> Protection:
    """Which steps only workers get that have shown who they are: in one process all are the engine's own. Raises BadSettings."""
    if settings.bus_url == EMBEDDED:
        return Protection()
    found = Protection(
        settings.worker_credentials == "required",
        frozenset(settings.protected_environments),
        frozenset(settings.protected_pools),
    )
    if found != Protection() and find_spec("cryptography") is None:
        raise BadSettings(
            "RE_WORKER_CREDENTIALS, RE_PROTECTED_ENVIRONMENTS and RE_PROTECTED_POOLS need cryptography: "
            "pip install release-engine[secrets]"
        )
    return found


def _proofs(settings: Settings, store: Store, clock: Clock) -> WorkerProofs | None:
    """One for each thread."""
    return None if settings.bus_url == EMBEDDED else WorkerProofs(store, clock, protection(settings))


def _bounds(settings: Settings) -> Bounds:
    return Bounds(settings.artifact_limit, settings.artifact_quota)


def _release(settings: Settings, store: Store, clock: Clock, seal: Seal | None) -> Release:
    rules = SecretRules(settings.group_secrets)
    return Release(store, SecretDesk(store, clock, seal), rules, alone=settings.bus_url == EMBEDDED)


class Core:
    """The core's consumers, each on its thread."""

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        store: Store,
        clock: Clock,
        on_fatal: Callable[[Exception], None],
        identity: str = "",
        observer: Observer = UNOBSERVED,
        kinds: Sequence[type[Aggregate]] = KINDS,
        peering: Peering | None = None,
        refused: Callable[[str], None] = lambda code: None,
        secret_seal: Seal | None = None,
    ) -> None:
        """Subscribes, but takes nothing yet. `on_fatal` is called with the reason why the core cannot go on.

        `identity` must be new at every start; one is made where it is empty. `kinds` of aggregates beside deployments, which
        the store has to know too. `peering`: what `open_peering` made; None: pipelines have no links;
        `refused` is called with the code of each message of a dependency that is refused. `secret_seal`: what `open_secret_seal`
        made.
        """
        #: names this start of the core
        self.identity = identity or f"{int(time.time() * 1000):x}-{secrets.token_hex(4)}"
        self._bus, self._store = bus, store
        redaction = Redaction(settings.redact)
        self._presence = Presence(self.identity)
        self._roll = RollCall(store, self._presence)
        offers, proofs = LiveOffers(self._roll, clock, protection(settings)), partial(_proofs, settings, store, clock)
        shared = settings.bus_url != EMBEDDED
        self.inventory = open_inventory(settings, store, on_fatal)
        acceptance = Acceptance(store, offers, around(settings, self.inventory), Exclusive(store, clock, self.identity))
        waits = settings.missing_worker == "wait"
        legacy = [f"worker.{name.removeprefix('worker.')}" for name in settings.legacy_workers]
        offering = StepRouter(bus, offers, clock, waits, legacy) if shared else None
        self._consumers = (
            Sequencer(
                bus,
                store,
                clock,
                acceptance,
                self.identity,
                redaction,
                offering,
                observer=observer,
                kinds=kinds,
                accepting=None if waits else offers,
                proofs=proofs(),
            ),
            Recorder(bus, store, clock, redaction, settings.output_quota),
            Heartbeats(bus, store, clock, self._presence, proofs(), observer),
            DeadLetterRecorder(bus, store, clock),
            SecretAnswers(bus, _release(settings, store, clock, secret_seal), proofs(), observer),
            ArtifactAnswers(bus, Shelf(store, clock), self.identity, _bounds(settings), proofs(), observer),
            NotificationRecorder(bus, store, clock),
        )
        self._pumps = [
            PollingThread(name, lambda consumer=consumer: consumer.turn(WAIT), on_fatal)  # type: ignore[misc]
            for name, consumer in zip(_THREADS, self._consumers, strict=True)
        ]
        self._sweeper = Sweeper(bus, store, clock)
        self._sweep = PollingThread("sweeper", self._look, on_fatal)
        self._daily_work(settings, bus, store, clock, on_fatal)
        # in one process all workers are there as long as the core is
        self._absence = FailureDetector(bus, store, clock, self._roll) if shared else None
        #: queues of workers that declare nothing, until they are there
        self._undeclared = legacy
        self._pipelines: PipelineServices | None = None
        if peering is not None:
            alone, window = not shared, settings.cdpm_window * 1000
            self._pipelines = PipelineServices(
                peering, bus, store, clock, self.identity, alone, window, refused, on_fatal
            )

    def _daily_work(
        self, settings: Settings, bus: Bus, store: Store, clock: Clock, on_fatal: Callable[[Exception], None]
    ) -> None:
        """What happens once a day."""
        self._pruner = Pruner(store, clock, settings.prune_older, settings.artifact_keep)
        self._prune = PollingThread("pruner", self._forget, on_fatal)
        self._digests = DailyDigests(bus, store, clock, read_routes(settings.notify_routes), settings.public_url)
        self._daily = [PollingThread("daily-digests", self._tell_daily, on_fatal)] if self._digests.needed else []

    def recover(self, spared: Collection[str] = ()) -> int:
        """On the bus that is one process: go on with what the last one left. Before any worker starts.

        `spared`: ids of attempts that a worker of this process resumes, or gives up, by itself (WorkerHost.resume): they are not
        lost by the restart.
        """
        count = recover(self._bus, self._store, self.identity, spared)
        if count:
            _log.info("continuing %d deployments, pipelines and apps", count, extra={"action": "recover"})
        return count

    def start(self) -> None:
        """Begin to take turns."""
        self.inventory.start()
        for pump in self._all:
            pump.start()

    @property
    def _all(self) -> tuple[PollingThread, ...]:
        return (
            *self._pumps,
            self._sweep,
            self._prune,
            *self._daily,
            *(self._pipelines.threads if self._pipelines else ()),
        )

    def _look(self) -> None:
        while self._undeclared:
            self._bus.declare(self._undeclared[-1])
            self._undeclared.pop()
        if self._absence is not None:
            self._absence.turn()
        else:
            self._roll.poll()
        self._sweeper.turn()
        self._sweep.pause(SWEEP)

    def _forget(self) -> None:
        self._prune.pause(self._pruner.turn())

    def _tell_daily(self) -> None:
        self._daily[0].pause(self._digests.turn())

    def alive(self) -> bool:
        """Whether all of it still works."""
        return all(pump.alive for pump in (*self._all, *self.inventory.threads))

    def figures(self) -> Mapping[str, ThreadFigures]:
        """Name of a thread -> whether it keeps up; without the one that looks every few hours."""
        others = () if self._pipelines is None else self._pipelines.threads
        return {pump.name: pump.figures for pump in (*self._pumps, self._sweep, *others)}

    def links(self) -> LinkFigures | None:
        """How the links of this core's pipelines stand; None where it has none."""
        return None if self._pipelines is None else self._pipelines.figures()

    def unready(self) -> Mapping[str, str]:
        """Id of a pipeline -> why it cannot speak with its peers."""
        return {} if self._pipelines is None else self._pipelines.troubles

    def trouble(self) -> str:
        """What keeps deployments from being accepted and carried on just now; empty where nothing does."""
        return "a thread of the core has died" if not self.alive() else self._pumps[0].trouble

    def unwritten(self) -> str:
        """Why nothing can be written to the store just now; empty where the core's own heartbeats are. Known within seconds."""
        # a disk that is nearly full takes heartbeats and no entries
        failure = next((why for pump in self._pumps if (why := pump.failure(UNPROVEN))), "")
        if not failure and self._roll.unproven() > UNPROVEN:
            failure = f"the core's own heartbeat was not stored for {self._roll.unproven():.0f} s"
        return failure

    def stop(self, deadline: float, finish: bool = True) -> None:
        """End the turns that are under way; `deadline` in seconds.

        `finish`: then take what else is on the queues, since workers that stopped before have said how their steps
        ended and no other core is there to take it.
        """
        end = time.monotonic() + deadline
        for pump in self._all:
            pump.request_stop()
        for consumer in self._consumers:
            consumer.wake()
        self.inventory.request_stop()
        if self._pipelines is not None:
            self._pipelines.request_stop()
        ended = [pump.join(max(0.0, end - time.monotonic())) for pump in self._all]
        if not all(ended):
            _log.warning("a consumer did not stop in time", extra={"action": "stop"})
        elif finish:
            for consumer in self._consumers:
                self._finish(consumer.turn, end)
        if self._pipelines is not None:
            self._pipelines.close()
        for consumer in self._consumers:
            consumer.close()

    @staticmethod
    def _finish(turn: Callable[[float], int], end: float) -> None:
        try:
            while time.monotonic() < end and turn(0):
                pass
        except ReleaseEngineError as error:  # the next start continues with it
            _log.warning("not everything was finished: %s", error, extra={"action": "stop"})
