"""From where runners may connect. Pure; must not know streams, nor who a runner is."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote

from re_core.runtime.addresses import NAMED


class Peers:
    """Some networks; every address where none is named."""

    def __init__(self, words: Iterable[str]) -> None:
        """Names (addresses.NAMED), networks or addresses. Raises ValueError for any other text."""
        self._networks = [network for word in words for network in NAMED.get(word) or (ip_network(word, strict=False),)]

    def include(self, peer: str) -> bool:
        """Whether a client with this name of gRPC may connect: `ipv4:10.0.0.7:40001`, `ipv6:%5B::1%5D:40001`, `unix:`."""
        if not self._networks:
            return True
        address = address_of(peer)
        return address is not None and any(address in network for network in self._networks)


def address_of(peer: str) -> IPv4Address | IPv6Address | None:
    """The address of that client, of IPv4 also where the system writes it as IPv6; None where it has none."""
    kind, _, place = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    host = place.rpartition(":")[0].strip("[]").partition("%")[0]  # behind the % stands an interface
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
