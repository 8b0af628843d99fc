"""An engine with one node, as `rectl up` has it but for HTTP: a core, a worker that tries releases, a store, a bus."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from re_core.bootstrap import Core, open_peering, open_store
from re_core.cdpm import events as e
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.state import State, begin, fold
from re_core.cdpm.values import Dependency as Known
from re_core.connections import open_bus, system_clock
from re_core.ports import Bus, Store, every_entry
from re_core.rows import PipelineRow, StoredPlaybook
from re_core.runtime.settings import load
from re_core.services import cdpm
from re_core.services.cdpm_talk import Timing
from re_core.usecases.cdpm.asking import Said, ask
from re_core.usecases.cdpm.peers import Peers
from re_core.usecases.ids import new_id
from re_core.wire import strict_json
from re_core.wire.messages import Message
from re_workers import Context, Failed, Worker, step
from re_workers.host import WorkerHost
from tests.factories import playbook, sequence

#: seconds in which all that must happen does
SOON = 30.0

#: links that try again soon
FAST = Timing(look=0.2, vote=0.4, first=0.05, longest=0.4, refused=0.1, refused_longest=0.4, replaced=0.3)

ID, GROUP, NAME = "01M8NODE000000000000000000", "shop", "app"
DEP = "Lib"


class Trying(Worker):
    """What the playbooks of the node run."""

    command = "trying"

    def __init__(self) -> None:
        super().__init__()
        self.hold = threading.Event()
        self.hold.set()
        #: versions whose tests fail
        self.bad: set[str] = set()
        self.tried: list[str] = []
        #: gates that are open
        self.open: set[str] = set()

    @step(idempotent=True)
    def Out(self, ctx: Context) -> None:
        """Try a release."""
        version = str(ctx.dynamic.get("release_version") or ctx.dynamic.get("version", ""))
        self.hold.wait(SOON)
        self.tried.append(version)
        if version in self.bad:
            raise Failed(f"{version} is bad")

    @step(idempotent=True)
    def Gate(self, ctx: Context, name: str) -> None:
        """Wait until the test opens it."""
        while name not in self.open:
            ctx.wait(0.02)


class Node:
    """`start` and `stop` are those of the engine's process; `close` is its end."""

    def __init__(
        self, directory: Path, environ: Mapping[str, str] | None = None, timing: Timing = FAST, alone: bool = True
    ) -> None:
        """`environ`: settings, where the directory alone does not say all. `alone`: it registers the node."""
        self.files = directory / "files"
        self.files.mkdir(exist_ok=True)
        self.source = f"file://{self.files}/app.yml"
        words = {"RE_CDPM": "1", "RE_CDPM_SOURCES": f"http,file:{self.files}/", "RE_CDPM_DENIED": "metadata"}
        self.settings = load({"RE_DATA_DIR": str(directory), **words, **(environ or {})})
        peering = open_peering(self.settings, make_key=True)
        assert peering is not None
        self.peering, self.clock, self.timing = peering, system_clock(), timing
        self.trying = Trying()
        self.fatal: list[Exception] = []
        #: codes of what peers sent
        self.refused: list[str] = []
        self._parts: list[Callable[[], None]] = []
        self.store: Store = open_store(self.settings)
        self.peers = Peers(peering, self.store, self.clock)
        self.key = pipeline_key(ID)
        if alone:
            row = PipelineRow(ID, GROUP, NAME, self.source, 1, {}, ("try", "release", "next", "back", "ask"))
            assert self.store.save_pipeline(row)
            self.kid = self.rotate()
        self.bus: Bus
        self.core: Core

    # -- its process -------------------------------------------------------------------------------

    def start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A core and a worker."""
        monkeypatch.setattr(cdpm, "LOOK", 0.1)
        monkeypatch.setattr(cdpm, "Timing", lambda: self.timing)
        self.bus = open_bus(self.settings, self.store)
        self.core = Core(
            self.settings,
            self.bus,
            self.store,
            self.clock,
            self.fatal.append,
            peering=self.peering,
            refused=self.refused.append,
        )
        host = WorkerHost(self.bus, self.clock, [self.trying], [])
        self.core.recover()
        self.core.start()
        host.start()
        self._parts = [lambda: host.stop(1.0), lambda: self.core.stop(SOON), self.bus.close]
        self.wait(lambda: any("trying:Out" in one.offers for one in self.store.workers()))

    def stop(self) -> None:
        for part in self._parts:
            part()
        self._parts = []
        assert self.fatal == []

    def close(self) -> None:
        self.stop()
        self.store.close()

    # -- the node ----------------------------------------------------------------------------------

    def register(self, dependencies: Mapping[str, str], majors: Sequence[str] = (), **document: Any) -> None:
        """The node with its document and its file, as the front end does it. `majors`: URLs of its dependents."""
        for name in ("try", "release", "next", "back", "ask"):
            self.save(name)
        said = {
            "node": f"{GROUP}/{NAME}",
            "source": self.source,
            "refs": [{"ref_type": "stable", "ref": "v1"}],
            "trials": {"playbook": f"{GROUP}/try", "most_per_hour": 60, "builds": "all"},
            "release": {"playbook": f"{GROUP}/release"},
            **document,
        }
        self.write(dependencies, Dependents={f"major {place}": {"url": url} for place, url in enumerate(majors)})
        self.tell(e.Register(GROUP, NAME, self.source))
        self.tell(e.Configure(1, said, {f"{GROUP}/{one}": one for one in ("try", "release", "next", "back", "ask")}))

    def save(self, name: str) -> None:
        """A playbook of one step; that of releases has three stages, the first two of which wait for gates."""
        gates = [{"trying:Gate": {"name": gate}} for gate in ("built", "tested")] if name == "release" else []
        document = {**playbook(*map(sequence, (*gates, "trying:Out"))), "group": GROUP, "name": name}
        at = self.clock.now()
        assert self.store.save_playbook(StoredPlaybook(name, GROUP, name, 1, document, at, at, "ann"))

    def write(self, dependencies: Mapping[str, str], **more: Any) -> None:
        """Its cdpm.yml."""
        public = next(one.public for one in self.store.keys(ID) if one.kid == self.kid)
        document = {
            "Pipeline-node": {"public-key": public, "url": "http://127.0.0.1:9"},
            "Dependencies": {name: {"url": url} for name, url in dependencies.items()},
            **more,
        }
        (self.files / "app.yml").write_text(json.dumps(document))

    def rotate(self) -> str:
        """The kid of a new key."""
        return self.peers.add_key(ID).kid

    def tell(self, event: e.Request) -> Said:
        said = ask(self.bus, self.key, event, SOON)
        assert said.accepted, said
        return said

    def deploy(self, playbook: str, **dynamic: str) -> str:
        """A person starts a playbook; the deployment's id."""
        id = new_id()
        body = strict_json.dumps({"group": GROUP, "playbook_id": playbook, "dynamic": dynamic}).encode()
        answer = self.bus.request(Message("job.create", body, id, id, headers={"re-user": "ann"}), SOON)
        assert answer is not None and strict_json.loads(answer.body) == {"id": id}, answer
        return id

    # -- what it says ------------------------------------------------------------------------------

    def state(self) -> State:
        """By its journal."""
        state = begin(self.key)
        for entry in every_entry(self.store, self.key):
            state = fold(state, entry.records, entry.number, entry.at)
        return state

    def records(self, *kinds: type[Any]) -> list[Any]:
        entries = every_entry(self.store, self.key)
        return [one for entry in entries for one in entry.records if isinstance(one, kinds)]

    def known(self, name: str = DEP) -> Known:
        return self.state().dependencies[name]

    def wait(self, until: Callable[[], Any], seconds: float = SOON) -> None:
        """Until the condition holds."""
        pause = threading.Event()
        for _ in range(int(seconds / 0.02)):
            if until():
                return
            assert self.fatal == []
            pause.wait(0.02)
        raise AssertionError(f"not within {seconds} s; the journal: {self.records(object)}")
