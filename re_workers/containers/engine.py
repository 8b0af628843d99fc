"""A container engine: where it is, how it is asked, and what it answers as errors of steps. Must not know what steps want of it.

It is asked over sockets that the step's host opens, so that the engine of a host is reached over the connection that its runs use.
Needs the extra `container` (the SDK of Docker, which podman's socket answers too).
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from urllib.parse import SplitResult, urlsplit

from re_core.runtime.addresses import AddressRule
from re_core.runtime.http_exchange import Denied, ExchangeFailed, checked_addresses
from re_core.runtime.pem import load_identity
from re_workers.context import Context
from re_workers.outcomes import Failed

#: where engines listen whose address is not given, in the order in which they are tried
SOCKETS = ("/var/run/docker.sock", "/run/podman/podman.sock")

#: seconds for a connection over TCP, and for the answer to one request
CONNECT, ANSWER = 10.0, 60.0

#: seconds between two looks at whether a step was cancelled
LOOK = 0.1

#: what the first request claims to speak; after it the engine's own version
_FIRST_VERSION = "1.41"

#: opens a connection to an engine
Dial = Callable[[], socket.socket]


class Tls(TypedDict, total=False):
    """Certificates as PEM texts: of who signs the engine's, and the worker's own."""

    ca: str
    cert: str
    key: str


class Place(NamedTuple):
    """One engine."""

    #: for people
    words: str
    dial: Dial


class Engine:
    """One that answers. Its methods may be called from any thread."""

    def __init__(self, place: Place) -> None:
        """Raises Failed where it cannot be reached, or is none."""
        self.words = place.words
        self._dial = place.dial
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._clients: list[Any] = []
        self._version = _FIRST_VERSION
        with self.errors():
            said = self.client().version(api_version=False)
        self._version = str(said.get("ApiVersion", _FIRST_VERSION))
        parts = [str(part.get("Name", "")) for part in said.get("Components") or ()]
        #: it is podman's, which checks no container's health by itself where systemd does not run
        self.is_podman = any("podman" in name.lower() for name in parts)
        self.api = self.client()

    def client(self) -> Any:
        """A docker.APIClient of the calling thread's own."""
        client = _new_client(self._version, self._opened)
        with self._lock:
            self._clients.append(client)
        return client

    @contextmanager
    def errors(self, **known: str) -> Iterator[None]:
        """What the engine answers, as Failed; `known`: status, as in `s404`, -> what it means here."""
        docker, requests = _libraries()
        try:
            yield
        except docker.errors.APIError as error:
            status = error.response.status_code if error.response is not None else 0
            said = " ".join(str(error.explanation or error).split())[:500]
            words = known.get(f"s{status}", "")
            raise Failed(f"{self.words}: {words or said}", {"kind": "engine", "status": status, "said": said}) from None
        except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
            raise Failed(
                f"{self.words} does not answer: {_cause(error)}; is an engine there, and may the worker's user (of a host: the user of "
                "its login) open its socket?",
                {"kind": "unreachable"},
            ) from None

    def found(self, name: str) -> dict[str, Any] | None:
        """What it says of a container; None where there is none of this name."""
        return self._looked(lambda: self.api.inspect_container(name))

    def image(self, name: str) -> dict[str, Any] | None:
        """What it says of an image; None where it does not have it."""
        return self._looked(lambda: self.api.inspect_image(name))

    def cut(self) -> None:
        """End all that waits for it."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Its connections."""
        self.cut()
        for client in self._clients:
            client.close()
        for one in self._sockets:
            one.close()
            if (left := one.detach()) >= 0:  # an answer that was not read to its end holds it open
                os.close(left)

    def _looked(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        docker, _ = _libraries()
        with self.errors():
            try:
                return ask()
            except docker.errors.NotFound:
                return None

    def _opened(self) -> socket.socket:
        found = self._dial()
        with self._lock:
            self._sockets = [one for one in self._sockets if one.fileno() >= 0]
            self._sockets.append(found)
        return found


@contextmanager
def engine_of(ctx: Context, rule: AddressRule, address: str = "", tls: Tls | None = None) -> Iterator[Engine]:
    """The engine of the step's host, or the one at `address`, where the rule allows that. Raises Failed."""
    _libraries()
    found = _answering(ctx, places(ctx, rule, address, _security(tls)))
    try:
        yield found
    finally:
        found.close()


def _answering(ctx: Context, candidates: Sequence[Place]) -> Engine:
    problems = []
    for place in candidates:
        ctx.check()
        try:
            return Engine(place)
        except Failed as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    raise Failed(" / ".join(map(str, problems)), {"kind": "unreachable"})


def places(ctx: Context, rule: AddressRule, address: str, security: ssl.SSLContext | None) -> list[Place]:
    """Where an engine may be. Raises Failed for an address that is none, and for one that the rule denies.

    The rule holds for what a step or the inventory names; the DOCKER_HOST of this process is its operator's own.
    """
    host = ctx.host
    is_here = not host.facts or host.facts.get("runner") == "local"
    named = address or str(host.vars.get("docker_host", ""))
    said = named or (os.environ.get("DOCKER_HOST", "") if is_here else "")
    if not said:
        there = [one for one in SOCKETS if not is_here or Path(one).exists()]
        return [_by_socket(ctx, one) for one in there or SOCKETS]
    parts = urlsplit(said)
    if parts.scheme == "unix" and parts.path.startswith("/"):
        return [_by_socket(ctx, parts.path)]
    if parts.scheme in ("tcp", "http", "https") and parts.hostname and parts.path in ("", "/"):
        secure = security or (_of_environment() if parts.scheme == "https" or not address else None)
        if parts.scheme == "https" and secure is None:
            secure = ssl.create_default_context()
        port = _port(parts) or (2375 if secure is None else 2376)
        return [_by_tcp(parts.hostname, port, secure, _allowed(parts.hostname, port, rule) if named else None)]
    advice = "name the host in the step's hosts, and its engine is reached over ssh" if parts.scheme == "ssh" else ""
    raise Failed(f"the engine is unix:///path or tcp://host:port, found {said[:80]!r}{'; ' * bool(advice)}{advice}")


def _by_socket(ctx: Context, path: str) -> Place:
    host = ctx.host
    return Place(f"{host.name}: the engine at {path}", lambda: host.dial(path))


def _port(parts: SplitResult) -> int:
    """0: none is named. Raises Failed."""
    try:
        return parts.port or 0
    except ValueError as error:
        raise Failed(f"the engine is tcp://host:port: {error}") from None


def _allowed(host: str, port: int, rule: AddressRule) -> list[str]:
    """Its addresses, which are those that are connected to: a name could lead elsewhere at the next look. Raises Failed."""
    try:
        return checked_addresses(host, port, rule)
    except Denied as error:
        raise Failed(f"the engine at {host}:{port}: {error}", {"kind": "denied"}) from None
    except ExchangeFailed as error:
        raise Failed(f"the engine at {host}:{port}: {error}", {"kind": "unreachable"}) from None


def _by_tcp(host: str, port: int, security: ssl.SSLContext | None, addresses: Sequence[str] | None) -> Place:
    """`addresses`: in place of all that the name leads to."""

    def dial() -> socket.socket:
        found = _connected([host] if addresses is None else addresses, port)
        if security is None:
            return found
        try:
            return security.wrap_socket(found, server_hostname=host)
        except OSError:
            found.close()
            raise

    return Place(f"the engine at {host}:{port}", dial)


def _connected(addresses: Sequence[str], port: int) -> socket.socket:
    """To the first that answers. Raises OSError."""
    *others, last = addresses
    for one in others:
        with contextlib.suppress(OSError):
            return socket.create_connection((one, port), CONNECT)
    return socket.create_connection((last, port), CONNECT)


def _security(tls: Tls | None) -> ssl.SSLContext | None:
    """Raises Failed."""
    if not tls:
        return None
    try:
        context = ssl.create_default_context(cadata=tls.get("ca") or None)
        if "cert" in tls:
            load_identity(context, "\n".join((tls["cert"], tls.get("key", ""))))
    except (OSError, ValueError) as error:  # their texts repeat no content
        raise _unusable(error) from None
    return context


def _of_environment() -> ssl.SSLContext | None:
    """As the docker command has it, of the worker's process. Raises Failed."""
    directory = os.environ.get("DOCKER_CERT_PATH", "")
    if not (directory and os.environ.get("DOCKER_TLS_VERIFY")):
        return None
    return _context({name: Path(directory) / f"{name}.pem" for name in ("ca", "cert", "key")})


def _context(files: Mapping[str, Path]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(files["ca"]) if "ca" in files else None)
        if "cert" in files:
            context.load_cert_chain(files["cert"], files.get("key"))
    except (OSError, ValueError) as error:
        raise _unusable(error) from None
    return context


def _unusable(error: Exception) -> Failed:
    return Failed(f"the certificates of the engine cannot be used: {error}", {"kind": "tls"})


def _libraries() -> tuple[Any, Any]:
    """Raises Failed where the extra is not installed."""
    try:
        import docker
        import docker.errors
        import requests
    except ImportError:
        raise Failed(
            "container needs Docker's SDK on the worker: pip install 'release-engine[container]'", {"kind": "tool"}
        ) from None
    return docker, requests


def _new_client(version: str, dial: Dial) -> Any:
    docker, _ = _libraries()
    client = docker.APIClient(base_url="unix:///engine", version=version, timeout=ANSWER)
    client.mount("http+docker://", _adapter()(dial))
    return client


@cache
def _adapter() -> Any:
    """The class of what sends requests over sockets that we open."""
    import requests.adapters
    import urllib3

    class Connection(urllib3.connection.HTTPConnection):
        dial: Dial

        def connect(self) -> None:
            self.sock = type(self).dial()

    class Adapter(requests.adapters.HTTPAdapter):
        def __init__(self, dial: Dial) -> None:
            super().__init__(pool_connections=1, max_retries=0)
            self._pool: Any = urllib3.HTTPConnectionPool("localhost", maxsize=4)
            self._pool.ConnectionCls = type("Dialling", (Connection,), {"dial": staticmethod(dial)})

        def get_connection_with_tls_context(self, *args: Any, **how: Any) -> Any:
            return self._pool

        def request_url(self, request: Any, proxies: Any) -> str:
            return str(request.path_url)

        def close(self) -> None:
            self._pool.close()
            super().close()

    return Adapter


def _cause(error: BaseException) -> str:
    """The innermost words: the outer ones repeat addresses of objects."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split())[:300] or type(error).__name__
