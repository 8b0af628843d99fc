"""cdpm.yml in real git repositories."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from re_core.adapters.peering.git import GitSource
from re_core.adapters.peering.sources import PeerSources
from re_core.cdpm.sources import allowed
from re_core.ports.peering import PeerRefused, SourceUnavailable
from re_core.runtime.addresses import PEERS_DEFAULT, rule
from re_core.runtime.http_exchange import Way

_HERE = Way(rule(["metadata"], "cdpm_denied"))


def _git(directory: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    command = ["git", "-c", "init.defaultBranch=main", *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With the branch main, the tag v1 and a tag that has a message."""
    path = tmp_path / "srv" / "fog"
    (path / "ci").mkdir(parents=True)
    _git(path, "init", "-q")
    (path / "cdpm.yml").write_text("one")
    (path / "ci" / "cdpm.yml").write_text("inner")
    (path / "long.yml").write_text("x" * 70_000)
    (path / "link.yml").symlink_to("/etc/passwd")
    _git(path, "add", ".")
    _git(path, "commit", "-qm", "one")
    _git(path, "tag", "v1")
    _git(path, "tag", "-a", "-m", "a tag", "v1.1")
    return path


def _sources(repository: Path) -> PeerSources:
    return PeerSources(allowed([f"git+file:{repository.parent}/"]), _HERE)


def _commit(repository: Path, text: str) -> str:
    (repository / "cdpm.yml").write_text(text)
    _git(repository, "commit", "-qam", text)
    return _git(repository, "rev-parse", "HEAD")


def test_the_file_is_read_at_a_branch_or_a_tag_and_its_commit_is_the_etag(repository: Path) -> None:
    first = _git(repository, "rev-parse", "HEAD")
    second = _commit(repository, "two")
    sources, url = _sources(repository), f"git+file://{repository}?ref="
    assert sources.fetch(f"{url}main") == (b"two", second)
    assert sources.fetch(f"{url}v1") == (b"one", first)
    assert sources.fetch(f"{url}v1.1") == (b"one", first)
    assert sources.fetch(f"{url}v1&path=ci/cdpm.yml") == (b"inner", first)


def test_what_was_read_is_not_fetched_again_until_there_is_another_commit(repository: Path) -> None:
    sources, url = _sources(repository), f"git+file://{repository}?ref=main"
    first = sources.fetch(url)
    assert first is not None
    assert sources.fetch(url, first.etag) is None
    second = _commit(repository, "two")
    assert sources.fetch(url, first.etag) == (b"two", second)
    assert sources.fetch(f"git+file://{repository}?ref=v1.1", first.etag) is None


def test_no_hook_and_no_setting_of_this_machine_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = tmp_path / "touched"
    config = tmp_path / "gitconfig"
    config.write_text(
        f'[core]\n\tfsmonitor = "touch {touched}"\n\thooksPath = {tmp_path}\n[alias]\n\tfetch = "!touch {touched}"\n'
    )
    hook = tmp_path / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {touched}\n")
    hook.chmod(0o755)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, str(config))
    monkeypatch.setenv("GIT_EXEC_PATH", str(tmp_path))
    assert _sources(repository).fetch(f"git+file://{repository}?ref=v1") is not None
    assert not touched.exists()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("ref=v2", "neither a tag nor a branch 'v2'"),
        ("ref=v1&path=none.yml", "no file 'none.yml' at 'v1'"),
        ("ref=v1&path=ci", "no file 'ci' at 'v1'"),
        ("ref=v1&path=link.yml", "no file 'link.yml' at 'v1'"),
    ],
)
def test_what_is_not_there_says_so(repository: Path, query: str, said: str) -> None:
    with pytest.raises(SourceUnavailable, match=said):
        _sources(repository).fetch(f"git+file://{repository}?{query}")


@pytest.mark.parametrize("filtered", [True, False])
def test_a_file_that_is_too_long_is_refused(repository: Path, filtered: bool) -> None:
    """A server that leaves long files out by request, and one that sends them all the same."""
    _git(repository, "config", "uploadpack.allowFilter", str(filtered).lower())
    with pytest.raises((PeerRefused, SourceUnavailable)):
        _sources(repository).fetch(f"git+file://{repository}?ref=v1&path=long.yml")


