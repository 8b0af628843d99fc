"""Cargo from a server over TLS: what the zone's configuration names is fetched, and nothing else."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from re_dploy.zone.fetching import Fetcher, FetchFailed

DATA = b"cargo" * 100_000
DIGEST = hashlib.sha256(DATA).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        code = {"/cargo": 200, "/elsewhere": 302}.get(self.path, 404)
        self.send_response(code)
        self.send_header("Content-Length", str(len(DATA)))
        self.send_header("Location", "/cargo")
        self.end_headers()
        self.wfile.write(DATA)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a server with a certificate for localhost, whose authority this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def fetch(tmp_path: Path, uri: str, *hosts: str, digest: str = DIGEST, free: int = 2**40) -> bytes:
    (incoming := tmp_path / "incoming").mkdir(exist_ok=True)
    fetcher = Fetcher(incoming, None, None, lambda: free, hosts)
    try:
        fetcher.fetch(f"{uri}#sha256={digest}", lambda: True)
        return fetcher.path(digest).read_bytes()
    finally:
        fetcher.drop(digest)
        assert list(incoming.iterdir()) == []


def test_cargo_of_a_server_that_the_zone_names_is_fetched_and_compared(tmp_path: Path, host: str) -> None:
    assert fetch(tmp_path, f"https://{host}/cargo", host) == DATA
    with pytest.raises(FetchFailed, match="the cargo is another one"):
        fetch(tmp_path, f"https://{host}/cargo", host, digest="0" * 64)


@pytest.mark.parametrize(
    ("path", "why"), [("/elsewhere", "the server answers 302"), ("/nothing", "the server answers 404")]
)
def test_an_answer_that_is_no_cargo_fails_and_leads_nowhere_else(
    tmp_path: Path, host: str, path: str, why: str
) -> None:
    with pytest.raises(FetchFailed, match=why):
        fetch(tmp_path, f"https://{host}{path}", host)


def test_a_server_that_the_zone_does_not_name_or_cannot_trust_gives_nothing(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = host.rpartition(":")[2]
    for uri in (f"https://{host}/cargo", f"https://{host}@127.0.0.1:{port}/cargo"):
        with pytest.raises(FetchFailed, match="none of the `cargo_hosts`"):
            fetch(tmp_path, uri, f"other.example:{port}")
    with pytest.raises(FetchFailed, match="is denied by cargo_hosts"):
        fetch(tmp_path, "https://169.254.169.254/cargo", "169.254.169.254")
    with pytest.raises(FetchFailed, match="more than 1000 bytes"):
        fetch(tmp_path, f"https://{host}/cargo", host, free=2000)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(FetchFailed, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(tmp_path, f"https://{host}/cargo", host)
