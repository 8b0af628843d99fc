"""One HTTP exchange that can be given up at any moment. Must not know what it is for.

The host's name is resolved here, every address is held to the rule, and the connection goes to an address that was: a name that
means another address a moment later cannot lead anywhere else. Redirects are not followed, so there is nothing else to hold.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpx2

from re_core.errors import TransientError
from re_core.runtime.addresses import AddressRule
from re_core.runtime.pem import load_identity

#: bytes of an answer that are read where the caller does not say; more is a failure
MAX_ANSWER = 10 * 1024 * 1024

#: seconds between two looks at whether to give up
LOOK = 0.05

#: what OpenSSL says of a server that answers without TLS
_NO_TLS = "WRONG_VERSION_NUMBER"

#: name of the threads of exchanges
THREAD = "http-exchange"


class ExchangeFailed(TransientError):
    """There is no answer."""

    reason = "no-answer"


class Denied(ExchangeFailed):
    """The rule of addresses does not let it go there."""

    reason = "address-denied"


class Question(NamedTuple):
    """What is asked."""

    method: str
    url: str
    #: what is sent beside what every request has
    headers: Mapping[str, str]
    content: bytes | None = None

    @property
    def shown(self) -> str:
        """For people: without a password that may be in the URL."""
        try:
            return f"{self.method} {httpx2.URL(self.url).copy_with(userinfo=b'')}"
        except (httpx2.InvalidURL, ValueError):
            return f"{self.method} {self.url}"


class Answer(NamedTuple):
    """What came back."""

    code: int
    body: bytes
    #: seconds
    took: float
    #: that the body has by its headers; empty where they do not say
    charset: str = ""
    #: where a redirect leads to, without a password; empty where it is none
    location: str = ""
    #: names in lower case; of one that came more than once the values between commas
    headers: Mapping[str, str] = MappingProxyType({})


class Way(NamedTuple):
    """Where a request may go, and which certificates it trusts."""

    rule: AddressRule
    #: PEM file of the authorities to trust, instead of the usual ones
    ca_file: str | None = None
    #: whether the server's certificate is checked
    verify: bool = True
    #: bytes of an answer that are read; more is a failure
    most: int = MAX_ANSWER
    #: gets the answer's bytes as they come, on the thread of the exchange; the body is empty then
    sink: Callable[[bytes], object] | None = None
    #: PEM of the certificate and the key that the request shows to a server which asks for one; empty: it has none
    identity: str = ""

    def trust(self) -> ssl.SSLContext | bool:
        """As httpx takes it. Raises ExchangeFailed."""
        if not self.identity:
            return self._trusting()
        trusting = self._trusting()
        context = httpx2.create_ssl_context(verify=False) if isinstance(trusting, bool) else trusting
        try:
            load_identity(context, self.identity)
        except (OSError, ValueError) as error:
            words = "expected PEM of a certificate and of its key, which has no passphrase"
            raise ExchangeFailed(f"the client certificate cannot be used: {words}: {_reason(error)}") from None
        return context

    def _trusting(self) -> ssl.SSLContext | bool:
        if self.ca_file is None:
            return httpx2.create_ssl_context() if self.verify else False
        file = Path(self.ca_file)
        if file.exists() and not file.is_file():  # reading a device or a pipe may never end
            raise ExchangeFailed(f"the ca_file {self.ca_file} cannot be used: expected a regular file")
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ExchangeFailed(f"the ca_file {self.ca_file} cannot be used: {error.strerror or error}") from None


def ask(question: Question, way: Way, timeout: float, give_up: threading.Event) -> Answer:
    """The answer, within `timeout` seconds in all. Raises ExchangeFailed, also where `give_up` was set before one came.

    The exchange has a thread of its own: a blocked socket cannot be notified, so it is shut down from here. Where there is none yet,
    the thread is left behind, and ends when the system gives up to look a name up or to connect.
    """
    exchange = _Exchange(question, way, timeout)
    exchange.start()
    until = time.monotonic() + timeout
    while exchange.is_alive() and not give_up.is_set() and time.monotonic() < until:
        exchange.join(LOOK)
    exchange.abandon()
    if exchange.answer is not None:
        return exchange.answer
    kind = Denied if exchange.denied else ExchangeFailed
    raise kind(f"{question.shown}: {exchange.problem or f'no answer in {timeout:g} s'}")


class _Exchange(threading.Thread):
    def __init__(self, question: Question, way: Way, timeout: float) -> None:
        super().__init__(name=THREAD, daemon=True)
        self._question, self._way = question, way
        self._timeout = timeout
        self.given_up = threading.Event()
        self.answer: Answer | None = None
        self.problem = ""
        self.denied = False
        self._socket: socket.socket | None = None

    def abandon(self) -> None:
        """Its answer is not awaited any more; from any thread."""
        self.given_up.set()
        if self._socket is not None:
            with suppress(OSError):  # it is closed by now
                self._socket.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        try:
            self.answer = self._exchange(time.monotonic())
        except ExchangeFailed as failure:
            self.problem, self.denied = str(failure), isinstance(failure, Denied)
        except Exception as error:  # the libraries below raise what they like for what a server or a URL can do
            self.problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            if _NO_TLS in self.problem:
                self.problem += "; the server does not speak TLS at this port, as it would for http:"

    def _exchange(self, start: float) -> Answer:
        url = httpx2.URL(self._question.url)
        proxy = proxy_of(url.scheme, url.host)
        addresses = checked_addresses(url.host, url.port or 0, self._way.rule, proxied=proxy is not None)
        # not the environment's settings for the rest: it would send passwords of ~/.netrc to a server that a playbook names
        trust = url.scheme == "https" and self._way.trust()  # reading all authorities takes a while
        with httpx2.Client(timeout=self._timeout, verify=trust, proxy=proxy, trust_env=False) as client:
            if proxy is not None:
                return self._read(client, url, {}, start)
            for number, address in enumerate(addresses, 1):
                try:
                    name = url.raw_host.decode("ascii")
                    return self._read(client, url.copy_with(host=address), {"sni_hostname": name}, start)
                except httpx2.ConnectError:
                    if number == len(addresses) or self.given_up.is_set():
                        raise
        raise ExchangeFailed("it has no address")

    def _read(self, client: httpx2.Client, url: httpx2.URL, more: Mapping[str, str], start: float) -> Answer:
        own = httpx2.URL(self._question.url).netloc.decode("ascii")
        headers = httpx2.Headers({"accept": "*/*", "accept-encoding": "identity", "user-agent": "release-engine"})
        headers.update({"host": own, **self._question.headers})
        method, content = self._question.method, self._question.content
        with client.stream(
            method, url, content=content, headers=headers, extensions={**more, "trace": self._trace}
        ) as response:
            body, total = bytearray(), 0
            take = self._way.sink or body.extend
            for piece in response.iter_raw():
                total += len(piece)
                if total > self._way.most:
                    raise ExchangeFailed(f"the answer has more than {self._way.most} bytes")
                if self.given_up.is_set():
                    raise ExchangeFailed("it was given up")
                take(piece)
            took = time.monotonic() - start
            location = _shown(response.headers.get("location", "")) if response.is_redirect else ""
            named = MappingProxyType({name.lower(): value for name, value in response.headers.items()})
            return Answer(response.status_code, bytes(body), took, response.charset_encoding or "", location, named)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore calls this at its steps; each of these has the socket that counts from now on."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            stream = info["return_value"]
            self._socket = stream.get_extra_info("socket")
            if self.given_up.is_set():
                stream.close()  # httpcore does not keep a connection whose trace raises, nor does it close it
                raise ExchangeFailed("it was given up")


def checked_addresses(host: str, port: int, rule: AddressRule, proxied: bool = False) -> list[str]:
    """Where to connect to, in the system's order. Raises Denied where the rule denies one of them: one name is one place.

    Raises ExchangeFailed for a name that cannot be resolved; none where `proxied`: such a name is for the proxy to judge.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        if proxied:
            return []
        raise ExchangeFailed(f"the name {host!r} cannot be resolved: {getattr(error, 'strerror', error)}") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if why := rule.why_not(address):
            raise Denied(why if _is_address(host) else f"{host} leads to {why.replace(' is ', ', which is ', 1)}")
    return addresses


def proxy_of(scheme: str, host: str) -> str | None:
    """The one that the environment names for this host."""
    known = getproxies()
    return None if proxy_bypass(host) else known.get(scheme) or known.get("all")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)


def _shown(location: str) -> str:
    try:
        return str(httpx2.URL(location).copy_with(userinfo=b""))
    except (httpx2.InvalidURL, ValueError):
        return ""
