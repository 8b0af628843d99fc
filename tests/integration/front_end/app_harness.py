"""A front end and a core that apps can be released in; of a center, a builder and zones there is what they say to the engine."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from re_core import bootstrap
from re_core.adapters.sqlite import SqliteStore
from re_core.apps import events as e
from re_core.apps.state import State
from re_core.apps.values import OVER
from re_core.ports import Bus, EntryCodec
from re_core.rows import ZoneRow
from re_core.runtime.settings import load
from re_core.usecases.apps.asking import ask
from re_core.usecases.apps.reader import AppReader
from re_core.usecases.authorization import Binding, Principal
from re_rest import auth
from re_rest.app import bind_services, close_streams
from re_workers import Context, Failed, Worker, step
from re_workers.host import WorkerHost
from tests.integration.front_end.front_end_harness import FrontEndHarness
from tests.unit.artifacts.archives import tgz

URL = "/api/v1/apps"

#: what the build of every push makes
PROCESSES = {"web": "python app.py", "worker": "python worker.py"}

#: seconds in which the engine does what it does by itself
PATIENCE = 20.0


class Steps(Worker):
    """Says to the app what a center and a builder say, and nothing is built or started."""

    command = "dploy"

    def __init__(self, bus: Bus, reader: AppReader) -> None:
        self._bus, self._reader = bus, reader
        #: numbers of the versions whose build or preparation fails; number -> what its payload is made of
        self.failing: set[int] = set()
        self.payloads: dict[int, str] = {}

    @step(idempotent=True)
    def Prepare(self, ctx: Context, part: str, version: int, app_id: str) -> None:
        self._say(app_id, e.Prepared(version, ctx.deployment))
        if version in self.failing:
            ctx.output("Traceback of what was tried")
            raise Failed("it was told to fail")

    @step(idempotent=True)
    def Build(self, ctx: Context, part: str, version: int, app_id: str) -> None:
        ctx.output(f"-----> Building v{version}")
        ctx.output("Collecting flask")
        payload = self.payloads.get(version, "a")
        built = e.Built(version, ctx.deployment, f"dploy-{payload}", payload * 64, 10, 1, 10, PROCESSES)
        self._say(app_id, built)

    @step(idempotent=True)
    def Deploy(self, ctx: Context, part: str, version: int, app_id: str) -> None:
        self._say(app_id, e.Ready(version, ctx.deployment, ctx.hosts[0]))

    @step(idempotent=True)
    def Commit(self, ctx: Context, part: str, version: int, app_id: str) -> None:
        self._say(app_id, e.Commit(version, ctx.deployment))
        for zone in self._reader.fresh(app_id).versions[version].zones:
            self._say(app_id, e.Switched(version, ctx.deployment, zone))

    @step
    def Run(self, ctx: Context, part: str, run: int, app_id: str) -> None:
        ctx.output("ran")
        self._say(app_id, e.Ran(run, ctx.deployment, 3))

    def _say(self, app: str, event: Any) -> None:
        said = ask(self._bus, app, event, PATIENCE)
        if not said.accepted:
            raise Failed(said.detail)


class AppHarness(FrontEndHarness):
    """The core runs, and releases succeed unless they are told to fail."""

    def __init__(self, directory: Path, app: Flask) -> None:
        settings = load({"RE_DATA_DIR": str(directory), "RE_DPLOY": "1"})
        super().__init__(SqliteStore(directory / "re.db", codec=EntryCodec(*bootstrap.KINDS)), app, PATIENCE)
        self.seal = bootstrap.open_seal(settings, make_key=True)
        self.services = dataclasses.replace(self.services, seal=self.seal)
        bind_services(self.app, self.services)
        self.failures: list[Exception] = []
        self.core_running = bootstrap.Core(settings, self.bus, self.store, self.clock, self.failures.append)
        self.core_running.recover()
        self.core_running.start()
        self.reader = AppReader(self.bus, self.store)
        self.steps = Steps(self.bus, self.reader)
        self.host = WorkerHost(self.bus, self.clock, [self.steps])
        self.host.start()

    def close(self) -> None:
        self.host.stop(5.0)
        self.reader.close()
        close_streams(self.app)
        self.core_running.stop(5.0)
        assert self.failures == []
        self.bus.close()
        self.store.close()

    # -- over HTTP ---------------------------------------------------------------------------------

    def ok(self, method: str, path: str = "", **more: Any) -> Any:
        """The document of an answer that is a success."""
        answer = self.call(method, f"{URL}{path}", **more)
        assert answer.status_code < 300, answer.text
        return answer.json if answer.data else None

    def create(self, name: str = "shop", group: str = "ours", zones: Iterable[str] = ("eu", "us")) -> Any:
        return self.ok("POST", json={"name": name, "group": group, "zones": list(zones)})

    def push(self, query: str = "", name: str = "shop", text: bytes = b"web: python app.py\n") -> Any:
        """A request to push; its answer."""
        archive = tgz({"Procfile": text})
        headers = {"Content-Type": "application/gzip"}
        return self.call("POST", f"{URL}/{name}/releases{query}", data=archive, headers=headers)

    def zone(self, name: str, ago: int = 0, **report: Any) -> None:
        """What the center has stored of a zone that answered so many milliseconds ago."""
        before = self.store.zone(name)
        row = ZoneRow(
            name, self.clock.now() - ago, f"{name}-directory", report, 1 if before is None else before.version + 1
        )
        assert self.store.save_zone(row)

    # -- what steps, zones and time do -----------------------------------------------------------------

    def id(self, name: str = "shop") -> str:
        row = self.store.app_by_name(name)
        assert row is not None
        return row.id

    def state(self, name: str = "shop") -> State:
        """As its journal says."""
        return self.reader.fresh(self.id(name))

    def say(self, *events: Any, name: str = "shop") -> None:
        """As steps and the center do."""
        for event in events:
            said = ask(self.bus, self.id(name), event, PATIENCE)
            assert said.accepted, said

    def end(self, number: int, name: str = "shop") -> State:
        """The app as soon as that version is decided and its deployment is over."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            state = self.state(name)
            version = state.versions.get(number)
            if version is not None and version.status in OVER and state.active != number:
                return state
            self.reader.wait(self.id(name), state.entry, 0.5)
        raise AssertionError(f"v{number} did not end: {self.state(name).versions}")

    def release(self, payload: str = "a", query: str = "", name: str = "shop") -> State:
        """Push, with a payload of its own, and wait for the success."""
        number = self.state(name).last + 1
        self.steps.payloads[number] = payload
        assert self.push(query, name).status_code == 202
        state = self.end(number, name)
        assert state.current == number, state.versions[number]
        return state

    def become(self, monkeypatch: pytest.MonkeyPatch, role: str, group: str = "ours") -> None:
        """Every token is of this role from now on."""
        monkeypatch.setattr(auth, "principal_of", lambda token: Principal("ann", (Binding(role, group),)))
