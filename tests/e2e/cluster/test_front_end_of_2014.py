"""A front end of 2014 on the bus of ours: what it asks, and what it is answered, as it was then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from re_client.api import Client
from tests.cluster.cluster import Cluster
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import ended, steps_book
from tests.e2e.engine_process import wait_until
from tests.legacy_rest import LegacyAnswer, LegacyRest

#: seconds for what takes a moment
SOON = 20.0

NEEDS_CART = "{'noop:Do': {dynamic: [cart]}}"


@pytest.fixture
def cluster(new_cluster: MakeCluster) -> Iterator[Cluster]:
    cluster = new_cluster(workers=[("noop",)])
    cluster.start()
    yield cluster


def _refused(answer: LegacyAnswer | None, reason: str) -> None:
    assert answer is not None
    assert answer.body == {"id": None}
    assert answer.headers["re-reason"] == reason


def _accepted(client: Client, answer: LegacyAnswer | None) -> str:
    """The deployment's id, once it has completed."""
    assert answer is not None
    assert list(answer.body) == ["id"]
    found = ended(client, answer.body["id"])
    assert found["status"] == "completed"
    return found["id"]


def test_it_is_answered_with_the_id_of_a_deployment_that_goes_on(cluster: Cluster, amqp_url: str) -> None:
    old = LegacyRest(amqp_url)
    with cluster.client() as client:
        plain = client.apply_playbook(steps_book("noop:Do", "noop:Do").encode())
        needy = client.apply_playbook(steps_book(NEEDS_CART).replace("name: book", "name: needy").encode())
        first = _accepted(client, old.deploy("tests", plain["id"]))
        second = _accepted(client, old.deploy("tests", plain["id"]))
        assert first != second
        third = _accepted(client, old.deploy("tests", needy["id"], {"cart": "bitmath"}))
        assert client.deployment(third)["user"] == "jdoe"


def test_a_request_that_comes_twice_is_one_deployment(cluster: Cluster, amqp_url: str) -> None:
    with cluster.client() as client:
        book = client.apply_playbook(steps_book("noop:Do").encode())
        body = f'{{"group": "tests", "playbook_id": "{book["id"]}"}}'.encode()
        answers = LegacyRest(amqp_url).ask_all(body, times=2, wanted=2)
        assert len({_accepted(client, answer) for answer in answers}) == 1
        assert len(answers) == 2
        assert len(client.deployments()) == 1


def test_what_cannot_be_started_is_answered_with_null_and_a_reason(cluster: Cluster, amqp_url: str) -> None:
    old = LegacyRest(amqp_url)
    with cluster.client() as client:
        book = client.apply_playbook(steps_book(NEEDS_CART).replace("name: book", "name: needy").encode())
        _refused(old.deploy("tests", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), "unknown-playbook")
        _refused(old.deploy("nobody", book["id"]), "unknown-group")
        _refused(old.deploy("tests", book["id"]), "bad-dynamic")
        _refused(old.ask(b'{"group": "tests"'), "bad-message")
        _refused(old.ask(b'{"group": "tests", "playbook_id": 7}'), "bad-message")
        wait_until("both are dead letters", lambda: len(client.dead_letters()) == 2, SOON)
        assert client.deployments() == []
