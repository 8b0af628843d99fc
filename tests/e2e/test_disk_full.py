"""A disk that is full for a while: nothing is accepted that cannot be kept, and nothing accepted is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from re_client.api import Client
from tests import plain_http
from tests.e2e.deploying import PATIENCE, begin, ended, steps_book
from tests.e2e.engine_process import EngineProcess, wait_until

#: of the disk, bytes
SIZE = 6 * 1024 * 1024

#: posts until the disk must have refused one
POSTS = 200


class SmallDisk(EngineProcess):
    """An engine whose data directory is a small disk of its own, which nobody else sees mounted."""

    def __init__(self, directory: Path, settings: str) -> None:
        """The disk is mounted in a namespace of the engine's own; the shell becomes the engine."""
        super().__init__(directory, settings)
        self._mounted = directory / "data"
        self._mounted.mkdir()
        self.command = [
            "unshare",
            "-Urm",
            "sh",
            "-c",
            f"mount -t tmpfs -o size={SIZE} none {self._mounted} && exec rectl up",
        ]

    @property
    def data(self) -> Path:
        """The directory as the engine sees it."""
        return self._mounted if self.process is None else Path(f"/proc/{self.process.pid}/root{self._mounted}")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SmallDisk]:
    tried = subprocess.run(["unshare", "-Urm", "sh", "-c", f"mount -t tmpfs none {tmp_path}"], capture_output=True)
    if tried.returncode:
        pytest.skip(f"no file system of one's own here: {tried.stderr.decode()[:200]}")
    engine = SmallDisk(tmp_path, "request_timeout: 3\n")
    try:
        yield engine
    finally:
        engine.end()


def fill(path: Path) -> None:
    """Write until there is no room for one more byte."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (65536, 1):
            try:
                while os.write(file, b"x" * size):
                    pass
            except OSError:
                continue
    finally:
        os.close(file)


class Poster:
    """Posts deployments, as many as it takes, and remembers those that were accepted."""

    def __init__(self, engine: EngineProcess, playbook: str) -> None:
        url, token = ((engine.data / name).read_text().strip() for name in ("url", "token"))
        self._client = plain_http.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30)
        self._body = {"group": "tests", "playbook_id": playbook, "dynamic": {"ballast": "x" * 100_000}}
        self.accepted: list[str] = []

    def __enter__(self) -> Poster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def post(self) -> httpx2.Response:
        answer = self._client.post("/api/v1/deployments", json=self._body)
        if answer.status_code == 201:
            self.accepted.append(answer.json()["id"])
        return answer

    def post_playbook(self) -> httpx2.Response:
        headers = {"content-type": "application/yaml"}
        book = steps_book("noop:Unkept").replace("name: book", "name: unkept")
        return self._client.post("/api/v1/playbooks", content=book, headers=headers)

    def until_refused(self) -> httpx2.Response:
        for _ in range(POSTS):
            answer = self.post()
            if answer.status_code != 201:
                return answer
        raise AssertionError("the disk was never full")


def not_ready(engine: EngineProcess) -> dict[str, str]:
    """Part -> why it is not; empty where all of them are."""
    answer = plain_http.get(f"{(engine.data / 'url').read_text().strip()}/readyz")
    wrong = {part: why for part, why in answer.json()["checks"].items() if why != "ok"}
    assert (answer.status_code == 503) == bool(wrong)
    return wrong


def all_complete(client: Client, ids: list[str]) -> None:
    assert {ended(client, id)["status"] for id in ids} == {"completed"}


def test_a_full_disk_refuses_new_deployments_and_loses_none_that_was_accepted(engine: SmallDisk) -> None:
    engine.start()
    with engine.client() as client:
        first = begin(client, steps_book("noop:Do"))
        ended(client, first)
        with Poster(engine, client.deployment(first)["playbook_id"]) as poster:
            poster.post()
            fill(engine.data / "ballast")
            refused = poster.until_refused()
            assert refused.status_code == 503, refused.text
            assert refused.headers["Retry-After"]
            assert refused.headers["content-type"] == "application/problem+json"
            unkept = poster.post_playbook()
            assert unkept.status_code == 503, unkept.text
            assert int(unkept.headers["retry-after"]) >= 1
            assert "disk full" in engine.log.read_text()
            wait_until("readyz says why", lambda: "disk full" in not_ready(engine).get("store", ""), PATIENCE)
            assert any("disk full" in trouble for trouble in client.troubles())
            (engine.data / "ballast").unlink()
            wait_until("deployments are accepted again", lambda: poster.post().status_code == 201, PATIENCE)
            wait_until("the engine is ready again", lambda: not not_ready(engine), PATIENCE)
        all_complete(client, poster.accepted)
        rows = {row["id"] for row in client.deployments(None)}
    assert rows == {first, *poster.accepted}, "a deployment that was refused has begun"
    assert engine.stop() == 0