def test_a_repository_elsewhere_is_not_read(repository: Path, tmp_path: Path) -> None:
    sources = PeerSources(allowed([f"git+file:{tmp_path}/other/"]), _HERE)
    with pytest.raises(PeerRefused, match="names no directory"):
        sources.fetch(f"git+file://{repository}?ref=v1")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "fog").symlink_to(repository)
    with pytest.raises(PeerRefused, match="links are not followed"):
        sources.fetch(f"git+file://{tmp_path}/other/fog?ref=v1")


def test_git_is_ended_with_its_helpers_when_it_takes_too_long(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nsleep 3600 &\necho $! > {tmp_path}/helper\nwait\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(SourceUnavailable, match=r"git ls-remote: not done in 0\.5 s"):
        GitSource(_HERE, [str(repository.parent)], 0.5).fetch(f"git+file://{repository}?ref=v1")
    helper = Path(f"/proc/{(tmp_path / 'helper').read_text().strip()}/stat")
    assert not helper.exists() or helper.read_text().rpartition(")")[2].split()[0] == "Z"


def test_git_that_never_stops_to_print_is_cut_off(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec yes\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(SourceUnavailable, match="git ls-remote: more than 65536 bytes"):
        _sources(repository).fetch(f"git+file://{repository}?ref=v1")


# -- over https --------------------------------------------------------------------------------------


class _Smart(BaseHTTPRequestHandler):
    """git's own server behind HTTP (git-http-backend), and one repository that has moved."""

    root: str

    def _answer(self) -> None:
        path, _, query = self.path.partition("?")
        if path.startswith("/moved.git/"):
            self.send_response(302)
            self.send_header("location", self.path.replace("/moved.git/", "/fog.git/"))
            self.send_header("content-length", "0")
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("content-type") or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding") or "",
            "GIT_PROTOCOL": self.headers.get("git-protocol") or "",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n")):
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing looks at it."""


@pytest.fixture
def served(repository: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Host and port of a server with TLS that has the repository, and the file of its authority."""
    bare = repository.parent / "fog.git"
    _git(tmp_path, "clone", "-q", "--bare", str(repository), str(bare))
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "peer.example").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))

    class Here(_Smart):
        root = str(bare.parent)

    with ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"localhost:{server.server_address[1]}", tmp_path / "authority.pem"
        server.shutdown()
        thread.join()


def test_over_https_git_goes_to_the_address_that_was_checked(
    served: tuple[str, Path], repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of the server means nothing to git but by what it was given."""
    where, ca_file = served
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(2, 1, 6, "", ("127.0.0.1", port))])
    way = _HERE._replace(ca_file=str(ca_file))
    source = PeerSources(allowed(["git+https"]), way)
    url = f"git+https://peer.example:{where.partition(':')[2]}/fog.git?ref=v1"
    first = _git(repository, "rev-parse", "v1")
    assert source.fetch(url) == (b"one", first)
    assert source.fetch(url, first) is None


def test_over_https_no_redirect_is_followed_and_the_certificate_counts(served: tuple[str, Path]) -> None:
    where, ca_file = served
    trusting = PeerSources(allowed(["git+https"]), _HERE._replace(ca_file=str(ca_file)))
    with pytest.raises(SourceUnavailable, match="returned error: 302"):
        trusting.fetch(f"git+https://{where}/moved.git?ref=v1")
    with pytest.raises(SourceUnavailable, match="certificate"):
        PeerSources(allowed(["git+https"]), _HERE).fetch(f"git+https://{where}/fog.git?ref=v1")


def test_over_https_no_address_of_ones_own_network_is_reached(served: tuple[str, Path]) -> None:
    where, _ = served
    sources = PeerSources(allowed(["git+https"]), Way(rule(PEERS_DEFAULT, "cdpm_denied")))
    with pytest.raises(PeerRefused, match="denied by cdpm_denied"):
        sources.fetch(f"git+https://{where}/fog.git?ref=v1")


@pytest.mark.parametrize("host", ["peer.example:99999", "peer.example:x", "peer.example."])
def test_over_https_a_place_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(PeerRefused, match=r"no URL|without a dot"):
        PeerSources(allowed(["git+https"]), _HERE).fetch(f"git+https://{host}/fog.git?ref=main")
