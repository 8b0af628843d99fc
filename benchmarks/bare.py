"""The bare limits: what the machine does where there is no engine. One set beside each figure of the engine."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Flask, request
from gunicorn.workers.gthread import ThreadWorker

from re_core.runtime.settings import load
from re_up.server import Server


def commits(batches: Sequence[int], size: int) -> float:
    """Seconds that SQLite takes for these batches of rows of `size` bytes, one durable commit each."""
    with tempfile.TemporaryDirectory() as directory:
        database = sqlite3.connect(Path(directory) / "bare.db", isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE journal (id TEXT PRIMARY KEY, body TEXT)")
        body, number = "x" * size, 0
        began = time.perf_counter()
        for batch in batches:
            database.execute("BEGIN IMMEDIATE")
            rows = [(f"{number + place:032d}", body) for place in range(batch)]
            database.executemany("INSERT INTO journal VALUES (?, ?)", rows)
            database.execute("COMMIT")
            number += batch
        seconds = time.perf_counter() - began
        database.close()
    return seconds


class ConstantServer(Server):
    """The engine's gunicorn with Flask answering a constant: no engine behind it."""

    worker = ThreadWorker

    def load_config(self) -> None:
        super().load_config()
        self.cfg.set("workers", self._settings.http_workers)

    def load(self) -> Any:
        app = Flask("bare")

        @app.post("/api/v1/deployments")
        def constant() -> tuple[dict[str, str], int]:
            request.get_data()
            return {"id": "0" * 26, "status": "accepted"}, 201

        return app


def serve_constant(data_dir: str, workers: str) -> None:
    """Run the constant server with so many processes until TERM; writes `<data_dir>/url` when it is ready."""
    settings = load({"RE_DATA_DIR": data_dir, "RE_HTTP": "127.0.0.1:0", "RE_HTTP_WORKERS": workers})
    ConstantServer(settings, lambda url: write_url(Path(data_dir), url)).run()


def write_url(data_dir: Path, url: str) -> None:
    """Where the others look for it."""
    partial = data_dir / "url.new"
    partial.write_text(url)
    partial.replace(data_dir / "url")


if __name__ == "__main__":
    import sys

    serve_constant(sys.argv[1], sys.argv[2])
