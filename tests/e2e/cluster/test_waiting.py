"""What processes need may be away, at the start and later: they wait, say for what, and go on by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
import pytest

from tests import plain_http
from tests.cluster.cluster import Cluster
from tests.cluster.member import Member
from tests.cluster.tcp_proxy import TcpProxy
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, steps_book
from tests.e2e.engine_process import wait_until
from tests.e2e.test_notifications import email_settings
from tests.services.server import free_ports


@contextmanager
def _gate(url: str) -> Iterator[TcpProxy]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    proxy = TcpProxy(parts.hostname, parts.port or 0)
    yield proxy
    proxy.shut()


def _through(url: str, gate: TcpProxy) -> str:
    """The same URL by way of the gate."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}127.0.0.1:{gate.port}").geturl()


@pytest.fixture
def bus_gate(amqp_url: str) -> Iterator[TcpProxy]:
    with _gate(amqp_url) as gate:
        yield gate


@pytest.fixture
def store_gate(mongo_url: str) -> Iterator[TcpProxy]:
    with _gate(mongo_url) as gate:
        yield gate


def checks(cluster: Cluster) -> dict[str, str]:
    """What `/readyz` says of each part; empty while nobody answers there."""
    try:
        found = plain_http.get(f"{cluster.url()}/readyz", timeout=PATIENCE)
    except httpx2.ConnectError:
        return {}
    known: dict[str, str] = found.json()["checks"]
    assert (found.status_code == 200) == (set(known.values()) == {"ok"})
    return known


def wrong(cluster: Cluster) -> set[str]:
    """Names of the parts that cannot be reached."""
    return {name for name, what in checks(cluster).items() if what != "ok"}


def await_log(member: Member, text: str, times: int = 1) -> None:
    wait_until(f"{text!r} in {member.log}", lambda: member.text.count(text) >= times, PATIENCE)


@pytest.mark.long
@pytest.mark.parametrize("which", ["bus", "store"])
def test_what_is_away_at_the_start_is_waited_for(
    new_cluster: MakeCluster, amqp_url: str, mongo_url: str, bus_gate: TcpProxy, store_gate: TcpProxy, which: str
) -> None:
    gate = bus_gate if which == "bus" else store_gate
    urls = {"bus_url": _through(amqp_url, gate)} if which == "bus" else {"store_url": _through(mongo_url, gate)}
    cluster = new_cluster(**urls)
    needs = [cluster.rests[0], cluster.cores[0]] + ([cluster.workers[0]] if which == "bus" else [])
    for member in cluster.members:
        member.spawn()
    for member in needs:
        await_log(member, 'action="wait"')
        assert "it continues as soon as" in member.text
    wait_until(f"readyz names the {which}", lambda: which in wrong(cluster), PATIENCE)
    assert plain_http.get(f"{cluster.url()}/healthz").json() == {"status": "alive"}
    answer = plain_http.get(f"{cluster.url()}/api/v1/groups", headers={"Authorization": "Bearer any"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    gate.open()
    for member in cluster.members:
        member.await_ready()
    with cluster.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"
    for member in needs[1:]:
        assert member.text.count('action="wait"') == 1


@pytest.mark.parametrize("which", ["bus", "store"])
def test_what_goes_away_later_is_named_and_found_again(
    new_cluster: MakeCluster, amqp_url: str, mongo_url: str, bus_gate: TcpProxy, store_gate: TcpProxy, which: str
) -> None:
    gate = bus_gate if which == "bus" else store_gate
    gate.open()
    urls = {"bus_url": _through(amqp_url, gate)} if which == "bus" else {"store_url": _through(mongo_url, gate)}
    cluster = new_cluster(**urls)
    # made by way of the gate, which is open
    cluster.token()
    cluster.start()
    gate.shut()
    wait_until(f"readyz names the {which}", lambda: which in wrong(cluster), PATIENCE)
    await_log(cluster.cores[0], 'action="not_ready"')
    gate.open()
    for member in cluster.members:
        member.await_ready()
    with cluster.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"


def test_readyz_names_a_transport_that_a_worker_cannot_reach_and_stays_ready(new_cluster: MakeCluster) -> None:
    cluster = new_cluster(settings=json.dumps({"email": email_settings(free_ports(1)[0])}))
    cluster.start()

    def degraded() -> dict[str, str]:
        found: dict[str, str] = plain_http.get(f"{cluster.url()}/readyz", timeout=PATIENCE).json().get("degraded", {})
        return found

    wait_until("readyz has it", lambda: set(degraded()) == {"email"}, PATIENCE)
    assert degraded()["email"].startswith("worker ")
    assert plain_http.get(f"{cluster.url()}/readyz", timeout=PATIENCE).status_code == 200


def test_readyz_names_the_core_while_there_is_none(new_cluster: MakeCluster) -> None:
    cluster = new_cluster()
    rest, core = cluster.rests[0], cluster.cores[0]
    rest.spawn()
    wait_until("readyz names the core alone", lambda: wrong(cluster) == {"core"}, PATIENCE)
    # in the moment when the bus is reached, the core is still unknown
    wait_until("it says what to start", lambda: "start one" in checks(cluster).get("core", ""), PATIENCE)
    core.start()
    wait_until("all is well", lambda: wrong(cluster) == set() and bool(checks(cluster)), PATIENCE)
    assert core.stop() == 0
    wait_until("readyz names the core alone", lambda: wrong(cluster) == {"core"}, PATIENCE)
