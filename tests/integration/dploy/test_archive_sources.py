"""Archives of apps come from where the settings allow, and from nowhere else."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.cdpm.sources import Allowed
from re_core.runtime.addresses import rule
from re_dploy.build import BuildFailed, Fetcher
from tests.integration.dploy.sources import push_source


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "re.db")
    yield store
    store.close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/whole")
            self.end_headers()
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            piece = bytes(1024 * 1024)
            try:
                for _ in range(200):
                    self.wfile.write(piece)
            except OSError:
                pass
        else:
            self.send_response(200 if self.path == "/whole" else 404)
            self.end_headers()
            self.wfile.write(b"archive")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{one.server_address[1]}"
        one.shutdown()
        thread.join()


def _fetched(fetcher: Fetcher, uri: str, into: Path) -> bytes:
    into.unlink(missing_ok=True)
    fetcher.fetch(uri, "dploy", into, threading.Event())
    return into.read_bytes()


def test_an_archive_comes_from_where_the_settings_allow(store: SqliteStore, server: str, tmp_path: Path) -> None:
    push_source(store, "source", gzip.compress(b"pushed"))
    (tmp_path / "archives" / "a").mkdir(parents=True)
    (tmp_path / "archives" / "a" / "shop.tar.gz").write_bytes(b"local")
    allowed = Allowed(frozenset({"http"}), (("file", str(tmp_path / "archives")),))
    fetcher = Fetcher(store, allowed, rule(()))
    assert _fetched(fetcher, "artifact:dploy/source", tmp_path / "f") == gzip.compress(b"pushed")
    assert _fetched(fetcher, f"file://{tmp_path}/archives/a/shop.tar.gz", tmp_path / "f") == b"local"
    assert _fetched(fetcher, f"{server}/whole", tmp_path / "f") == b"archive"


def test_an_archive_comes_from_nowhere_else(store: SqliteStore, server: str, tmp_path: Path) -> None:
    push_source(store, "source", gzip.compress(b"pushed"), "web")
    below = tmp_path / "archives"
    below.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (below / "link").symlink_to("../secret")
    (below / "up").symlink_to("..")
    allowed = Allowed(frozenset({"http"}), (("file", str(below)),))
    open_fetcher, closed = (
        Fetcher(store, allowed, rule(())),
        Fetcher(store, allowed, rule(("loopback",), "dploy_denied")),
    )
    for fetcher, uri, said in (
        (open_fetcher, "artifact:web/source", "of the group 'web'; the app's group is 'dploy'"),
        (open_fetcher, "artifact:dploy/none", "has no artifact 'none'"),
        (open_fetcher, f"file://{below}/link", "links below .* are not followed"),
        (open_fetcher, f"file://{below}/up/secret", "links below .* are not followed"),
        (open_fetcher, f"file://{below}/../secret", "without .."),
        (open_fetcher, f"file://{tmp_path}/secret", "names no directory"),
        (open_fetcher, f"file://{below}", "names no directory"),
        (open_fetcher, "https://git.example/a", "https: is not allowed"),
        (
            open_fetcher,
            "https://ann:t0ken@git.example/a?key=t0ken",
            "address https://git.example/a: https: is not allowed",
        ),
        (open_fetcher, "data:,x", "data: is not allowed"),
        (open_fetcher, f"{server}/none", "answers 404"),
        (open_fetcher, f"{server}/moved", "leads to"),
        (open_fetcher, f"{server}/endless", "more than 67108864 bytes"),
        (closed, f"{server}/whole", r"denied by dploy_denied \(loopback\)"),
    ):
        with pytest.raises(BuildFailed, match=said):
            _fetched(fetcher, uri, tmp_path / "f")
