"""Each process of a cluster has its own figures; the processes of one front end have them together."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as parse

from tests import plain_http
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, steps_book
from tests.e2e.engine_process import wait_until
from tests.services.server import LOOPBACK, free_ports


def _figures(url: str, token: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = plain_http.get(f"{url}/metrics", headers=headers, timeout=30)
    assert answer.status_code == 200
    return {
        (one.name, frozenset(one.labels.items())): one.value for family in parse(answer.text) for one in family.samples
    }


def _key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"release_engine_{name}", frozenset(labels.items())


def test_core_worker_and_front_end_each_show_their_part(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(environ={"RE_HTTP_WORKERS": "2"})
    ports = free_ports(2)
    cluster.cores[0].environ["RE_METRICS_LISTEN"] = f"{LOOPBACK}:{ports[0]}"
    cluster.workers[0].environ["RE_METRICS_LISTEN"] = f"{LOOPBACK}:{ports[1]}"
    core, worker = (f"http://{LOOPBACK}:{port}" for port in ports)
    cluster.start()
    with cluster.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"
    wait_until(
        "the core has counted its end",
        lambda: _figures(core).get(_key("deployments_ended_total", status="completed")) == 1,
        PATIENCE,
    )
    # its first heartbeat may have come before there was a core
    wait_until("the core counts the worker", lambda: _figures(core).get(_key("workers", command="noop")) == 1, PATIENCE)
    assert _figures(core)[_key("store_up")] == 1
    wait_until(
        "the worker has counted its run",
        lambda: _figures(worker).get(_key("worker_steps_total", command="noop", status="completed")) == 1,
        PATIENCE,
    )

    # whichever of the two processes answers
    asked, key = 40, _key("http_requests_total", route="GET /healthz", status="2xx")
    before = _figures(cluster.url(), cluster.token()).get(key, 0.0)
    for _ in range(asked):
        assert plain_http.get(f"{cluster.url()}/healthz", timeout=30).status_code == 200
    assert [_figures(cluster.url(), cluster.token())[key] - before for _ in range(10)] == [asked] * 10
    assert plain_http.get(f"{cluster.url()}/metrics", timeout=30).status_code == 401
