"""Requests and WebSockets to peers over real sockets: where they go, and where no peer can make the engine go."""

from __future__ import annotations

import base64
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from re_core.adapters.peering.dialer import MAX_ANSWER, PeerDialer
from re_core.ports.peering import ChannelClosed, HandshakeRefused, PeerAnswer, PeerRefused, SourceUnavailable
from re_core.runtime.addresses import PEERS_DEFAULT, rule
from re_core.runtime.http_exchange import Way
from tests.sockets import close_listener

#: seconds that nothing here takes
LONG = 20.0

_HERE = Way(rule(["metadata"], "cdpm_denied"))
_DENIED = Way(rule(PEERS_DEFAULT, "cdpm_denied"))
_BOTH = frozenset({"https", "http"})


def _echo(connection: ServerConnection) -> None:
    assert connection.request is not None
    connection.send(f"{connection.request.path} {connection.request.headers['host']}")
    with suppress(ConnectionClosed):
        for text in connection:
            connection.send(text)


class Servers:
    """WebSocket servers that end with the test."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self, context: ssl.SSLContext | None = None, **more: Any) -> int:
        """The port."""
        server: Server = serve(_echo, "127.0.0.1", 0, ssl=context, subprotocols=["cdpm"], **more)  # type: ignore[list-item]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(server.shutdown)
        return int(server.socket.getsockname()[1])


@pytest.fixture
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _trusting(authority: trustme.CA, directory: Path) -> PeerDialer:
    file = directory / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return PeerDialer(_HERE._replace(ca_file=str(file)), frozenset({"https"}))


def _refusal(dialer: PeerDialer, url: str) -> str:
    """Of both ways to connect."""
    with pytest.raises(PeerRefused) as posted:
        dialer.post(url, b"{}", {}, LONG)
    with pytest.raises(PeerRefused) as dialled:
        dialer.dial(url, LONG)
    assert posted.value.code == dialled.value.code == "source-unavailable"
    return dialled.value.detail


# -- WebSockets --------------------------------------------------------------------------------------


def test_a_connection_goes_to_the_path_below_the_url_and_carries_text_both_ways(servers: Servers) -> None:
    port = servers.start()
    channel = PeerDialer(_HERE, _BOTH).dial(f"http://127.0.0.1:{port}/below/", LONG)
    assert channel.take(LONG) == f"/below/cdpm 127.0.0.1:{port}"
    channel.send("hello")
    assert channel.take(LONG) == "hello"
    channel.close(1000, "")


def test_tls_is_with_the_name_whatever_address_it_leads_to(
    servers: Servers, authority: trustme.CA, tmp_path: Path
) -> None:
    port = servers.start(_context(authority, "localhost"))
    channel = _trusting(authority, tmp_path).dial(f"https://localhost:{port}", LONG)
    assert channel.take(LONG) == f"/cdpm localhost:{port}"
    channel.close(1000, "")


def test_a_certificate_of_another_name_or_authority_is_not_taken(
    servers: Servers, authority: trustme.CA, tmp_path: Path
) -> None:
    other_name = servers.start(_context(authority, "other.example"))
    other_authority = servers.start(_context(trustme.CA(), "localhost"))
    dialer = _trusting(authority, tmp_path)
    for port in (other_name, other_authority):
        with pytest.raises(SourceUnavailable, match=f"localhost:{port}: no TLS: .*certificate verify failed"):
            dialer.dial(f"https://localhost:{port}", LONG)
        with pytest.raises(SourceUnavailable, match="certificate verify failed"):
            dialer.post(f"https://localhost:{port}/subscribe", b"{}", {}, LONG)


def test_what_the_rule_denies_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        dialer = PeerDialer(_DENIED, _BOTH)
        assert "127.0.0.1 is denied by cdpm_denied (loopback)" in _refusal(dialer, f"http://127.0.0.1:{port}")
        assert "which is denied by cdpm_denied" in _refusal(dialer, f"http://localhost:{port}")
        # a name with one address that is allowed leads nowhere either
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("203.0.113.7", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        assert "peer.example leads to 127.0.0.1, which is denied" in _refusal(dialer, f"https://peer.example:{port}")
        assert select.select([listener], [], [], 0)[0] == []


def test_a_url_of_another_kind_is_refused_before_anything_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up(*_: object, **__: object) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    dialer = PeerDialer(_HERE, frozenset({"https"}))
    assert "http: is not allowed; RE_CDPM_SOURCES may name it" in _refusal(dialer, "http://peer.example")
    for url in ("ftp://peer.example", "https://", "https://ann:secret@peer.example", "https://[::1", "file:///etc"):
        assert "expected https://host" in (said := _refusal(dialer, url)) or "no URL" in said


def test_a_peer_that_is_away_or_silent_is_known_in_time(servers: Servers) -> None:
    dialer = PeerDialer(_HERE, _BOTH)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SourceUnavailable, match="no handshake within"):
            dialer.dial(f"http://127.0.0.1:{port}", 0.3)
        with pytest.raises(SourceUnavailable, match="no TLS"):
            PeerDialer(_HERE, _BOTH).dial(f"https://127.0.0.1:{port}", 0.3)
    with pytest.raises(SourceUnavailable, match=f"127.0.0.1:{port} cannot be reached"):
        dialer.dial(f"http://127.0.0.1:{port}", LONG)


def test_a_peer_that_opens_no_websocket_is_known_by_its_answer(servers: Servers) -> None:
    port = servers.start(process_request=lambda connection, _: connection.respond(503, "full"))
    with pytest.raises(HandshakeRefused, match="503") as refused:
        PeerDialer(_HERE, _BOTH).dial(f"http://127.0.0.1:{port}", LONG)
    assert refused.value.status == 503


def test_a_frame_that_is_too_long_ends_the_connection(servers: Servers) -> None:
    port = servers.start(max_size=None)
    channel = PeerDialer(_HERE, _BOTH).dial(f"http://127.0.0.1:{port}", LONG)
    assert channel.take(LONG)
    channel.send("x" * 80_000)
    with pytest.raises(PeerRefused) as refused:
        channel.take(LONG)
    assert refused.value.code == "too-large"
    with pytest.raises(ChannelClosed):
        channel.take(LONG)


# -- requests ----------------------------------------------------------------------------------------


class _Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        size = MAX_ANSWER + 1 if self.path == "/huge" else 0
        said = f"{self.path} {self.headers['host']} {self.headers['x-mine']} {body!r}".encode() + b"x" * size
        self.send_response(307 if self.path == "/elsewhere" else 409)
        self.send_header("Location", "http://169.254.169.254/")
        self.send_header("CDPM-Signature", "a..b")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at what was asked."""


