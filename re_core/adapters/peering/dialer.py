"""Requests and connections to peers, only to addresses that the settings allow. Must not know what is said over them."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from re_core.adapters.peering.channel import connect
from re_core.adapters.peering.proxies import tunnel
from re_core.ports.peering import Channel, PeerAnswer, PeerRefused, SourceUnavailable
from re_core.runtime.http_exchange import Denied, ExchangeFailed, Question, Way, ask, checked_addresses, proxy_of

#: bytes of an answer that are read: an answer of a peer is one message
MAX_ANSWER = 72 * 1024

#: kinds of URLs -> those of a WebSocket, and their ports
_KINDS = {"https": ("wss", 443), "http": ("ws", 80)}


class _Place(NamedTuple):
    """Where a peer answers."""

    scheme: str
    host: str
    port: int
    #: for its WebSocket
    url: str


class PeerDialer:
    """See ports.peering.Dialer."""

    def __init__(self, way: Way, kinds: frozenset[str]) -> None:
        """`way`: which addresses may be reached, and which authorities are trusted; `kinds`: `https`, and `http` where it is allowed."""
        self._way, self._kinds = way._replace(most=MAX_ANSWER), kinds

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> PeerAnswer:
        """See Dialer. A redirect is an answer as any other: it is not followed."""
        self._place(url)
        question = Question("POST", url, {"content-type": "application/json", **headers}, body)
        try:
            answer = ask(question, self._way, timeout, threading.Event())
        except Denied as error:
            raise PeerRefused("source-unavailable", str(error)) from None
        except ExchangeFailed as error:
            raise SourceUnavailable(str(error)) from None
        return PeerAnswer(answer.code, answer.headers, answer.body)

    def dial(self, url: str, timeout: float) -> Channel:
        """See Dialer. `timeout` is for all of it but the look-up of the name, which the system ends by itself."""
        place, until = self._place(url), time.monotonic() + timeout
        connected = self._connected(place, until)
        try:
            if place.scheme == "https":
                connected = self._secured(connected, place, until)
        except BaseException:
            connected.close()
            raise
        return connect(connected, f"{place.url}/cdpm", max(0.1, until - time.monotonic()))

    def check(self, url: str) -> None:
        """See Dialer."""
        place = self._place(url)
        self._addresses(place, proxy_of(place.scheme, place.host) is not None)

    def _place(self, url: str) -> _Place:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise PeerRefused("source-unavailable", f"{url[:200]}: it is no URL: {error}") from None
        if parts.scheme not in _KINDS or not host or "@" in parts.netloc:
            raise PeerRefused("source-unavailable", f"{url[:200]}: expected https://host[:port][/path]")
        if parts.scheme not in self._kinds:
            raise PeerRefused(
                "source-unavailable", f"{url[:200]}: {parts.scheme}: is not allowed; RE_CDPM_SOURCES may name it"
            )
        kind, default = _KINDS[parts.scheme]
        return _Place(parts.scheme, host, port or default, kind + url[len(parts.scheme) :].rstrip("/"))

    def _connected(self, place: _Place, until: float) -> socket.socket:
        """To an address that was held to the rule. Raises PeerRefused, SourceUnavailable."""
        proxy = proxy_of(place.scheme, place.host)
        addresses = self._addresses(place, proxy is not None)
        if proxy is not None:
            return tunnel(proxy, place.host, place.port, until)
        problem: OSError = TimeoutError("it has no address")
        for address in addresses:
            try:
                connected = socket.create_connection((address, place.port), max(0.1, until - time.monotonic()))
            except OSError as error:
                problem = error
                continue
            with suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
        raise SourceUnavailable(f"{place.host}:{place.port} cannot be reached: {problem.strerror or problem}")

    def _addresses(self, place: _Place, proxied: bool) -> list[str]:
        """Those that were held to the rule. Raises PeerRefused, SourceUnavailable."""
        try:
            return checked_addresses(place.host, place.port, self._way.rule, proxied)
        except Denied as error:
            raise PeerRefused("source-unavailable", str(error)) from None
        except ExchangeFailed as error:
            raise SourceUnavailable(str(error)) from None

    def _secured(self, connected: socket.socket, place: _Place, until: float) -> socket.socket:
        """TLS, whose certificate is for the name of the peer, whatever address that leads to."""
        try:
            context = self._way.trust()
            if not isinstance(context, ssl.SSLContext):  # the settings never say so
                raise SourceUnavailable("certificates are not checked")
            connected.settimeout(max(0.1, until - time.monotonic()))
            return context.wrap_socket(connected, server_hostname=place.host)
        except ExchangeFailed as error:
            raise SourceUnavailable(str(error)) from None
        except (OSError, ValueError) as error:
            raise SourceUnavailable(f"{place.host}:{place.port}: no TLS: {error}") from None
