"""The trace of a deployment over several processes and RabbitMQ."""

from __future__ import annotations

from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.tracing import check_one_deployment
from tests.services.collector import collecting


def test_every_process_sends_its_own_spans_of_one_trace(new_cluster: MakeCluster) -> None:
    with collecting() as collector:
        cluster = new_cluster(environ={"RE_TRACES_URL": collector.url})
        cluster.start()
        with cluster.client() as client:
            services = {"front": "re-rest", "core": "re-core", "worker": "re-worker"}
            check_one_deployment(client, cluster.url(), cluster.token(), collector, services)
        assert {member.stop() for member in cluster.members} == {0}