@pytest.fixture
def place() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_request_brings_its_answer_whatever_its_status(place: str) -> None:
    answer = PeerDialer(_HERE, _BOTH).post(f"http://{place}/subscribe", b"{}", {"x-mine": "1"}, LONG)
    assert answer == PeerAnswer(409, answer.headers, f"/subscribe {place} 1 b'{{}}'".encode())
    assert answer.headers["cdpm-signature"] == "a..b"


def test_a_redirect_is_not_followed(place: str) -> None:
    assert PeerDialer(_HERE, _BOTH).post(f"http://{place}/elsewhere", b"{}", {}, LONG).status == 307


def test_an_answer_that_is_too_long_is_not_read(place: str) -> None:
    with pytest.raises(SourceUnavailable, match=f"more than {MAX_ANSWER} bytes"):
        PeerDialer(_HERE, _BOTH).post(f"http://{place}/huge", b"{}", {}, LONG)


# -- through a proxy ---------------------------------------------------------------------------------


class Proxy:
    """Takes one CONNECT, and passes bytes on."""

    def __init__(self, to: int, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.asked = b""
        self._to, self._answer = to, answer
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            while not self.asked.endswith(b"\r\n\r\n"):
                self.asked += client.recv(1)
            client.sendall(self._answer)
            while self._answer.startswith(b"HTTP/1.1 200"):
                for one in select.select([client, server], [], [])[0]:
                    with suppress(OSError):
                        if data := one.recv(4096):
                            (server if one is client else client).sendall(data)
                            continue
                    return

    def close(self) -> None:
        close_listener(self._listener)
        self._thread.join()


def test_through_a_proxy_the_name_is_the_proxys_to_look_up(
    servers: Servers, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(servers.start(_context(authority, "peer.example")))
    monkeypatch.setenv("https_proxy", f"http://ann:s%20t@127.0.0.1:{proxy.port}")
    try:
        channel = _trusting(authority, tmp_path).dial("https://peer.example:8443", LONG)
        assert channel.take(LONG) == "/cdpm peer.example:8443"
        channel.close(1000, "")
    finally:
        proxy.close()
    lines = proxy.asked.decode().split("\r\n")
    assert lines[0] == "CONNECT peer.example:8443 HTTP/1.1"
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'ann:s t').decode()}" in lines


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"SSH-2.0-x\r\n\r\n"])
def test_a_proxy_that_does_not_lead_on_is_named(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    proxy = Proxy(servers.start(), answer)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    try:
        with pytest.raises(SourceUnavailable, match=r"the proxy 127\.0\.0\.1 does not lead to peer\.example:443"):
            PeerDialer(_HERE, _BOTH).dial("https://peer.example", LONG)
    finally:
        proxy.close()
