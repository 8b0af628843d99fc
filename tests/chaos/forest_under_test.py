"""A cluster with gateways for forest runners, and runners: each may be killed and frozen. Must not know when that is done."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from re_core import bootstrap, connections
from re_core.usecases.artifact_pushing import Bounds, Wanted, push_files
from re_core.usecases.authorization import Binding, Principal
from tests.chaos.cluster_under_test import ClusterUnderTest
from tests.chaos.playbooks_under_test import Book
from tests.cluster.member import Member
from tests.services.broker import RabbitMQ
from tests.services.server import Group

#: the artifact that all releases are of
ARTIFACT = "chaos-1"

#: seconds that a release takes: from, to
PACE = (0.0, 1.5)

#: does something bad
Strike = Callable[[random.Random], None]

#: one step of so many is the ledger's and no release
OTHERS = 3

_FILES = {"deployment": {"dev/dest1/forest/flux@1/a.yaml": "kind: A\n"}, "spec": {"forest.cue": "a: 1\n"}}


class ForestUnderTest(ClusterUnderTest):
    """Beside the ledger's worker there are gateways, and each has runners of its own."""

    def __init__(
        self,
        directory: Path,
        broker: RabbitMQ,
        bus_url: str,
        store_url: str,
        store: Group | None = None,
        *,
        gateways: int = 2,
        runners: int = 4,
        cores: int = 1,
    ) -> None:
        # a release waits while the fallen runners are away: else it would fail at once
        settings = {"RE_MISSING_WORKER": "wait"}
        super().__init__(directory, broker, bus_url, store_url, store, cores=cores, settings=settings)
        self.runners: list[Member] = []
        self._directory, self._wanted = directory, runners
        self.gateways = [self.cluster.add_gateway() for _ in range(gateways)]

    def start(self) -> None:
        """Start all processes, and wait until the runners are registered."""
        self._store_artifact()
        super().start()
        with self.cluster.client() as client:
            for number in range(self._wanted):
                name = f"runner-{number}"
                self._add_runner(name, client.enroll_runner(name)["id"], number)
        for runner in self.runners:
            runner.spawn()
        for runner in self.runners:
            runner.await_ready()

    def everything(self) -> list[Strike]:
        """What can happen to gateways, runners and cores."""
        parts = (self.gateways, self.runners, self.cluster.cores)
        return [strike(members) for strike in (self.kill, self.freeze) for members in parts]

    def _add_runner(self, name: str, id: str, number: int) -> None:
        ready = self._directory / f"{name}.ready"
        address = self.gateways[number % len(self.gateways)].environ["RE_FOREST_LISTEN"]
        argv = [sys.executable, "-m", "tests.chaos.forest_runner", address, id, str(self.ledger.file), str(ready)]
        environ = self.cluster.environ(name)
        self.runners.append(Member(name, argv, environ, self._directory, ready.exists, ready_file=ready))
        self.cluster.others.append(self.runners[-1])

    def _store_artifact(self) -> None:
        store = bootstrap.open_store(self.cluster.settings())
        try:
            wanted = Wanted("chaos", ARTIFACT, "files", {"slug": ARTIFACT})
            root = Principal("tests", (Binding("admin"),))
            push_files(store, connections.system_clock(), root, wanted, _FILES, Bounds())
        finally:
            store.close()


def draw(dice: random.Random, count: int) -> list[Book]:
    """`count` different playbooks with releases in them, the first of which fails."""
    return [_draw(dice, number) for number in range(count)]


def _draw(dice: random.Random, number: int) -> Book:
    steps = [_step(dice, number, at) for at in range(dice.randint(2, 4))]
    if number == 0:
        steps[-1] = _release(dice, f"book {number}", "it cannot be deployed")
    execution = [{"hosts": ["one"], "steps": steps}]
    text = json.dumps({"group": "chaos", "name": f"book {number}", "execution": execution})
    return Book(text, "completed" if number else "failed")


def _step(dice: random.Random, number: int, at: int) -> dict[str, Any]:
    if at and dice.randrange(OTHERS) == 0:
        return {"ledger:Once": {}}
    return _release(dice, f"book {number}")


def _release(dice: random.Random, project: str, error: str = "") -> dict[str, Any]:
    metadata = {"seconds": f"{dice.uniform(*PACE):.2f}", **({"error": error} if error else {})}
    return {
        "forest:Release": {
            "type": "forest/flux@1",
            "organisation": "acme",
            "project": project,
            "destination": {"name": "dest1", "environment": "dev", "metadata": metadata},
            "artifact": ARTIFACT,
        },
        "timeout": 120,
    }
