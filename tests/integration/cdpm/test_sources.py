"""cdpm.yml over real sockets and from real files: what is read, and where no peer can make the engine go."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from re_core.adapters.peering.https import HttpsSource
from re_core.adapters.peering.sources import PeerSources
from re_core.cdpm.sources import allowed
from re_core.ports.peering import Fetched, PeerRefused, SourceUnavailable
from re_core.runtime.addresses import PEERS_DEFAULT, rule
from re_core.runtime.http_exchange import Way

#: loopback is allowed, for the servers of these tests
_HERE = Way(rule(["metadata"], "cdpm_denied"))
_DENIED = Way(rule(PEERS_DEFAULT, "cdpm_denied"))


class _Answering(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        what = self.path.strip("/").partition("?")[0]
        if what == "silent":
            self.server.over.wait(60)
            return
        if self.headers.get("if-none-match") == '"e1"':
            self._head(304, {})
            return
        if what in ("301", "302", "307", "308"):
            self._head(int(what), {"location": f"http://127.0.0.1:{self.server.server_address[1]}/cdpm.yml"})
            return
        self._head(int(what) if what.isdigit() else 200, {"etag": "x" * 300 if what == "etag" else '"e1"'})
        self._body(what)

    def _head(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, what: str) -> None:
        try:
            for _ in range(160 if what == "huge" else 1):
                self.wfile.write(b"x" * 65536 if what in ("huge", "full") else b"Pipeline-node: {}\n")
            if what == "long":
                self.wfile.write(b"x" * 65536)
        except OSError:
            self.server.cut_off.set()

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at what was asked."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.over, self.cut_off = threading.Event(), threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that refuse a certificate or an answer go away: that is tested."""


def _serving(server: _Server) -> Iterator[_Server]:
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[_Server]:
    yield from _serving(_Server())


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[_Server, Path]]:
    """One with TLS for `localhost`, and the file of its authority."""
    authority, server = trustme.CA(), _Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    ca_file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    for running in _serving(server):
        yield running, ca_file


def _sources(*words: str, way: Way = _HERE) -> PeerSources:
    return PeerSources(allowed(words or ("https", "http")), way)


def _url(server: _Server, path: str = "cdpm.yml", host: str = "127.0.0.1", scheme: str = "http") -> str:
    return f"{scheme}://{host}:{server.server_address[1]}/{path}"


def _refused(sources: PeerSources, url: str) -> str:
    with pytest.raises(PeerRefused) as refused:
        sources.fetch(url)
    assert refused.value.code == "source-unavailable"
    return refused.value.detail


# -- over HTTP ---------------------------------------------------------------------------------------


def test_a_file_is_read_with_its_etag_and_not_again_while_it_is_the_same(server: _Server) -> None:
    sources = _sources()
    assert sources.fetch(_url(server)) == Fetched(b"Pipeline-node: {}\n", '"e1"')
    assert sources.fetch(_url(server), '"e1"') is None
    assert sources.fetch(_url(server), '"e0"') == Fetched(b"Pipeline-node: {}\n", '"e1"')
    assert [one[1].get("if-none-match") for one in server.asked] == [None, '"e1"', '"e0"']


def test_nothing_of_this_machine_is_sent_along(
    server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ann password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    _sources().fetch(_url(server))
    assert server.asked[0][1].keys() <= {
        "host",
        "accept",
        "accept-encoding",
        "user-agent",
        "connection",
    }


def test_over_tls_the_certificate_must_be_that_of_the_name(secure: tuple[_Server, Path]) -> None:
    server, ca_file = secure
    trusting = _sources(way=_HERE._replace(ca_file=str(ca_file)))
    assert trusting.fetch(_url(server, host="localhost", scheme="https")) is not None
    for way, host in ((_HERE, "localhost"), (_HERE._replace(ca_file=str(ca_file)), "127.0.0.1")):
        with pytest.raises(SourceUnavailable, match="certificate"):
            _sources(way=way).fetch(_url(server, host=host, scheme="https"))


@pytest.mark.parametrize("code", ["301", "302", "307", "308"])
def test_a_redirect_is_not_followed_and_says_where_it_leads(server: _Server, code: str) -> None:
    said = _refused(_sources(), _url(server, code))
    assert f"leads to {_url(server)}; redirects are not followed" in said
    assert [path for path, _ in server.asked] == [f"/{code}"]


@pytest.mark.parametrize("path", ["huge", "long"])
def test_an_answer_that_is_too_long_is_cut_off(server: _Server, path: str) -> None:
    with pytest.raises(SourceUnavailable, match="the answer has more than 65536 bytes"):
        _sources().fetch(_url(server, path))
    assert path != "huge" or server.cut_off.wait(10)


def test_the_longest_answer_is_taken(server: _Server) -> None:
    fetched = _sources().fetch(_url(server, "full"))
    assert fetched is not None and len(fetched.data) == 65536


def test_an_etag_that_is_too_long_is_not_kept(server: _Server) -> None:
    assert _sources().fetch(_url(server, "etag")) == Fetched(b"Pipeline-node: {}\n", "")


@pytest.mark.parametrize("code", ["204", "400", "403", "404", "500", "503"])
def test_another_answer_may_be_better_later(server: _Server, code: str) -> None:
    with pytest.raises(SourceUnavailable, match=f"answered {code}, expected 200"):
        _sources().fetch(_url(server, code))


def test_a_server_that_says_nothing_is_given_up(server: _Server) -> None:
    with pytest.raises(SourceUnavailable):  # which of two limits is first, the words do not matter
        HttpsSource(_HERE, timeout=0.2).fetch(_url(server, "silent"))


def test_a_server_that_is_away_may_come_back() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(SourceUnavailable):
            _sources().fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/cdpm.yml")


# -- addresses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "10.0.0.5", "192.168.1.1", "169.254.169.254", "[fd00:ec2::254]", "0.0.0.0"),  # noqa: S104
        *("[::ffff:10.0.0.5]", "[64:ff9b::a00:5]", "2130706433", "0x7f.1", "224.0.0.1", "100.64.0.1"),
    ],
)  # fmt: skip
def test_by_default_no_address_of_ones_own_network_is_reached(host: str) -> None:
    said = _refused(_sources(way=_DENIED), f"http://{host}:9/cdpm.yml")
    assert "denied by cdpm_denied (" in said or "multicast" in said


