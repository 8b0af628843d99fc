"""What must hold of apps, whatever goes wrong. Judged from journals, zones and broadcasts; must not know how they come about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from re_core.apps import records as r
from re_core.apps.broadcasts import TERMINAL
from re_core.apps.state import State, begin, fold, wanted
from re_core.apps.values import OVER, Status, Version
from re_core.usecases.apps import broadcasts
from re_core.usecases.apps.broadcasts import Found
from re_core.wire import strict_json
from re_dploy.center.orders import is_of
from re_dploy.zone.state import RELEASE, RUN, WEB, App

if TYPE_CHECKING:
    from re_core.rows import ZoneRow
    from tests.simulation.app_zones import SimApp, SimProcess, SimZone
    from tests.simulation.apps import AppWorld


class Broken(AssertionError):
    """A promise."""


class Oracle:
    """See the module. Its methods are called where something happens."""

    def __init__(self, world: AppWorld) -> None:
        self._world = world
        #: (zone id, app id, version) -> how often its release command began
        self._released: dict[tuple[str, str, int], int] = defaultdict(int)
        #: (zone, app) -> revision of its routes -> when that, or a later one, was stored where readers look
        self._stored: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        #: id of a broadcast -> number -> what was said under it
        self._said: dict[str, dict[int, Any]] = defaultdict(dict)
        #: app id -> versions that were decided, in this order
        self._committed: dict[str, list[int]] = defaultdict(list)
        self._ended: dict[str, set[int]] = defaultdict(set)
        #: (zone, order) that were ready at some time
        self._ready: set[tuple[str, str]] = set()

    # -- journals ----------------------------------------------------------------------------------

    def recorded(self, app: str, state: State, records: Sequence[Any]) -> None:
        """An entry was written."""
        for record in records:
            if isinstance(record, r.Committed | r.Failed):
                if record.version in self._ended[app]:
                    raise Broken(f"v{record.version} of {app} ends twice")
                self._ended[app].add(record.version)
            if isinstance(record, r.Committed):
                self._commit(app, state, record.version)

    def _commit(self, app: str, state: State, number: int) -> None:
        if self._committed[app] and number <= self._committed[app][-1]:
            raise Broken(f"v{number} of {app} is decided after v{self._committed[app][-1]}")
        self._committed[app].append(number)
        version = state.versions[number]
        ready = {zone for zone, order in self._ready if is_of(order, version.job)}
        if missing := [zone for zone in version.zones if zone not in ready]:
            raise Broken(f"v{number} of {app} is decided, and {missing} were never ready")

    # -- zones -------------------------------------------------------------------------------------

    def saved(self, zone: SimZone, before: App, app: App) -> None:
        """A zone knows something else than before."""
        if app.app_id == before.app_id and app.epoch < before.epoch:
            raise Broken(f"{zone.name}: epoch {app.epoch} of {app.app} follows {before.epoch}")
        if app.order is not None and app.order.state == "ready":
            self._ready.add((zone.name, app.order.id))
        if app.current is not None and app.current != before.current:
            number = app.current.release.version
            if before.app_id == app.app_id and before.current and number < before.current.release.version:
                raise Broken(
                    f"{zone.name} goes back from v{before.current.release.version} to v{number} of {app.app_id}"
                )
            if number not in self._committed[app.app_id]:
                raise Broken(f"{zone.name} serves v{number} of {app.app_id}, which was never decided")
        self._serves(zone, before, app)
        ports = {int(one.rpartition(":")[2]) for one in app.addresses}
        for process in zone.apps[app.app].processes.values():
            if process.instance.port in ports:
                process.served, process.left = True, 0
            elif process.served and not process.left:
                process.left = app.revision

    def _serves(self, zone: SimZone, before: App, app: App) -> None:
        """Behind each new table a process lives that is up."""
        if app.addresses == before.addresses or app.current is None:
            return
        now = self._world.now
        serving = zone.serving(app.app)
        if app.current.formation.get(WEB) and not any(one.state(now) == "up" for one in serving):
            raise Broken(f"{zone.name}: nothing answers behind the new table of {app.app}")

    def starts(self, zone: SimZone, found: SimApp, process: SimProcess) -> None:
        """A process begins."""
        instance, app = process.instance, found.saved
        if instance.type == RELEASE:
            name = zone.id, app.app_id, instance.release.version
            self._released[name] += 1
            if self._released[name] > 1:
                raise Broken(f"{zone.name} runs the release command of v{instance.release.version} twice")
        state = self._world.states.get(app.app_id)
        version = None if state is None else state.versions.get(instance.release.version)
        if instance.type == RELEASE and version is not None and version.zones[0] != zone.name:
            raise Broken(
                f"{zone.name} runs the release command of v{instance.release.version}, and is not the first zone"
            )
        if version is not None and process.config != version.config:
            raise Broken(
                f"{zone.name}: v{version.number} of {app.app_id} has the config {version.config!r}, "
                f"its process gets {process.config!r}"
            )

    def ends(self, zone: SimZone, found: SimApp, process: SimProcess) -> None:
        """A process is asked to end: one that served does so after its successor's table was known for long enough."""
        app, instance, now = found.saved, process.instance, self._world.now
        if instance.type in (RELEASE, RUN) or app.current is None or process.state(now) != "up":
            return
        if instance.type != WEB or not process.served:
            return
        if any(one.endswith(f":{instance.port}") for one in app.addresses):
            raise Broken(f"{zone.name}: {instance.dir} is ended while the table names it")
        stored = self._stored[zone.name, app.app].items()
        known = [at for revision, at in stored if revision >= process.left]
        drain = app.drain * 1000
        if not known or now - min(known) < drain:
            raise Broken(f"{zone.name}: {instance.dir} is ended before its successor's table was known for {drain} ms")

    def stored(self, row: ZoneRow) -> None:
        """A report is where readers look."""
        for name, app in row.report["apps"].items():
            known = self._stored[row.name, name]
            known.setdefault(app["routes"]["revision"], self._world.now)

    def made_again(self, zone: SimZone) -> None:
        """What was stored of its tables counts no more."""
        for name in [name for name in self._stored if name[0] == zone.name]:
            del self._stored[name]

    def differs(self, zone: SimZone, state: State) -> str:
        """What the zone has otherwise than the journal wants; empty: nothing."""
        want, found = wanted(state, zone.name), zone.apps.get(state.name)
        app = None if found is None or found.saved.app_id != state.id else found.saved
        where = f"{zone.name} {state.id}"
        if want is None:
            alive = found is not None and any(one.alive for one in found.processes.values())
            running = app is not None and (app.current is not None or alive)
            return f"{where}: it should run nothing" if running else ""
        if app is None or app.current is None or found is None:
            return f"{where}: nothing runs, v{want.version} should"
        counts = {name: count for name, count in app.current.formation.items() if count}
        wanted_counts = {name: count for name, count in want.formation.items() if count}
        if (app.current.release.version, app.current.generation) != (want.version, want.generation):
            return f"{where}: {app.current} runs, {want} should"
        if counts != wanted_counts:
            return f"{where}: {counts} run, {wanted_counts} should"
        if app.draining or (app.order is not None and not app.order.is_over):
            return f"{where}: it is not done with {app.order}"
        if len([one for one in found.processes.values() if one.alive]) != sum(counts.values()):
            return (
                f"{where}: {[one.instance.dir for one in found.processes.values() if one.alive]} live, {counts} should"
            )
        return ""

    # -- broadcasts --------------------------------------------------------------------------------

    def heard(self, broadcast_id: str, body: bytes) -> None:
        """A center says something to those that listen."""
        message = strict_json.loads(body)
        known = self._said[broadcast_id].setdefault(message["seq"], message)
        if known != message:
            raise Broken(f"{broadcast_id} {message['seq']} is said as {known} and as {message}")

    # -- at rest -----------------------------------------------------------------------------------

    def at_rest(self) -> None:
        """Nothing more is to come."""
        for id, state in self._world.states.items():
            self._check_versions(id, state)
            self._check_fold(id, state)

    def _check_versions(self, id: str, state: State) -> None:
        numbers = [*state.old, *state.versions]
        if numbers != list(range(1, state.last + 1)):
            raise Broken(f"the versions of {id} are {numbers}")
        for version in state.versions.values():
            if version.status not in OVER:
                raise Broken(f"v{version.number} of {id} is still {version.status}")
            if self._world.is_quiet and version.status is Status.FAILED and not state.destroyed and self._fits(version):
                raise Broken(f"v{version.number} of {id} failed, and nothing went wrong: {version.why}")
            self._check_broadcast(Found(state, version))

    def _fits(self, version: Version) -> bool:
        """Whether nothing is wrong with what it is made of."""
        made_of = version.payload.artifact if version.payload is not None else version.archive
        return made_of.endswith(" well")

    def _check_broadcast(self, found: Found) -> None:
        """Each reader, now or then, reads the same."""
        id = found.version.broadcast_id
        messages = list(self._history(found))
        ends = [(one["seq"], one["body"]["type"]) for one in messages if one["body"]["type"] in ("completed", "error")]
        fit = "completed" if found.version.status is Status.SUCCEEDED else "error"
        if ends != [(TERMINAL, fit)]:
            raise Broken(f"the broadcast {id} ends with {ends}, and the version is {found.version.status}")
        history = {one["seq"]: one for one in messages}
        for seq, said in self._said[id].items():
            if history.get(seq) != said:
                raise Broken(f"{id} {seq} was said as {said}, and the history has {history.get(seq)}")
        if TERMINAL not in self._said[id]:
            raise Broken(f"the end of {id} was never said")

    def _history(self, found: Found) -> Iterator[Mapping[str, Any]]:
        after = 0
        while True:
            page = broadcasts.read(self._world.rows, found, after, 50, settled=True)  # type: ignore[arg-type]
            yield from (one.document() for one in page.messages)
            if page.over or not page.messages:
                return
            after = page.messages[-1].seq

    def _check_fold(self, id: str, state: State) -> None:
        """The journal from its first entry says the same as from any checkpoint, and as memory."""
        folded = begin(state.key)
        for entry in self._world.journals[id]:
            fold(folded, entry.records, entry.number, entry.at)
        for name in State.__slots__:
            if getattr(folded, name) != getattr(state, name):
                raise Broken(
                    f"{id}: {name} is {getattr(state, name)} in memory and {getattr(folded, name)} in the journal"
                )
