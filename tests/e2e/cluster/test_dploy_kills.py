"""kill -9 at any moment, of core, center, builder, front end and agents, each a process of its own: no request of a client fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from re_client.api import Client
from re_core.adapters.peering.seal import make_file
from tests.cluster.cluster import Cluster
from tests.cluster.member import Member
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.dploy_rig import Rig
from tests.e2e.dploy_rounds import Rounds

#: what dies: one part of the engine; agents, a program that builds, or all at once; of the first kinds one each in every run of the tests
PARTS = (("core", "rest"), ("center",), ("builder",))
VICTIMS = (*PARTS, ("eu", "us", "zones"), ("program",), ("all",))


class _Parts:
    """See dploy_rig.Engine."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._parts: dict[str, Member] = {}

    @property
    def builder_data(self) -> Path:
        return self._cluster.directory / "build" / "data"

    def set_up(self, environ: Mapping[str, str]) -> None:
        self._parts = {"core": self._cluster.cores[0], "rest": self._cluster.rests[0]}
        for name, part in {"center": "center", "builder": "build"}.items():
            ready = self._cluster.directory / f"{part}.ready"
            argv = [sys.executable, "-m", "re_dploy", part, "--ready-file", str(ready)]
            member = Member(
                name,
                argv,
                self._cluster.environ(part) | dict(environ),
                self._cluster.directory,
                ready.exists,
                ready_file=ready,
            )
            member.environ.pop("RE_STEP_ISOLATION")
            self._cluster.gateways.append(member)
            self._parts[name] = member

    def start(self) -> None:
        self._cluster.start()

    def client(self) -> Client:
        return self._cluster.client()

    def kill(self, victim: str) -> Callable[[], None]:
        killed = [part for name, part in self._parts.items() if victim in (name, "all")]
        for part in killed:
            part.kill()

        def revive() -> None:
            for part in killed:
                part.spawn()
            for part in killed:
                part.await_ready()

        return revive

    def end(self) -> None:
        """The cluster ends with its fixture."""


@pytest.fixture
def rig(new_cluster: MakeCluster, tmp_path: Path) -> Iterator[Rig]:
    key = tmp_path / "secret.key"
    make_file(key)
    # of one process, so that it is ready when it says so: another one could still be opening its store
    environ = {"RE_SECRET_KEY_FILE": str(key), "RE_DPLOY": "1", "RE_HTTP_WORKERS": "1"}
    cluster = new_cluster(workers=(), environ=environ)
    made = Rig(tmp_path, _Parts(cluster))
    try:
        yield made
    finally:
        made.close()


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_kills_of_one_part_after_another_lose_no_request_and_no_release(rig: Rig) -> None:
    """A few rounds, each with another victim."""
    rounds = Rounds(rig, ("builder",))
    rounds.play(rounds.few(PARTS))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_kills_of_parts_lose_no_request_and_no_release(rig: Rig) -> None:
    """The same, for long."""
    rounds = Rounds(rig, ("builder",))
    rounds.play(rounds.many(VICTIMS, 50))
