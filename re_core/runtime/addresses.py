"""Which addresses requests that others cause may reach. Pure; must not know names or sockets.

A worker stands where its playbooks' authors do not: beside services that listen for this machine alone, and beside the address
at which clouds give each machine its credentials (169.254.169.254 and the like).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

_Network = IPv4Network | IPv6Network

#: name of some networks -> these
NAMED: dict[str, tuple[_Network, ...]] = {
    name: tuple(ip_network(one) for one in networks)
    for name, networks in {
        # where every cloud keeps them, and where some keep them beside it
        "metadata": ("169.254.169.254/32", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32"),
        "link-local": ("169.254.0.0/16", "fe80::/10"),
        "loopback": ("127.0.0.0/8", "::1/128", "0.0.0.0/8", "::/128"),
        "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"),
    }.items()
}

#: what is denied where the settings say nothing: to `httprequest`, and to pipelines, whose peers name where to connect
DEFAULT = ("link-local", "metadata")
PEERS_DEFAULT = ("link-local", "loopback", "metadata", "private")

#: prefixes of IPv6 addresses that lead to the IPv4 address in their last 32 bits
_TRANSLATED = tuple(ip_network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96"))


class AddressRule(NamedTuple):
    """What is denied."""

    #: as it was written -> the network
    denied: tuple[tuple[str, _Network], ...]
    #: the setting that says so
    setting: str = "httprequest_denied"

    def why_not(self, address: str) -> str:
        """Why this address must not be reached; empty where it may be."""
        meant = [_parsed(address)]
        meant += _within(meant[0])
        for name, network in self.denied:
            if any(one.version == network.version and one in network for one in meant):
                return f"{address} is denied by {self.setting} ({name})"
        return "" if not any(one.is_multicast for one in meant) else f"{address} is a multicast or broadcast address"


def rule(words: Iterable[str], setting: str = "httprequest_denied") -> AddressRule:
    """Of names (NAMED), networks and addresses; messages name `setting`. Raises ValueError for any other text."""
    denied: list[tuple[str, _Network]] = []
    for word in words:
        try:
            networks = NAMED.get(word) or (ip_network(word, strict=False),)
        except ValueError:
            raise ValueError(f"expected {', '.join(NAMED)}, a network or an address, found {word[:80]!r}") from None
        denied += ((word, network) for network in networks)
    return AddressRule(tuple(denied), setting)


def _parsed(address: str) -> IPv4Address | IPv6Address:
    return ip_address(address.partition("%")[0])  # behind the % stands an interface


def _within(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _TRANSLATED) and int(address) > 1:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]
