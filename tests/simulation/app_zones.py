"""A simulated zone: the real machine of the agent, on a disk that keeps what was saved, with processes that outlive the agent.

Must not know what is promised. What re_dploy/zone/worker.py does with threads and files, this does in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from re_dploy import wire
from re_dploy.center.calls import Seen as SeenApp
from re_dploy.center.calls import ZoneAway
from re_dploy.zone import answering, machine
from re_dploy.zone.machine import Contents, End, Fetch, Look, Save, Start, Unpack
from re_dploy.zone.state import RELEASE, WEB, App, Instance, Open

if TYPE_CHECKING:
    from tests.simulation.apps import AppWorld

#: milliseconds between two turns of an agent while something moves, and otherwise
BUSY, IDLE = 900, 30_000
#: lists of acts in one turn
ACTS = 50


class AgentDied(Exception):
    """In the middle of a turn."""


class SimProcess:
    """One process of an app; it does not end with the agent."""

    def __init__(self, instance: Instance, at: int, config: str, fate: str, up_after: int) -> None:
        self.instance, self.at, self.config, self.fate = instance, at, config, fate
        self.up_at = at + up_after
        #: when it was asked to end, and when it had ended; 0: not yet
        self.stopping = self.ended = 0
        self.code = 0
        self.lost = False
        #: a table has named it; the revision of the first one that did not any more, 0: there is none
        self.served, self.left = False, 0

    def advance(self, now: int) -> None:
        """What has become of it by now."""
        if self.ended:
            return
        if self.instance.type == RELEASE:
            if now >= self.up_at:
                self.ended, self.code = now, 1 if self.fate == "release-fails" else 0
        elif self.fate == "crashes" and now >= self.up_at:
            self.ended, self.code = now, 1
        elif self.stopping and now >= self.stopping + 2_000:
            self.ended, self.code = now, 143

    def state(self, now: int) -> str:
        """As the agent sees it."""
        if self.ended:
            return "ended"
        if self.stopping:
            return "stopping"
        is_up = now >= self.up_at and self.fate != "never-up" and self.instance.type != RELEASE
        return "up" if is_up else "starting"

    def look(self, now: int) -> Look:
        """For the machine."""
        good = bool(self.ended) and self.code == 0
        exit = f"code {self.code}" if self.ended else ""
        return Look(self.instance, self.state(now), (now - self.at) / 1000, exit, good, self.lost, self.code)

    @property
    def alive(self) -> bool:
        return not self.ended


class SimApp:
    """One app of a zone: what is on disk, what the agent remembers, and the processes."""

    def __init__(self, name: str) -> None:
        #: on disk
        self.saved = App(name)
        self.contents: dict[str, Contents] = {}
        self.cargo: set[str] = set()
        self.env: dict[int, str] = {}
        self.lines: dict[str, list[str]] = {}
        self.processes: dict[int, SimProcess] = {}
        #: in memory
        self.app = self.saved
        self.acks: dict[int, tuple[float, float]] = {}
        self.word = 0.0
        self.due: dict[tuple[str, int], float] = {}
        self.job_until: dict[str, int] = {}

    def forget(self, now: float) -> None:
        """The agent is another process."""
        self.app = self.saved
        self.acks, self.due, self.job_until = {}, {}, {}
        self.word = now


class SimZone:
    """See re_dploy.center.calls.Zone, and re_dploy/zone/worker.py. Calls may be lost, and arrive late or twice."""

    def __init__(self, world: AppWorld, name: str) -> None:
        self.world, self.name = world, name
        self.id = f"{name}-1"
        self.apps: dict[str, SimApp] = {}
        self.alive = True
        #: time until which no call reaches it
        self.away_until = 0
        self._turn_at = 0

    # -- what centers call -------------------------------------------------------------------------

    def order(self, order: wire.Order) -> wire.Answer:
        answer: wire.Answer = self._call("order", lambda: self._order(order))
        return answer

    def control(self, control: wire.Control) -> wire.Answer:
        answer: wire.Answer = self._call("control", lambda: self._control(control))
        return answer

    def stop(self, stop: wire.Stop) -> wire.StopAnswer:
        answer: wire.StopAnswer = self._call("stop", lambda: self._stop(stop))
        return answer

    def app(self, app: str, order: str = "", after: int = 0) -> SeenApp:
        report = self.look(wire.Ask({order: after} if order else {}, only=app))
        return SeenApp(report.apps.get(app), report.order(order))

    def reports(self, question: Callable[[str], wire.Ask]) -> Iterator[tuple[str, wire.Report]]:
        yield "", self.look(question(""))

    def look(self, ask: wire.Ask) -> wire.Report:
        report: wire.Report = self._call("look", lambda: self._report(ask))
        return report

    def _call(self, what: str, act: Any) -> Any:
        """Raises ZoneAway where the caller gets no answer; the call may have arrived."""
        world = self.world
        if not self._reachable():
            raise ZoneAway(f"{self.name} is away")
        if world.strike("call lost"):
            raise ZoneAway("lost")
        if what != "look" and world.strike("call late"):
            world.after(world.random.choice((3_000, 20_000, 90_000)), lambda: self._late(act))
            raise ZoneAway("late")
        answer = act()
        if what != "look" or any(found.app.draining for found in self.apps.values()):
            self._wake()
        if what != "look" and world.strike("call repeated"):
            world.after(world.random.choice((10, 5_000, 60_000)), lambda: self._late(act))
        if world.strike("answer lost"):
            raise ZoneAway("the answer is lost")
        return answer

    def _late(self, act: Any) -> None:
        if self._reachable():
            act()
            self._wake()

    def _reachable(self) -> bool:
        return self.alive and self.world.now >= self.away_until

    def _order(self, order: wire.Order) -> wire.Answer:
        found = self._made(order.app)
        answer, app = answering.take_order(found.app, order)
        if app.app_id != found.app.app_id:
            found.env.clear()
        if not answer.refused:
            found.env[order.version] = order.env.get("app", {}).get("V", "")
        self._store(found, app)
        return answer

    def _control(self, control: wire.Control) -> wire.Answer:
        found = self.apps.get(control.app)
        if found is None:
            return answering.refusal("unknown-app", "unknown here")
        answer, app = answering.take_control(found.app, control)
        self._store(found, app)
        return answer

    def _stop(self, stop: wire.Stop) -> wire.StopAnswer:
        states: dict[str, str] = {}
        refused: dict[str, str] = {}
        for name in stop.apps:
            found = self.apps.get(name)
            if found is None:
                states[name] = "unknown"
                continue
            state, why, app = answering.take_stop(found.app, stop.epochs.get(name, 0), stop.app_ids.get(name, ""))
            self._store(found, app)
            (refused if state == "refused" else states)[name] = why if state == "refused" else state
        return wire.StopAnswer(states, refused)

    def _report(self, ask: wire.Ask) -> wire.Report:
        now = self.world.mono()
        for name, found in self.apps.items():
            found.word = now
            if name in ask.routes and ask.id == self.id:
                first, _ = found.acks.get(ask.routes[name], (now, now))
                found.acks[ask.routes[name]] = first, now
        apps = {name: self._app_report(found) for name, found in self.apps.items() if ask.only in ("", name)}
        orders = tuple(one for id, after in ask.orders.items() if (one := self._order_report(id, after)) is not None)
        return wire.Report(self.name, self.id, "boot", apps, orders)

    def _app_report(self, found: SimApp) -> wire.AppReport:
        app, now = found.app, self.world.now
        order, current = app.order, app.current
        rows = []
        for process in found.processes.values():
            process.advance(now)
            state = {"ended": "stopped"}.get(process.state(now), process.state(now))
            rows.append(wire.PsRow(process.instance.name, state, process.instance.port))
        return wire.AppReport(
            app.app,
            app.app_id,
            app.epoch,
            current.release.version if current else 0,
            current.release.digest if current else "",
            current.formation if current else {},
            current.generation if current else 0,
            app.state,
            wire.OrderReport(order.id, order.state, order.why) if order else None,
            tuple(rows),
            app.revision,
            app.addresses,
        )

    def _order_report(self, id: str, after: int) -> wire.OrderReport | None:
        for found in self.apps.values():
            past = found.app.outcome(id)
            if past is not None:
                lines = found.lines.get(id, [])[after:]
                return wire.OrderReport(id, past.state, past.why, tuple(lines), after + len(lines))
        return None

    # -- the agent ---------------------------------------------------------------------------------

    def die(self, for_ms: int) -> None:
        """The agent is killed; its processes go on."""
        if self.alive:
            self.alive = False
            self.world.happened["agent died"] += 1
            self.world.after(for_ms, self.start)

    def start(self) -> None:
        """Another agent takes the directory over."""
        self.alive = True
        for found in self.apps.values():
            found.forget(self.world.mono())
        self._wake()

    def _wake(self) -> None:
        self._at(50)

    def _at(self, milliseconds: int) -> None:
        at = self.world.now + milliseconds
        if self._turn_at <= self.world.now or at < self._turn_at:
            self._turn_at = at
            self.world.at(at, lambda: self._turn(at))

    def _turn(self, at: int) -> None:
        if at != self._turn_at or not self.alive:
            return
        self._turn_at = 0
        moves = False
        try:
            for found in self.apps.values():
                moves |= self._turn_app(found)
        except AgentDied:
            self.die(self.world.random.choice((200, 3_000, 20_000)))
            return
        self._at(BUSY if moves else IDLE)

    def _turn_app(self, found: SimApp) -> bool:
        world = self.world
        for _ in range(ACTS):
            seen = self._seen(found)
            acts = machine.decide(found.app, seen, world.mono())
            for act in acts:
                if world.strike("agent killed"):
                    raise AgentDied
                self._do(found, act)
            if not any(isinstance(act, Save) for act in acts):
                break
        order = found.app.order
        is_open = order is not None and not order.is_over
        return is_open or any(one.stopping and one.alive for one in found.processes.values())

    def _seen(self, found: SimApp) -> machine.Seen:
        now = self.world.now
        for process in found.processes.values():
            was_alive = process.alive
            process.advance(now)
            if was_alive and process.ended and not process.stopping:
                slot = process.instance.type, process.instance.number
                found.due[slot] = self.world.mono() + 5
        gone = [n for n, one in found.processes.items() if one.ended and now - one.ended > 120_000]
        for n in gone:
            del found.processes[n]
        looks = {n: one.look(now) for n, one in found.processes.items()}
        loaded = {found.app.revision: 0.0}  # the proxy takes no time here
        return machine.Seen(looks, frozenset(found.cargo), found.contents, found.acks, loaded, found.word, found.due)

    def _do(self, found: SimApp, act: machine.Act) -> None:
        world = self.world
        if isinstance(act, Save):
            self._store(found, act.app)
        elif isinstance(act, Start):
            self._start(found, act.instance)
        elif isinstance(act, End):
            process = found.processes[act.n]
            world.oracle.ends(self, found, process)
            process.stopping = process.stopping or world.now
        elif isinstance(act, Fetch | Unpack):
            self._work(found, act.order, type(act).__name__)

    def _work(self, found: SimApp, order: Open, what: str) -> None:
        world, digest = self.world, order.release.digest
        key = f"{what} {order.id}"
        if key not in found.job_until:
            found.job_until[key] = world.now + world.random.choice((0, 400, 3_000))
        if world.now < found.job_until[key]:
            return
        del found.job_until[key]
        if what == "Fetch":
            found.cargo.add(digest)
        else:
            contents = world.contents_of(order.uri)
            found.contents[contents.release.name] = contents
            found.cargo.discard(digest)

    def _start(self, found: SimApp, instance: Instance) -> None:
        world = self.world
        port = world.next_port() if instance.type == WEB else 0
        made = instance._replace(port=port)
        fate = world.fate_of(found.app.app_id, instance.release)
        up_after = world.random.choice((500, 2_000, 9_000))
        process = SimProcess(made, world.now, found.env.get(instance.release.version, ""), fate, up_after)
        found.processes[instance.n] = process
        world.oracle.starts(self, found, process)

    def _store(self, found: SimApp, app: App) -> None:
        """On disk first: what is not there was never known."""
        if app != found.app:
            before = found.app
            found.saved = app
            found.app = app
            self.world.oracle.saved(self, before, app)

    def _made(self, name: str) -> SimApp:
        if name not in self.apps:
            self.apps[name] = SimApp(name)
            self.apps[name].word = self.world.mono()
        return self.apps[name]

    # -- for the oracle ----------------------------------------------------------------------------

    def serving(self, name: str) -> list[SimProcess]:
        """Processes behind the addresses of its table."""
        found = self.apps.get(name)
        if found is None:
            return []
        ports = {int(one.rpartition(":")[2]) for one in found.saved.addresses}
        return [one for one in found.processes.values() if one.instance.port in ports]
