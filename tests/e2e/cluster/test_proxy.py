"""The proxy of docker-compose.yml: a real nginx with its configuration, before two real front ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from re_client.api import Client
from tests import plain_http
from tests.architecture.tree import ROOT
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, await_line, begin, ended, run_step, steps_book
from tests.services import nginx as server
from tests.services.recipe import Place
from tests.services.server import LOOPBACK, free_ports
from tests.services.shared import workplace

CONFIGURATION = (ROOT / "packaging" / "compose" / "nginx.conf").read_text()

#: how the front ends are found among containers
BY_NAME = "set $front http://re-rest:8080;"


@contextmanager
def proxy(place: Place, *urls: str) -> Iterator[str]:
    """The proxy's URL while it runs before these front ends, which here are found without a name server."""
    [port] = free_ports(1)
    assert CONFIGURATION.count(BY_NAME) == CONFIGURATION.count("listen 8080;") == CONFIGURATION.count("http {\n") == 1
    servers = "".join(f"server {url.removeprefix('http://')};" for url in urls)
    configuration = (
        CONFIGURATION.replace(BY_NAME, "set $front http://front;")
        .replace("listen 8080;", f"listen {LOOPBACK}:{port};")
        .replace("http {\n", f"http {{\nupstream front {{ {servers} }}\n")
    )
    with workplace("nginx") as data, server.running(place, data, configuration, port):
        yield f"http://{LOOPBACK}:{port}"


def test_nginx_finds_nothing_wrong_with_the_file_as_it_is(nginx: Place) -> None:
    with workplace("nginx") as data:
        assert server.checked(nginx, data, CONFIGURATION) == ""
        assert "has no opening" in server.checked(nginx, data, CONFIGURATION.replace("server {", "server"))


def test_live_events_come_through_at_once_and_others_are_spread_over_all(
    nginx: Place, new_cluster: MakeCluster
) -> None:
    cluster = new_cluster(rests=2, environ={"RE_HTTP_PROXIES": "1"})
    cluster.start()
    go = cluster.directory / "go"
    with proxy(nginx, cluster.url(0), cluster.url(1)) as url, Client(url, cluster.token()) as client:
        id = begin(client, steps_book(run_step(f"echo begun; while ! test -e {go}; do sleep 0.02; done")))
        await_line(client, id, "begun")
        headers = {"Authorization": f"Bearer {cluster.token()}"}
        with plain_http.stream(
            "GET", f"{url}/api/v1/deployments/{id}/events", headers=headers, timeout=PATIENCE
        ) as events:
            lines = events.iter_lines()
            # the step still runs: what a buffer held back would not come before it ends
            assert any("begun" in line for line in lines)
            assert not go.exists()
            go.touch()
            assert any(line == "event: end" for line in lines)
        assert ended(client, id)["status"] == "completed"


def test_a_front_end_that_is_gone_is_passed_over(nginx: Place, new_cluster: MakeCluster) -> None:
    cluster = new_cluster(rests=2)
    cluster.start()
    with proxy(nginx, cluster.url(0), cluster.url(1)) as url, Client(url, cluster.token()) as client:
        cluster.rests[0].kill()
        book = client.apply_playbook(steps_book("noop:Do").encode())["id"]
        ids = [client.deploy("tests", book, {})["id"] for _ in range(6)]
        assert {ended(client, id)["status"] for id in ids} == {"completed"}


@pytest.mark.parametrize(("proxies", "source"), [("1", "127.0.0.2"), ("0", "127.0.0.1")])
def test_the_source_is_what_the_proxy_saw_and_never_what_a_caller_says(
    nginx: Place, new_cluster: MakeCluster, proxies: str, source: str
) -> None:
    cluster = new_cluster(environ={"RE_HTTP_PROXIES": proxies})
    cluster.start()
    with proxy(nginx, cluster.url()) as url, Client(url, cluster.token()) as client:
        book = client.apply_playbook(steps_book("noop:Do").encode())["id"]
        with plain_http.Client(
            transport=httpx2.HTTPTransport(verify=False, local_address="127.0.0.2"), timeout=PATIENCE
        ) as caller:
            answer = caller.post(
                f"{url}/api/v1/deployments",
                json={"group": "tests", "playbook_id": book},
                headers={"Authorization": f"Bearer {cluster.token()}", "X-Forwarded-For": "6.6.6.6"},
            )
        assert answer.status_code == 201, answer.text
        assert client.deployment(answer.json()["id"])["source"] == source
