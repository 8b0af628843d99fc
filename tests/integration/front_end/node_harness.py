"""A front end and a core that pipeline nodes can be stored in, and the files of those nodes in a directory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from re_core import bootstrap
from re_core.adapters.peering.jws import new_key
from re_core.adapters.sqlite import SqliteStore
from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.state import State
from re_core.ports import EntryCodec
from re_core.ports.peering import KeyPair
from re_core.runtime.settings import load
from re_core.sequencer.pipelines import Pipelines
from re_core.usecases.authorization import Binding, Principal
from re_core.usecases.cdpm.asking import ask
from re_core.usecases.cdpm.reader import PipelineReader
from re_rest import auth
from re_rest.app import bind_services, close_streams
from re_rest.app_context import access_of
from tests.integration.front_end.front_end_harness import FrontEndHarness

URL = "/api/v1/cdpm/nodes"

#: the smallest document
NODE: dict[str, Any] = {"node": "ours/own", "source": "https://own.example/cdpm.yml"}

#: those of all harnesses of this run
_PAIRS: list[KeyPair] = []


class NodeHarness(FrontEndHarness):
    """The core runs; nothing of pipelines is served or dialled."""

    def __init__(self, directory: Path, app: Flask) -> None:
        self.files = directory / "files"
        self.files.mkdir()
        environment = {"RE_DATA_DIR": str(directory), "RE_CDPM": "1", "RE_CDPM_SOURCES": f"file:{self.files}/"}
        settings = load(environment)
        super().__init__(SqliteStore(directory / "re.db", codec=EntryCodec(Pipelines)), app, 20.0)
        self._keys_made = 0
        peering = bootstrap.open_peering(settings, make_key=True)
        assert peering is not None
        self.peering = peering._replace(new_key=self._new_key)
        self.services = dataclasses.replace(self.services, peering=access_of(self.peering, settings))
        bind_services(self.app, self.services)
        self.failures: list[Exception] = []
        self.core_running = bootstrap.Core(settings, self.bus, self.store, self.clock, self.failures.append)
        self.core_running.recover()
        self.core_running.start()

    def close(self) -> None:
        close_streams(self.app)
        self.core_running.stop(5.0)
        assert self.failures == []
        self.bus.close()
        self.store.close()

    def _new_key(self) -> KeyPair:
        """One that no other node of this harness has, though one of an earlier harness may: they take a while to make."""
        self._keys_made += 1
        if self._keys_made > len(_PAIRS):
            _PAIRS.append(new_key())
        return _PAIRS[self._keys_made - 1]

    def switch_off(self) -> None:
        """From now on as with RE_CDPM=0."""
        close_streams(self.app)
        bind_services(self.app, dataclasses.replace(self.services, peering=None))

    def source(self, name: str = "own") -> str:
        return f"file://{self.files}/{name}/cdpm.yml"

    def document(self, **changes: Any) -> dict[str, Any]:
        return {**NODE, "source": self.source(), **changes}

    def post(self, **changes: Any) -> Any:
        return self.call("POST", URL, json=self.document(**changes))

    def create(self, **changes: Any) -> Any:
        answer = self.post(**changes)
        assert answer.status_code == 201, answer.text
        return answer.json

    def get(self, id: str) -> Any:
        answer = self.call("GET", f"{URL}/{id}")
        assert answer.status_code == 200, answer.text
        return answer.json

    def listed(self, query: str = "") -> Any:
        return self.call("GET", f"{URL}{query}").json["items"]

    def commit(self, public: str, name: str = "own", more: str = "", url: str = "") -> None:
        """The node's cdpm.yml, as its repository has it from now on. It is read again at once. `url`: where it answers."""
        place = self.files / name
        place.mkdir(exist_ok=True)
        (place / "cdpm.yml").write_text(
            f"Pipeline-node:\n  public-key: {public}\n  url: {url or f'https://{name}.example'}\n{more}"
        )
        self.store.forget_peer_files(self.clock.now() + 1)
        close_streams(self.app)
        bind_services(self.app, self.services)

    def state(self, id: str) -> State:
        """As its journal says."""
        return PipelineReader(self.bus, self.store).state(pipeline_key(id))

    def say(self, id: str, *events: Any) -> None:
        """As peers, links and watchers do."""
        for event in events:
            said = ask(self.bus, pipeline_key(id), event, 20.0)
            assert said.accepted, said

    def become(self, monkeypatch: pytest.MonkeyPatch, role: str, group: str = "ours") -> None:
        """Every token is of this role from now on."""
        monkeypatch.setattr(auth, "principal_of", lambda token: Principal("ann", (Binding(role, group),)))
