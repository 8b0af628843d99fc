"""AmqpBus: what waiting cannot mend, and TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
import trustme

from re_core.adapters.amqp import AmqpBus
from re_core.errors import BusRefused, BusUnavailable, OperatorError
from re_core.ports import Published
from tests import plain_http
from tests.contract.places import NEVER, SOON
from tests.contract.samples import message, names, take_all
from tests.integration.adapters.amqp_harness import SHORT, AmqpHarness, until
from tests.services.broker import vhost_of

QUEUE = "worker.test"


def _refuses(bus: AmqpBus, words: str) -> None:
    for call in (
        lambda: bus.subscribe([QUEUE], 10),
        lambda: bus.declare(QUEUE),
        lambda: bus.publish([message("a")]),
        lambda: bus.request(message("a"), SOON),
        lambda: bus.consumers(QUEUE),
        bus.ping,
    ):
        with pytest.raises(BusRefused, match=words) as refused:
            call()
        assert isinstance(refused.value, OperatorError)


def test_a_wrong_password_ends_it_with_words(harness: AmqpHarness) -> None:
    _refuses(harness.bus(url=harness.url.replace("guest:guest", "guest:wrong")), "user and password of RE_BUS_URL")


def test_a_virtual_host_that_is_not_there_ends_it_with_words(harness: AmqpHarness) -> None:
    _refuses(harness.bus(url=f"{harness.broker.url}/nowhere"), "rabbitmqctl add_vhost")


def test_whoever_waits_for_a_delivery_hears_of_a_refusal(harness: AmqpHarness) -> None:
    relay = harness.relay()
    bus = harness.bus(relay.port, url=harness.url.replace("guest:guest", "guest:wrong"))
    subscription = bus.subscribe([QUEUE], 10)
    assert subscription.take(1, NEVER) == []
    relay.open()

    def refused() -> bool:
        try:
            subscription.take(1, NEVER)
        except BusRefused:
            return True
        return False

    until(refused, "take says why nothing will ever come")


@pytest.fixture
def changing_password(harness: AmqpHarness) -> Iterator[tuple[str, httpx2.Client]]:
    """A user's name, and whoever may change its password."""
    name = f"user-{vhost_of(harness.url)}"
    with plain_http.Client(auth=("guest", "guest"), base_url=f"{harness.broker.api}/api/") as client:
        client.put(f"users/{name}", json={"password": "old", "tags": ""}).raise_for_status()
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        client.put(f"permissions/{quote(vhost_of(harness.url))}/{name}", json=rights).raise_for_status()
        yield name, client
        client.delete(f"users/{name}").raise_for_status()


def test_a_password_that_becomes_wrong_later_is_waited_for(
    harness: AmqpHarness, changing_password: tuple[str, httpx2.Client]
) -> None:
    name, client = changing_password
    relay = harness.relay()
    relay.open()
    bus = harness.bus(relay.port, patience=SHORT, url=harness.url.replace("guest:guest", f"{name}:old"))
    subscription = bus.subscribe([QUEUE], 10)
    # a refusal at the first connection would be final, and there is one for each direction
    until(lambda: _taken(bus), "it takes messages")
    subscription.ack(take_all(subscription, 1))
    client.put(f"users/{name}", json={"password": "new", "tags": ""}).raise_for_status()
    relay.cut()

    def told() -> bool:
        try:
            bus.ping()
        except BusUnavailable as error:
            return "user and password of RE_BUS_URL" in str(error)
        return False

    until(told, "ping says what to do")
    assert subscription.take(1, NEVER) == []
    with pytest.raises(BusUnavailable, match="user and password"):
        bus.publish([message("a")])
    client.put(f"users/{name}", json={"password": "old", "tags": ""}).raise_for_status()
    until(lambda: not told(), "the bus is back")
    until(lambda: _taken(bus), "it takes messages")
    assert names(take_all(subscription, 1)) == ["b"]


def _taken(bus: AmqpBus) -> bool:
    try:
        return bus.publish([message("b")]) == [Published.TAKEN]
    except BusUnavailable:
        return False


@pytest.fixture
def authority(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """Who signs the certificates, and the file that says so."""
    authority = trustme.CA()
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return authority, path


def _tls(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def test_tls_with_an_authority_of_ones_own(harness: AmqpHarness, authority: tuple[trustme.CA, Path]) -> None:
    relay = harness.relay(_tls(authority[0], "127.0.0.1"))
    relay.open()
    bus = harness.bus(relay.port, url=harness.url.replace("amqp:", "amqps:"), ca=authority[1])
    subscription = bus.subscribe([QUEUE], 10)
    body = b"x" * 300_000
    assert bus.publish([message(name)._replace(body=body) for name in "abc"]) == [Published.TAKEN] * 3
    assert names(take_all(subscription, 3)) == ["a", "b", "c"]


@pytest.mark.parametrize(("host", "trusted"), [("127.0.0.1", False), ("other.example.com", True)])
def test_a_certificate_that_nobody_trusts_ends_it_with_words(
    harness: AmqpHarness, authority: tuple[trustme.CA, Path], host: str, trusted: bool
) -> None:
    relay = harness.relay(_tls(authority[0], host))
    relay.open()
    bus = harness.bus(relay.port, url=harness.url.replace("amqp:", "amqps:"), ca=authority[1] if trusted else None)
    _refuses(bus, "RE_BUS_CA_FILE")


def test_tls_to_a_port_that_speaks_none_ends_it_with_words(harness: AmqpHarness) -> None:
    _refuses(harness.bus(url=harness.url.replace("amqp:", "amqps:")), "does not speak TLS")
