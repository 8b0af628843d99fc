"""HTTP before the whole engine, workers included: what a person does from the first playbook to the last event."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from re_core.runtime.settings import load
from re_rest.app import close_streams, create_app
from re_up.engine import Engine

DEPLOYMENTS = "/api/v1/deployments"


class Caller:
    """Speaks HTTP with the local token."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, **more: Any) -> Any:
        headers = {**self._headers, **more.pop("headers", {})}
        return self._client.open(path, method=method, headers=headers, buffered=True, **more)

    def store(self, *steps: Any, hosts: tuple[str, ...] = ("a", "b")) -> str:
        """A playbook's id."""
        execution = [{"hosts": list(hosts), "steps": list(steps)}]
        document = {"group": "ours", "name": f"book {uuid.uuid4()}", "execution": execution}
        made = self.call("POST", "/api/v1/playbooks", json=document)
        assert made.status_code == 201, made.text
        return str(made.json["id"])

    def deploy(self, playbook: str, **more: Any) -> Any:
        return self.call("POST", DEPLOYMENTS, json={"group": "ours", "playbook_id": playbook}, **more)

    def follow(self, id: str) -> list[str]:
        """Names of the events up to the end: waits for it."""
        text = self.call("GET", f"{DEPLOYMENTS}/{id}/events").text
        return [line.removeprefix("event: ") for line in text.split("\n") if line.startswith("event: ")]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """The whole engine in this process."""
    home: Path = tmp_path_factory.mktemp("live")
    engine = Engine(load({"RE_DATA_DIR": str(home), "RE_STEP_ISOLATION": "off"}))
    engine.start()
    app = create_app(engine.services())
    yield Caller(app.test_client(), (home / "token").read_text(encoding="utf-8").strip())
    close_streams(app)
    engine.stop(10)


def test_a_deployment_is_there_at_once_and_runs_to_its_end(live: Caller) -> None:
    made = live.deploy(live.store("noop:A", {"command:Run": {"cmd": "echo hello"}}, hosts=("localhost",)))
    assert made.status_code == 201

    at_once = live.call("GET", made.headers["Location"])
    names = live.follow(made.json["id"])
    document = live.call("GET", made.headers["Location"]).json

    assert at_once.status_code == 200
    assert names[-1] == "end"
    assert "output" in names
    assert document["status"] == "completed", document["reason"]
    assert document["counts"] == {"completed": 2, "total": 2}
    assert "hello" in live.call("GET", f"{made.headers['Location']}/output?format=text").text
    assert live.call("GET", f"/api/v0/deployment/status/{made.json['id']}/").json["status"] == "completed"
    assert made.json["id"] in [row["id"] for row in live.call("GET", DEPLOYMENTS).json["items"]]