def _resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names mean these addresses: the first answer, then the next, and so on. What was asked."""
    asked: list[str] = []
    find = socket.getaddrinfo

    def answer(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host != "peer.example":
            return find(host, port, *arguments, **options)
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolving(monkeypatch, ["93.184.215.14", "10.0.0.5"])
    said = _refused(_sources(way=_DENIED), "http://peer.example/cdpm.yml")
    assert "peer.example leads to 10.0.0.5, which is denied by cdpm_denied (private)" in said


def test_a_name_that_means_another_address_a_moment_later_is_not_asked_again(
    server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the first answer is checked, and it is where the connection goes."""
    asked = _resolving(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    assert _sources().fetch(_url(server, host="peer.example")) is not None
    assert asked == ["peer.example"]
    assert server.asked[0][1]["host"] == f"peer.example:{server.server_address[1]}"
    assert "169.254.169.254, which is denied" in _refused(_sources(), _url(server, host="peer.example"))


# -- which kinds of URLs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        *("http://a.example/c.yml", "file:///etc/passwd", "git+file:///srv/r.git?ref=a", "git+https://a.example/r?ref=a"),
        *("ftp://a.example/c", "ssh://a.example/c", "https://[::1", "cdpm.yml", "", "https://ä.example/", "https://" + "a" * 3000),
    ],
)  # fmt: skip
def test_what_the_settings_do_not_allow_is_not_tried(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", pytest.fail)
    _refused(_sources("https"), url)


# -- files of this machine ---------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "cdpm" / "fog").mkdir(parents=True)
    (tmp_path / "cdpm" / "fog" / "cdpm.yml").write_bytes(b"Pipeline-node: {}\n")
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "cdpm"


def test_a_file_below_the_directory_is_read_and_not_again_while_it_is_the_same(directory: Path) -> None:
    sources, url = _sources(f"file:{directory}/"), f"file://{directory}/fog/cdpm.yml"
    fetched = sources.fetch(url)
    assert fetched is not None and fetched.data == b"Pipeline-node: {}\n"
    assert sources.fetch(url, fetched.etag) is None
    (directory / "fog" / "cdpm.yml").write_bytes(b"Pipeline-node: []\n")
    changed = sources.fetch(url, fetched.etag)
    assert changed is not None and changed.data == b"Pipeline-node: []\n"


def test_no_link_leads_out_of_the_directory(directory: Path) -> None:
    (directory / "link.yml").symlink_to(directory.parent / "secret")
    (directory / "out").symlink_to(directory.parent)
    (directory / "in.yml").symlink_to(directory / "fog" / "cdpm.yml")
    for path in ("link.yml", "out/secret", "in.yml"):
        with pytest.raises(SourceUnavailable, match=r"links below .* are not followed"):
            _sources(f"file:{directory}/").fetch(f"file://{directory}/{path}")


@pytest.mark.parametrize("path", ["/../secret", "2/x", "", "/", "/fog/../../secret", "/%2e%2e/secret"])
def test_no_path_leads_out_of_the_directory(directory: Path, path: str) -> None:
    _refused(_sources(f"file:{directory}/"), f"file://{directory}{path}")


def test_what_is_no_regular_file_is_refused_and_blocks_nothing(directory: Path) -> None:
    os.mkfifo(directory / "pipe.yml")
    for path in ("pipe.yml", "fog"):
        assert "expected a regular file" in _refused(_sources(f"file:{directory}/"), f"file://{directory}/{path}")


def test_a_file_that_is_too_long_or_missing_says_so(directory: Path) -> None:
    (directory / "long.yml").write_bytes(b"x" * 65537)
    assert "more than 65536 bytes" in _refused(_sources(f"file:{directory}/"), f"file://{directory}/long.yml")
    with pytest.raises(SourceUnavailable, match="No such file"):
        _sources(f"file:{directory}/").fetch(f"file://{directory}/none.yml")
