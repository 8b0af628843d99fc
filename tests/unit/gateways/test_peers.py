"""From where runners may connect: networks and their names, in the words of gRPC."""

from __future__ import annotations

import pytest

from re_gateways.forest.peers import Peers, address_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:40001", "10.0.0.7"),
        ("ipv6:[::1]:40001", "::1"),
        ("ipv6:%5B::1%5D:40001", "::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:40001", "fe80::1"),
        ("ipv6:[::ffff:10.0.0.7]:40001", "10.0.0.7"),
        ("unix:", "None"),
        ("unix:/run/x", "None"),
        ("ipv4:", "None"),
        ("ipv4:no:1", "None"),
        ("", "None"),
    ],
)
def test_the_address_of_a_client_is_read(peer: str, address: str) -> None:
    assert str(address_of(peer)) == address


@pytest.mark.parametrize(
    ("words", "inside", "outside"),
    [
        (["10.1.0.0/16"], ["ipv4:10.1.2.3:1", "ipv6:[::ffff:10.1.2.3]:1"], ["ipv4:10.2.0.1:1", "ipv6:[::1]:1"]),
        (["loopback"], ["ipv4:127.0.0.1:1", "ipv6:%5B::1%5D:1"], ["ipv4:10.0.0.1:1", "unix:"]),
        (["private", "192.0.2.7"], ["ipv4:192.168.1.1:1", "ipv4:192.0.2.7:1"], ["ipv4:192.0.2.8:1"]),
        (["2001:db8::/32"], ["ipv6:[2001:db8::9]:1"], ["ipv6:[2001:db9::9]:1", "ipv4:10.0.0.1:1"]),
    ],
)
def test_only_clients_of_the_named_networks_may_connect(
    words: list[str], inside: list[str], outside: list[str]
) -> None:
    peers = Peers(words)
    assert [peers.include(one) for one in inside] == [True] * len(inside)
    assert [peers.include(one) for one in outside] == [False] * len(outside)


def test_where_no_network_is_named_every_client_may_connect() -> None:
    assert all(Peers(()).include(one) for one in ("ipv4:192.0.2.7:1", "unix:", ""))


def test_a_word_that_is_no_network_is_an_error() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        Peers(["nowhere"])
