"""An engine with gateways of forest runners: a store in a file, the bus of one process, a core, any number of gateways."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from re_core import bootstrap, connections
from re_core.adapters.clock_system import SystemClock
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.sqlite import SqliteStore
from re_core.adapters.sqlite.artifact_files import SUFFIX
from re_core.deployment.state import State, StepState
from re_core.ports import Bus, read_state
from re_core.rows import Release, Runner, StoredPlaybook
from re_core.runtime.settings import load
from re_core.usecases.access import digest_of
from re_core.usecases.artifact_pushing import Bounds, Wanted, push_files
from re_core.usecases.authorization import Binding, Principal
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.messages import Message
from re_gateways.forest.gateway import Gateway, Pace
from re_gateways.forest.options import Options
from re_gateways.forest.runner_pb2 import WorkAssignment
from tests.integration.forest.runners import SerialRunner, Wire
from tests.integration.workers.waiting import PATIENCE, until

ROOT = Principal("root", (Binding("admin"),))

FILES = {
    "deployment": {"dev/dest1/forest/flux@1/10.yaml": "kind: A\n", "prod/x/y.yaml": "b"},
    "spec": {"spec.yaml": "s"},
}

ANNOTATION = {"slug": "s-1", "title": "A title", "commit": "abc", "source_user": "ann"}

SECRET = "s3cret-of-build"

DESTINATION = {"name": "dest1", "environment": "dev", "metadata": {"cluster_name": "c1", "namespace": "ns1"}}


class Time:
    """The clock of gateways: goes as time does, and further when a test lets it."""

    def __init__(self) -> None:
        self._passed = 0.0
        self._system = SystemClock()

    def __call__(self) -> float:
        return time.monotonic() + self._passed

    def now(self) -> int:
        return self._system.now() + int(self._passed * 1000)

    def step(self) -> None:
        """A second passes; the gateways see each of them."""
        self._passed += 1.0
        time.sleep(0.02)

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.step()

    def jump(self, seconds: float) -> None:
        """As for a process that stood still."""
        self._passed += seconds

    def until(self, condition: Callable[[], object], most: int) -> None:
        """Let time pass until that holds, up to `most` seconds; from then on wait for it."""
        for _ in range(most):
            if condition():
                return
            self.step()
        until(condition)


class Rig:
    """One engine."""

    def __init__(
        self,
        directory: Path,
        alone: bool = False,
        pushed: bool = False,
        bus_url: str = "",
        store_url: str = "",
        lost_steps: str = "fail",
    ) -> None:
        """`alone`: one process with everything, whose core starts after its first gateway listens. `pushed`: the artifact is there.

        `bus_url`, `store_url`: servers, in place of a bus of this process and a file. `lost_steps`: as the setting.
        """
        self.time = Time()
        self.clock = SystemClock()
        urls = {"RE_BUS_URL": bus_url, "RE_STORE_URL": store_url, "RE_LOST_STEPS": lost_steps}
        self.settings = load({"RE_DATA_DIR": str(directory), **{name: url for name, url in urls.items() if url}})
        self.store: Any = self._store(directory, store_url)
        self.shared = bool(bus_url)
        self.buses: list[Bus] = []
        self.bus = self.new_bus()
        self.failures: list[Exception] = []
        self.core = bootstrap.Core(self.settings, self.bus, self.store, self.clock, self.failures.append)
        self.alone = alone
        if not alone:
            self.core.start()
        self.gateways: list[Gateway] = []
        self.ports: dict[str, int] = {}
        self._runners: list[Wire | SerialRunner] = []
        self._deployments = 0
        if not pushed:
            self.push()

    def _store(self, directory: Path, url: str) -> Any:
        if url:
            return bootstrap.open_store(self.settings)
        store = SqliteStore(directory / "re.db", self.clock)
        store._database._writer.execute("PRAGMA synchronous = OFF")  # only processes die here
        return store

    def new_bus(self) -> Bus:
        """A connection of its own, where there are connections."""
        if not self.shared and self.buses:
            return self.buses[0]
        self.buses.append(
            connections.open_bus(self.settings, self.store) if self.shared else EmbeddedBus(self.store, self.clock)
        )
        return self.buses[-1]

    def close(self) -> None:
        for runner in self._runners:
            runner.stop() if isinstance(runner, SerialRunner) else runner.close()
        for gateway in self.gateways:
            gateway.stop(5)
        if not self.shared:
            self.bus.close()  # so that no part of the core waits for anything
        self.core.stop(5, finish=False)
        for bus in self.buses:
            bus.close()
        self.store.close()
        assert self.failures == []

    # parts

    def gateway(self, store: Any = None, bus: Any = None, **options: Any) -> Gateway:
        """Another gateway, at work."""
        pace = Pace(self.time, tick=0.02, look=0.05, pulse=0.01)
        gateway = Gateway(
            Options("127.0.0.1:0", **options),
            bus or self.bus,
            store or self.store,
            self.time,
            alone=self.alone,
            pace=pace,
        )
        self.ports[gateway.id] = gateway.bind()
        self.gateways.append(gateway)
        if self.alone:
            self.core.recover(gateway.spared())
            self.core.start()
        gateway.start()
        return gateway

    def stop(self, gateway: Gateway) -> None:
        """In order."""
        self.gateways.remove(gateway)
        gateway.stop(6)

    def enroll(self, name: str = "build-1", parallel: int = 1) -> str:
        """The id with the secret."""
        assert self.store.enroll_runner(Runner(name, digest_of(SECRET), self.clock.now(), "ann", parallel))
        return f"{name}.{SECRET}"

    def wire(self, gateway: Gateway) -> Wire:
        runner = Wire(self.ports[gateway.id])
        self._runners.append(runner)
        return runner

    def runner(self, gateway: Gateway, name: str = "build-1", *types: str, parallel: int = 1, most: int = 4) -> Wire:
        """An enrolled runner, registered."""
        known = self.store.runner(name)
        id = f"{name}.{SECRET}" if known else self.enroll(name, parallel)
        runner = self.wire(gateway)
        ack = runner.register(id, *types, most=most)
        assert (ack.accepted, ack.runner_id) == (True, name)
        session = gateway._sessions.session(name)
        runner.read_at = lambda: session.spoke if session and gateway._sessions.session(name) is session else None
        return runner

    def beats(self, runner: Wire, condition: Callable[[], object], active: int = 0) -> None:
        """Heartbeats of the runner, 8 s from one to the next, until that holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            self.time.pass_seconds(8)
            runner.beat(active)

    def serial(self, gateway: Gateway, name: str = "build-1", **more: Any) -> SerialRunner:
        """An enrolled runner that behaves as the real one."""
        runner = SerialRunner(self.ports[gateway.id], self.enroll(name), **more)
        self._runners.append(runner)
        return runner.wait()

    # deployments

    def push(self, name: str = "shop-1", files: Mapping[str, Any] = FILES, group: str = "web") -> None:
        push_files(self.store, self.clock, ROOT, Wanted(group, name, "files", ANNOTATION), files, Bounds())

    def damage(self) -> None:
        """The bytes of all artifacts."""
        for path in Path(self.store._database.path + SUFFIX).rglob("*"):
            if path.is_file():
                path.write_bytes(b"X" * path.stat().st_size)

    def deploy(self, timeout: float = 3600, **parameters: Any) -> str:
        """A deployment with one step forest:Release; its id."""
        given: dict[str, Any] = {
            "type": "forest/flux@1",
            "organisation": "acme",
            "project": "shop",
            "destination": DESTINATION,
            "artifact": "shop-1",
            **parameters.pop("parameters", {}),
        }
        self._await_offer(given["type"])
        more: dict[str, Any] = {key: parameters.pop(key) for key in ("retries", "idempotent") if key in parameters}
        assert not parameters, parameters
        step = {"forest:Release": given, "timeout": timeout, **more}
        document = {"group": "web", "name": "shop", "execution": [{"hosts": ["h"], "steps": [step]}]}
        self._deployments += 1
        id, at = f"d{self._deployments}", self.clock.now()
        assert self.store.save_playbook(StoredPlaybook(f"p{id}", "web", id, 1, document, at, at, "pat"))
        body = {"group": "web", "playbook_id": f"p{id}"}
        answer = self.bus.request(Message("job.create", m.encode(body), id), 10)
        assert answer, "no answer"
        assert strict_json.loads(answer.body)["id"] == id, answer
        return id

    def _await_offer(self, type: str) -> None:
        """Until the core knows of the runners that take it, where there are any."""
        if any(type in gateway._sessions.lanes() for gateway in self.gateways):
            until(lambda: any(type in _accepted(worker.offers) for worker in self.store.workers()))

    def say(self, deployment: str, event: str, **body: Any) -> None:
        """An operator's request."""
        headers = {m.EVENT: event}
        id = f"{deployment}/{event}"
        queue = m.reply_queue(deployment)
        self.bus.publish([Message(queue, m.encode(body), id, deployment, headers=headers, direct=True)])

    def cancel(self, deployment: str) -> None:
        self.say(deployment, "cancel", user="ann", reason="not today")

    def begun(self, runner: Wire, deployment: str = "", **parameters: Any) -> WorkAssignment:
        """A release that the runner has fetched."""
        deployment = deployment or self.deploy(**parameters)
        work = runner.assignment()
        assert work.release_intent_id == deployment
        runner.fetch(work.release_token)
        return work

    def moved(self, deployment: str, gateway: Gateway) -> None:
        """Until that gateway goes on with its release."""
        until(lambda: self.step(deployment).worker == gateway.id)
        until(lambda: gateway._in_progress.get(self.row(deployment).id))

    # what came of it

    def state(self, deployment: str) -> State:
        state = read_state(self.store, deployment)
        assert state
        return state

    def step(self, deployment: str) -> StepState:
        return self.state(deployment).step(0)

    def status(self, deployment: str) -> str:
        return self.step(deployment).status.value

    def end(self, deployment: str) -> StepState:
        """The step once it has ended."""
        until(lambda: self.status(deployment) not in ("pending", "dispatched", "started"))
        return self.step(deployment)

    def result(self, deployment: str) -> Any:
        """The result of the step that completed."""
        step = self.end(deployment)
        assert step.status.value == "completed", step.message
        result = step.result
        return None if result is None else result.data

    def lines(self, deployment: str) -> list[str]:
        chunks = self.store.output(deployment, 0, 1000)
        return [line.text for line in chunks]

    def shows(self, deployment: str, text: str) -> bool:
        return any(text in line for line in self.lines(deployment))

    def row(self, deployment: str, attempt: int = 1) -> Release:
        row: Release | None = self.store.find_release(f"{deployment}/0/{attempt}")
        assert row
        return row

    def awaits_status(self, deployment: str, status: str, attempt: int = 1) -> None:
        """Until the row has that status."""
        until(
            lambda: (row := self.store.find_release(f"{deployment}/0/{attempt}")) is not None and row.status == status
        )


def _accepted(offers: Mapping[str, Any]) -> list[str]:
    accepts: Mapping[str, list[str]] = offers.get("forest:Release", {}).get("accepts", {})
    return accepts.get("type", [])


__all__ = ["DESTINATION", "FILES", "PATIENCE", "SECRET", "Rig", "Time"]
