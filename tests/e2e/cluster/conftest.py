"""A virtual host, a database, and clusters on them; none of what a test starts outlives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.services.broker import RabbitMQ
from tests.services.documents import MongoDB

MakeCluster = Callable[..., Cluster]


@pytest.fixture
def bus_url(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A virtual host of the test's own."""
    with rabbitmq.vhost() as url:
        yield url


@pytest.fixture
def store_url(mongodb: MongoDB) -> Iterator[str]:
    """A database of the test's own."""
    with mongodb.database() as url:
        yield url


@pytest.fixture
def new_cluster(tmp_path: Path, bus_url: str, store_url: str) -> Iterator[MakeCluster]:
    """Makes the test's clusters, not started yet; takes what Cluster takes."""
    with ExitStack() as stack:

        def make(name: str = "cluster", **wanted: object) -> Cluster:
            urls = {"bus_url": bus_url, "store_url": store_url}
            return stack.enter_context(Cluster(tmp_path / name, **{**urls, **wanted}))  # type: ignore[arg-type]

        yield make
