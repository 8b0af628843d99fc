"""The figures of a running engine, read by Prometheus' own parser; and that the examples ask for figures that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as parse

from re_client.api import Client
from tests import plain_http
from tests.e2e.deploying import PATIENCE, begin, ended, run_step, steps_book
from tests.e2e.engine_process import EngineProcess, running, wait_until
from tests.services.server import LOOPBACK, free_ports

EXAMPLES = Path("examples/monitoring")

#: a figure that a query names; functions and labels begin otherwise
_NAMED = re.compile(r"\b(?:release_engine|process)_[a-z_]+")

Figures = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def listen() -> str:
    [port] = free_ports(1)
    return f"{LOOPBACK}:{port}"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, listen: str) -> Iterator[EngineProcess]:
    """One engine for all tests of this file."""
    with running(tmp_path_factory.mktemp("engine"), f"metrics_listen: {listen}\ndploy: true\n") as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[Client]:
    with engine.client() as client:
        yield client


def _scraped(engine: EngineProcess, token: str = "") -> httpx2.Response:
    url = (engine.data / "url").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return plain_http.get(f"{url}/metrics", headers=headers, timeout=30)


def _page(engine: EngineProcess) -> str:
    answer = _scraped(engine, (engine.data / "token").read_text().strip())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def _figures(engine: EngineProcess) -> Figures:
    families = parse(_page(engine))
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def _key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"release_engine_{name}", frozenset(labels.items())


def test_a_deployment_shows_in_the_figures(engine: EngineProcess, client: Client) -> None:
    before = _figures(engine)
    assert ended(client, begin(client, steps_book("noop:Do", run_step("exit 3"))))["status"] == "failed"
    risen = {
        _key("deployments_accepted_total"): 1.0,
        _key("deployments_ended_total", status="failed"): 1.0,
        _key("deployment_seconds_count", status="failed"): 1.0,
        _key("steps_dispatched_total", command="command"): 1.0,
        _key("steps_claimed_total", command="command"): 1.0,
        _key("steps_ended_total", command="noop", outcome="completed"): 1.0,
        _key("steps_ended_total", command="command", outcome="failed"): 1.0,
        _key("step_queue_seconds_count", command="noop"): 1.0,
        _key("step_seconds_count", command="command"): 1.0,
        _key("worker_steps_total", command="command", status="failed"): 1.0,
        _key("worker_step_seconds_count", command="noop"): 1.0,
        _key("http_requests_total", route="POST /api/v1/deployments", status="2xx"): 1.0,
    }

    def rose() -> bool:
        now = _figures(engine)
        return {name: now.get(name, 0.0) - before.get(name, 0.0) for name in risen} == risen

    wait_until("the figures have risen", rose, PATIENCE)
    now = _figures(engine)
    assert now[_key("store_up")] == 1
    assert now[_key("workers", command="command")] == 1
    assert now[_key("dead_letters")] == 0
    assert {dict(labels)["thread"] for name, labels in now if name.endswith("thread_lag_seconds")} >= {
        "sequencer",
        "recorder",
        "sweeper",
    }


def _one_waits(figures: Figures) -> bool:
    age = figures.get(_key("step_queue_age_seconds", command="command"), 0)
    return age > 0 and figures[_key("deployments", status="running")] >= 1


def test_a_step_that_no_worker_takes_grows_old(engine: EngineProcess, client: Client) -> None:
    """All slots of `command` are taken by steps that wait for a file; the next one waits for a slot."""
    place = engine.directory / "go"
    step = run_step(f"while ! test -e {place}; do sleep 0.05; done")
    stored = client.apply_playbook(steps_book(step).replace("name: book", "name: holds").encode())
    ids = [client.deploy(stored["group"], stored["id"], {})["id"] for _ in range(17)]
    try:
        wait_until("one waits while others run", lambda: _one_waits(_figures(engine)), PATIENCE)
    finally:
        place.touch()
    assert {ended(client, id)["status"] for id in ids} == {"completed"}
    wait_until("none waits", lambda: _figures(engine)[_key("step_queue_age_seconds", command="command")] == 0, PATIENCE)


def test_the_page_needs_a_token_that_reaches_all_groups(engine: EngineProcess, client: Client) -> None:
    assert _scraped(engine).status_code == 401
    assert _scraped(engine, "re_wrong").status_code == 401
    token = engine.run("token", "create", "--user", "ann", "--group", "web", "--json")
    assert token.returncode == 0, token.stderr
    answer = _scraped(engine, json.loads(token.stdout)["token"])
    assert answer.status_code == 403
    assert "release_engine" not in answer.text


def test_the_address_of_its_own_shows_the_same_to_everybody_there(engine: EngineProcess, listen: str) -> None:
    families = {family.name for family in parse(plain_http.get(f"http://{listen}/metrics", timeout=30).text)}
    assert families == {family.name for family in parse(_page(engine))}


def test_no_label_names_a_deployment_group_host_or_worker(engine: EngineProcess, client: Client) -> None:
    id = begin(client, steps_book("noop:Do", hosts="secret-host.example").replace("group: tests", "group: secretgroup"))
    worker = ended(client, id)["steps"][0]["worker"]
    page = _page(engine)
    assert worker
    assert [word for word in (id, worker, "secret-host", "secretgroup") if word in page] == []


def _names(page: str) -> set[str]:
    """Every name that a query may use."""
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {family.name + ending for family in parse(page) for ending in endings[family.type]}


def _queries() -> Iterator[str]:
    dashboard: dict[str, Any] = json.loads((EXAMPLES / "dashboard.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    alerts = yaml.safe_load((EXAMPLES / "alerts.yml").read_text())
    yield from (rule["expr"] for group in alerts["groups"] for rule in group["rules"])


def test_dashboard_and_alerts_name_figures_that_there_are_and_the_dashboard_shows_all_of_ours(
    engine: EngineProcess,
) -> None:
    page = _page(engine)
    named = {name for query in _queries() for name in _NAMED.findall(query)}
    assert named - _names(page) == set()
    ours = {family.name for family in parse(page) if family.name.startswith("release_engine")}
    shown = {re.sub("_(total|bucket|count|sum)$", "", name) for name in named}
    assert ours - shown == set()