def test_twelve_posts_with_one_key_at_the_same_time_are_one_deployment(live: Caller) -> None:
    playbook = live.store("noop:A")
    gate = threading.Barrier(12)
    answers: list[tuple[int, str]] = []

    def post() -> None:
        gate.wait()
        made = live.deploy(playbook, headers={"Idempotency-Key": "twelve"})
        answers.append((made.status_code, made.json["id"]))

    threads = [threading.Thread(target=post) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 12
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    listed = live.call("GET", f"{DEPLOYMENTS}?playbook_id={playbook}").json["items"]
    assert [row["id"] for row in listed] == [answers[0][1]]
    other = live.store("noop:B")
    assert live.deploy(other, headers={"Idempotency-Key": "twelve"}).status_code == 422


def test_a_failed_step_says_why_in_both_versions(live: Caller) -> None:
    made = live.deploy(live.store("noop:A", "noop:Fail", "noop:Never", hosts=("a",)))
    live.follow(made.json["id"])

    document = live.call("GET", made.headers["Location"]).json
    old = live.call("GET", f"/api/v0/deployment/status/{made.json['id']}/")

    assert [step["status"] for step in document["steps"]] == ["completed", "failed", "skipped"]
    assert "noop:Fail" in document["reason"]
    assert (old.status_code, old.json["status"], old.json["failed_step"]) == (400, "failed", "noop:Fail")


def test_a_running_deployment_is_cancelled_once(live: Caller) -> None:
    made = live.deploy(live.store({"sleep:Seconds": {"seconds": 600}}, hosts=("a",)))
    id = made.json["id"]

    cancelled = live.call("POST", f"{DEPLOYMENTS}/{id}/cancel", json={"reason": "enough"})
    live.follow(id)

    assert cancelled.status_code == 202
    assert live.call("GET", f"{DEPLOYMENTS}/{id}").json["status"] == "cancelled"
    assert live.call("POST", f"{DEPLOYMENTS}/{id}/cancel").status_code == 409


def test_a_failed_deployment_goes_on_after_a_retry_and_one_key_retries_it_once(live: Caller, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    id = live.deploy(live.store({"command:Run": {"cmd": f"test -e {mended}"}}, "noop:B", hosts=("a",))).json["id"]
    live.follow(id)
    mended.touch()
    headers = {"Idempotency-Key": f"retry-{id}"}

    answers = [live.call("POST", f"{DEPLOYMENTS}/{id}/retry", json={"retries": 0}, headers=headers) for _ in range(3)]
    live.follow(id)
    after_its_end = live.call("POST", f"{DEPLOYMENTS}/{id}/retry", json={"retries": 0}, headers=headers)

    assert [answer.status_code for answer in [*answers, after_its_end]] == [202] * 4
    document = live.call("GET", f"{DEPLOYMENTS}/{id}").json
    assert (document["status"], document["retries"], document["steps"][0]["attempt"]) == ("completed", 1, 2)
    assert live.call("POST", f"{DEPLOYMENTS}/{id}/retry").json["detail"] == "the deployment is completed"
    assert live.call("POST", f"{DEPLOYMENTS}/{id}/decide", json={"step": 0, "ruling": "again"}).status_code == 409


def test_a_second_deployment_of_an_exclusive_playbook_is_a_409_that_names_the_first(live: Caller) -> None:
    step = {"sleep:Seconds": {"seconds": 600}}
    document = {"group": "ours", "name": "alone", "exclusive": True, "execution": [{"hosts": ["a"], "steps": [step]}]}
    playbook = live.call("POST", "/api/v1/playbooks", json=document).json["id"]
    first = live.deploy(playbook).json["id"]

    second = live.deploy(playbook)
    live.call("POST", f"{DEPLOYMENTS}/{first}/cancel")
    live.follow(first)
    third = live.deploy(playbook)

    assert (second.status_code, second.json["deployment"]) == (409, first)
    assert first in second.json["detail"]
    assert live.call("GET", f"{DEPLOYMENTS}/{first}").json["exclusive"] is True
    assert third.status_code == 201
    live.call("POST", f"{DEPLOYMENTS}/{third.json['id']}/cancel")


def test_what_is_missing_unknown_or_misspelt_starts_nothing(live: Caller) -> None:
    playbook = live.store({"noop:A": {"dynamic": ["cart", "tag"]}})

    missing = live.deploy(playbook)
    unknown = live.call("POST", DEPLOYMENTS, json={"group": "nobody", "playbook_id": playbook})
    no_book = live.call("POST", DEPLOYMENTS, json={"group": "ours", "playbook_id": "x"})
    wrong = {"group": "ours", "name": "n", "execution": [{"hosts": ["a"], "steps": [{"sleep:Seconds": {"second": 1}}]}]}
    misspelt = live.call("POST", "/api/v1/playbooks", json=wrong)

    assert (missing.status_code, [one["path"] for one in missing.json["errors"]]) == (
        422,
        ["/dynamic/cart", "/dynamic/tag"],
    )
    assert (unknown.status_code, unknown.json["type"]) == (404, "urn:release-engine:unknown-group")
    assert (no_book.status_code, no_book.json["type"]) == (404, "urn:release-engine:unknown-playbook")
    assert misspelt.status_code == 422
    assert "seconds" in " ".join(one["message"] for one in misspelt.json["errors"])
    assert live.call("GET", f"{DEPLOYMENTS}?playbook_id={playbook}").json["items"] == []


def test_a_notification_reaches_the_console(live: Caller) -> None:
    sent = {"transport": "console", "slug": "s", "message": "hello", "phase": "completed", "target": ["me"]}

    assert live.call("POST", "/api/v1/notifications", json=sent).status_code == 202
    assert live.call("POST", "/api/v1/notifications", json={**sent, "transport": "pigeon"}).status_code == 409


def test_it_is_ready_and_its_workers_are_listed(live: Caller) -> None:
    assert live.call("GET", "/readyz").json["status"] == "ready"
    [worker] = live.call("GET", "/api/v1/workers").json["items"]
    assert {"sleep:Seconds", "command:Run"} <= set(worker["offers"])
