"""RE_BUS_URL: what it says, and what it must not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_core.adapters.amqp.address import addresses
from re_core.errors import BadSettings


def test_a_url_names_host_port_user_and_virtual_host() -> None:
    (only,) = addresses("amqp://me:p%40ss@broker.example.com:5673/a%2Fb", None, 7, "test")
    assert only.name == "broker.example.com:5673"
    parameters = only.parameters
    assert (parameters.host, parameters.port, parameters.virtual_host) == ("broker.example.com", 5673, "a/b")
    assert (parameters.credentials.username, parameters.credentials.password) == ("me", "p@ss")
    assert (parameters.heartbeat, parameters.ssl_options) == (7, None)
    assert parameters.client_properties == {"connection_name": "test"}


@pytest.mark.parametrize("url", ["amqp://localhost", "amqp://localhost/", "amqp://localhost/%2F"])
def test_what_is_left_out_is_the_brokers_default(url: str) -> None:
    (only,) = addresses(url, None, 7, "test")
    assert (only.name, only.parameters.virtual_host) == ("localhost:5672", "/")
    assert (only.parameters.credentials.username, only.parameters.credentials.password) == ("guest", "guest")


def test_several_hosts_stand_in_one_url() -> None:
    found = addresses("amqps://u:p@one,two:5673,[::1]/v", None, 7, "test")
    assert [address.name for address in found] == ["one:5671", "two:5673", "::1:5671"]
    assert {address.parameters.virtual_host for address in found} == {"v"}
    assert [address.parameters.ssl_options.server_hostname for address in found] == ["one", "two", "::1"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://one/v", "amqp:// or amqps://"),
        ("amqp://one/v?heartbeat=3", "must end with the virtual host"),
        ("amqp://one/a/b", "%2F"),
        ("amqp:///v", "the host is missing"),
        ("amqp://one,,two/v", "the host is missing"),
        ("amqp://one:port/v", "one:port"),
        ("amqp://one:99999/v", "99999"),
    ],
)
def test_a_url_that_says_too_much_or_too_little_is_refused(url: str, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        addresses(url, None, 7, "test")


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    nothing = tmp_path / "ca.pem"
    with pytest.raises(BadSettings, match="RE_BUS_CA_FILE"):
        addresses("amqps://one/v", nothing, 7, "test")
    nothing.write_text("not a certificate")
    with pytest.raises(BadSettings, match="RE_BUS_CA_FILE"):
        addresses("amqps://one/v", nothing, 7, "test")
