"""URLs of servers that the environment names, and of what a test gets of them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.services import broker, documents
from tests.services.broker import RabbitMQ, vhost_of
from tests.services.documents import MongoDB


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is asked whether it is there."""
    monkeypatch.setattr(RabbitMQ, "check", lambda _: None)
    monkeypatch.setattr(MongoDB, "check", lambda _: None)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("path", ["", "/", "/%2F", "/theirs"])
def test_a_broker_is_known_without_a_virtual_host(path: str) -> None:
    found = broker.named(f"amqp://guest:guest@bus.test.example:5673{path}")
    assert (found.url, found.api) == ("amqp://guest:guest@bus.test.example:5673", "http://bus.test.example:15672")


@pytest.mark.usefixtures("unchecked")
def test_the_environment_may_name_the_management_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RE_TEST_AMQP_API", "http://bus.test.example:8080/")
    assert broker.named("amqp://bus.test.example").api == "http://bus.test.example:8080"


def test_a_virtual_host_may_have_any_name() -> None:
    assert vhost_of("amqp://guest:guest@bus.test.example/a%2Fb") == "a/b"


@pytest.mark.usefixtures("unchecked")
def test_the_user_is_looked_for_where_the_url_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def source(url: str) -> list[str] | None:
        return parse_qs(urlsplit(documents.named(url).new_database()).query).get("authSource")

    assert source("mongodb://user:password@db.test.example/") == ["admin"]
    assert source("mongodb://user:password@db.test.example/theirs") == ["theirs"]
    assert source("mongodb://user:password@db.test.example/theirs?authSource=users") == ["users"]
    assert source("mongodb://db.test.example/?replicaSet=rs0") is None


def test_databases_are_fresh_and_keep_the_options_of_the_server() -> None:
    server = MongoDB("mongodb://db.test.example/?replicaSet=rs0")
    one, other = server.new_database(), server.new_database()
    assert one != other
    assert one.endswith("?replicaSet=rs0")


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="RE_TEST_AMQP_URL"):
        broker.named("http://bus.test.example")
    with pytest.raises(ValueError, match="RE_TEST_MONGO_URL"):
        documents.named("http://db.test.example")
