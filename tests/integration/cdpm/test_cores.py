"""Two cores on RabbitMQ and MongoDB: each link is held by one, and by the other where that one is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from re_core.bootstrap import Core, open_peering
from re_core.cdpm import records as r
from re_core.connections import open_bus
from re_core.ports import Bus
from re_core.services import cdpm_holders
from tests.integration.cdpm.dependency import Dependency
from tests.integration.cdpm.node import SOON, Node

pytestmark = [pytest.mark.service("rabbitmq"), pytest.mark.service("mongodb")]

NAMES = [f"lib{number}" for number in range(6)]


class Cluster:
    """A node with six dependencies, and cores that come and go; the first has the workers."""

    def __init__(self, node: Node, dependencies: dict[str, Dependency], monkeypatch: pytest.MonkeyPatch) -> None:
        self.node, self.dependencies, self._patch = node, dependencies, monkeypatch
        self._others: list[tuple[Core, Bus]] = []

    def begin(self) -> None:
        self.node.start(self._patch)
        self.node.register({name: one.url for name, one in self.dependencies.items()})

    def add(self) -> Core:
        """Another core."""
        node = self.node
        peering = open_peering(node.settings)
        bus = open_bus(node.settings, node.store)
        core = Core(node.settings, bus, node.store, node.clock, node.fatal.append, peering=peering)
        core.start()
        self._others.append((core, bus))
        return core

    def close(self) -> None:
        for core, bus in self._others:
            core.stop(SOON, finish=False)
            bus.close()

    def connected(self) -> bool:
        return all(one.connected == 1 for one in self.dependencies.values())

    def held(self, *cores: Core) -> list[int]:
        """How many links of each are up."""
        found = [core.links() for core in cores]
        return [0 if one is None else one.up for one in found]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rabbitmq: Any, mongodb: Any) -> Iterator[Cluster]:
    monkeypatch.setattr(cdpm_holders, "BEAT", 0.2)
    with ExitStack() as stack:
        environ = {
            "RE_BUS_URL": stack.enter_context(rabbitmq.vhost()),
            "RE_STORE_URL": stack.enter_context(mongodb.database()),
        }
        node = Node(tmp_path, environ)
        stack.callback(node.close)
        dependencies = {name: Dependency(node.files / f"{name}.yml", node.source) for name in NAMES}
        for one in dependencies.values():
            one.start()
            stack.callback(one.stop)
        made = Cluster(node, dependencies, monkeypatch)
        stack.callback(made.close)
        yield made


def test_links_are_shared_and_move_where_a_core_leaves(cluster: Cluster) -> None:
    node = cluster.node
    cluster.begin()
    node.wait(cluster.connected)
    node.wait(lambda: cluster.held(node.core) == [6])
    other = cluster.add()
    node.wait(lambda: cluster.connected() and cluster.held(other)[0] > 0 and sum(cluster.held(node.core, other)) == 6)
    for n, one in enumerate(cluster.dependencies.values(), 1):
        one.release(n)
    node.wait(lambda: len(node.records(r.VoteDelivered)) == 6)
    assert len(node.records(r.Received)) == len(node.records(r.JobAsked)) == len(node.records(r.Voted)) == 6
    assert sum(len(one.of("subscribe")) for one in cluster.dependencies.values()) == 6

    other.stop(SOON, finish=False)
    node.wait(lambda: cluster.connected() and cluster.held(node.core) == [6])
    assert sum(len(one.of("unsubscribe")) for one in cluster.dependencies.values()) == 0


def test_links_of_a_core_that_says_nothing_any_more_are_taken_over(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = cluster.node
    cluster.begin()
    node.wait(cluster.connected)
    other = cluster.add()
    node.wait(lambda: cluster.held(other)[0] > 0 and sum(cluster.held(node.core, other)) == 6)
    assert other._pipelines is not None
    # as if it were frozen: no sign of life of it reaches the store any more, and its links end by that
    monkeypatch.setattr(cdpm_holders, "UNSEEN", 0.5)
    monkeypatch.setattr(other._pipelines._holders, "turn", lambda: None)
    node.wait(lambda: cluster.connected() and cluster.held(node.core, other) == [6, 0])
    release = next(iter(cluster.dependencies.values()))
    release.release(1)
    node.wait(lambda: len(node.records(r.VoteDelivered)) == 1)
