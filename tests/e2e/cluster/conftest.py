"""A virtual host, a database, and clusters on them; none of what a test starts outlives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster

MakeCluster = Callable[..., Cluster]


@pytest.fixture
def new_cluster(tmp_path: Path, amqp_url: str, mongo_url: str) -> Iterator[MakeCluster]:
    """Makes the test's clusters, not started yet; takes what Cluster takes."""
    with ExitStack() as stack:

        def make(name: str = "cluster", **wanted: object) -> Cluster:
            urls = {"bus_url": amqp_url, "store_url": mongo_url}
            return stack.enter_context(Cluster(tmp_path / name, **{**urls, **wanted}))  # type: ignore[arg-type]

        yield make
