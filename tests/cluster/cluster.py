"""Any number of `re-rest`, `re-core`, `re-worker` and `re-forest`, on one broker and one store. Must not know how a test got those.

    with Cluster(tmp_path, bus_url, store_url, cores=2, workers=[("noop", "sleep"), ("command",)]) as cluster:
        cluster.start()
        with cluster.client() as client: ...
        cluster.cores[0].kill()

`rests`, `cores`, `workers` and `gateways` are lists of Member; `add_core` and its kin make more of them while it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from re_client.api import Client
from re_core import bootstrap, connections
from re_core.runtime.settings import Settings, load
from re_core.usecases.access import mint
from tests import plain_http
from tests.architecture.tree import ROOT
from tests.cluster.member import Member
from tests.services.server import LOOPBACK, free_ports

#: what a worker process runs where a test does not say
EVERYTHING = ("all",)


class Cluster:
    """The processes, none of which outlives it. Nothing runs before `start`, or `start` of a member."""

    def __init__(
        self,
        directory: Path,
        bus_url: str,
        store_url: str,
        *,
        rests: int = 1,
        cores: int = 1,
        workers: Sequence[Sequence[str]] = (EVERYTHING,),
        settings: str = "",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`workers` has the names of each worker process; `settings` is the text of all processes' settings file."""
        self.directory, self.bus_url, self.store_url = directory, bus_url, store_url
        directory.mkdir(exist_ok=True)
        self._environ = dict(environ or {})
        if settings:
            (directory / "settings.yaml").write_text(settings)
            self._environ["RE_CONFIG"] = str(directory / "settings.yaml")
        self.rests: list[Member] = []
        self.cores: list[Member] = []
        self.workers: list[Member] = []
        self.gateways: list[Member] = []
        #: what is no part of the engine, and ends with the cluster
        self.others: list[Member] = []
        self._urls: list[str] = []
        self._token = ""
        for _ in range(rests):
            self.add_rest()
        for _ in range(cores):
            self.add_core()
        for names in workers:
            self.add_worker(*names)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in (*self.others, *self.members):
            member.end()

    @property
    def members(self) -> list[Member]:
        """All of them; the front ends first, for they are asked from outside."""
        return [*self.rests, *self.workers, *self.gateways, *self.cores]

    def start(self) -> None:
        """Start all at once, and wait until each is ready."""
        for member in self.members:
            member.spawn()
        for member in self.members:
            member.await_ready()

    def add_rest(self) -> Member:
        """One more front end, not started yet. Its address stays the same over restarts."""
        [port] = free_ports(1)
        url = f"http://{LOOPBACK}:{port}"
        name = f"rest-{len(self.rests)}"
        environ = self.environ(name) | {"RE_HTTP": f"{LOOPBACK}:{port}"}
        self.rests.append(Member(name, ["re-rest"], environ, self.directory, lambda: answers(url), family=True))
        self._urls.append(url)
        return self.rests[-1]

    def add_core(self) -> Member:
        """One more core, not started yet."""
        self.cores.append(self._member(f"core-{len(self.cores)}", "re-core"))
        return self.cores[-1]

    def add_worker(self, *names: str, options: Sequence[str] = ()) -> Member:
        """One more worker process of these workers, not started yet."""
        self.workers.append(self._member(f"worker-{len(self.workers)}", "re-worker", *names, *options))
        return self.workers[-1]

    def add_gateway(self) -> Member:
        """One more gateway of forest runners, not started yet. Its address stays the same over restarts."""
        [port] = free_ports(1)
        self.gateways.append(self._member(f"gateway-{len(self.gateways)}", "re-forest"))
        self.gateways[-1].environ["RE_FOREST_LISTEN"] = f"{LOOPBACK}:{port}"
        return self.gateways[-1]

    def url(self, rest: int = 0) -> str:
        """Where that front end is."""
        return self._urls[rest]

    def client(self, rest: int = 0) -> Client:
        """A client with all rights, of that front end."""
        return Client(self.url(rest), self.token())

    def token(self) -> str:
        """A token with all rights, put into the store as an operator does before anything runs."""
        if not self._token:
            store = bootstrap.open_store(self.settings())
            try:
                self._token = mint(store, connections.system_clock(), "tests", None, admin=True).secret
            finally:
                store.close()
        return self._token

    def settings(self) -> Settings:
        """As the processes have them: for a test that opens the bus or the store itself."""
        return load({name: value for name, value in self.environ("tests").items() if name.startswith("RE_")})

    def environ(self, name: str) -> dict[str, str]:
        """The environment of a process of the cluster."""
        home = self.directory / name
        home.mkdir(exist_ok=True)
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'schemas'}",
            "HOME": str(home),
            "RE_BUS_URL": self.bus_url,
            "RE_STORE_URL": self.store_url,
            "RE_DATA_DIR": str(home / "data"),
            # programs of steps write down beside the data directories what they did
            "RE_STEP_ISOLATION": "off",
            **self._environ,
        }

    def _member(self, name: str, program: str, *words: str) -> Member:
        ready = self.directory / f"{name}.ready"
        argv = [program, *words, "--ready-file", str(ready)]
        return Member(name, argv, self.environ(name), self.directory, ready.exists, ready_file=ready)


def answers(url: str) -> bool:
    """Whether bus, store and core are within its reach."""
    try:
        return plain_http.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False
