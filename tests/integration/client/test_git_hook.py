"""`git push` releases an app: a real repository, a real front end and core; what builds and zones say is said for them."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from re_client import git_hook
from re_client.__main__ import run
from re_core.adapters.sqlite import SqliteStore
from tests.integration.client.conftest import Ran
from tests.integration.front_end.app_harness import AppHarness
from tests.integration.front_end.front_end_harness import FrontEndHarness

Rectl = Callable[..., Ran]


class Developer:
    """A clone with an app in it, and the bare repository that it is pushed to."""

    def __init__(self, directory: Path) -> None:
        self.remote, self.clone = directory / "shop.git", directory / "shop"
        # none of what the machine or the user has set for git
        self.environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        self.git("init", "-q", "--bare", str(self.remote))
        self.git("init", "-q", "-b", "master", str(self.clone))
        self.git("config", "user.email", "ann@example.com", here=self.clone)
        self.git("config", "user.name", "Ann", here=self.clone)

    def git(self, *arguments: str, here: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = ["git", *(["-C", str(here)] if here else []), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=self.environ, timeout=60)

    def commit(self, text: str = "web: python app.py\n") -> str:
        (self.clone / "Procfile").write_text(text)
        self.git("add", "-A", here=self.clone)
        self.git("commit", "-q", "--allow-empty", "-m", "a change", here=self.clone)
        return self.git("rev-parse", "HEAD", here=self.clone).stdout.strip()

    def push(self, ref: str = "master") -> list[str]:
        """What the remote says, a line each."""
        told = self.git("push", "-q", str(self.remote), ref, here=self.clone).stderr
        lines = [line.removeprefix("remote: ").rstrip() for line in told.splitlines() if line.startswith("remote: ")]
        return [line for line in lines if line]


@pytest.fixture
def harness(tmp_path: Path, routes: Flask) -> Iterator[AppHarness]:
    """A front end that listens."""
    made = AppHarness(tmp_path, routes)
    server = make_server("127.0.0.1", 0, made.app, threaded=True)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    made.parts["url"] = f"http://127.0.0.1:{server.server_port}"
    made.create()
    yield made
    server.shutdown()
    serving.join()
    server.server_close()
    made.close()


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    store = SqliteStore(str(tmp_path_factory.mktemp("routes") / "re.db"))
    app = FrontEndHarness(store).app
    store.close()
    return app


@pytest.fixture
def rectl(harness: AppHarness, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rectl:
    environ = {"RE_URL": harness.parts["url"], "RE_TOKEN": harness.ours, "RE_DATA_DIR": str(tmp_path / "data")}

    def call(*arguments: str) -> Ran:
        code = run(["apps", *map(str, arguments)], environ)
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return call


@pytest.fixture
def ann(tmp_path: Path) -> Developer:
    return Developer(tmp_path)


def test_a_push_releases_the_commit_and_shows_its_lines(harness: AppHarness, rectl: Rectl, ann: Developer) -> None:
    assert rectl("git-hook", "install", ann.remote, "--app", "shop").code == 0
    commit = ann.commit()
    assert ann.push() == [
        f"-----> shop v1 of {commit[:7]}",
        "-----> Building v1",
        "       Collecting flask",
        "-----> v1 runs in eu, us",
    ]
    state = harness.state()
    assert (state.current, state.versions[1].commit, state.versions[1].who) == (1, commit, "olga")


def test_a_release_that_fails_says_that_the_push_stays_and_the_next_one_goes_on(
    harness: AppHarness, rectl: Rectl, ann: Developer
) -> None:
    rectl("git-hook", "install", ann.remote, "--app", "shop")
    harness.steps.failing.add(1)
    commit = ann.commit()
    told = ann.push()
    assert "       Traceback of what was tried" in told
    assert " !     v1 failed: dploy:Prepare on engine failed: it was told to fail" in told
    assert " !     the release failed; the push was received and stays" in told
    assert ann.git("rev-parse", "master", here=ann.remote).stdout.strip() == commit
    ann.commit("web: python other.py\n")
    assert ann.push()[-1] == "-----> v2 runs in eu, us"


def test_other_branches_tags_and_deletions_release_nothing(harness: AppHarness, rectl: Rectl, ann: Developer) -> None:
    rectl("git-hook", "install", ann.remote, "--app", "shop", "--branch", "live")
    ann.commit()
    ann.git("config", "receive.denyDeleteCurrent", "ignore", here=ann.remote)
    ann.git("tag", "live", here=ann.clone)
    for ref, words in (
        ("master:refs/heads/feature/live", "refs/heads/feature/live is ignored: shop is released from the branch live"),
        ("refs/tags/live", "refs/tags/live is ignored"),
    ):
        [line] = ann.push(ref)
        assert words in line
    assert harness.state().versions == {}
    assert ann.push("master:refs/heads/live")[-1] == "-----> v1 runs in eu, us"
    [line] = ann.push(":refs/heads/live")
    assert "refs/heads/live is ignored: the branch was deleted" in line
    assert harness.state().last == 1


def test_the_hook_has_its_token_in_a_file_that_others_cannot_read(
    harness: AppHarness, rectl: Rectl, ann: Developer
) -> None:
    rectl("git-hook", "install", ann.remote, "--app", "shop")
    token = ann.remote / git_hook.TOKEN_FILE
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text().strip() == harness.ours
    found = [
        path for path in ann.remote.rglob("*") if path.is_file() and harness.ours in path.read_text(errors="replace")
    ]
    assert found == [token]
    token.chmod(0o640)
    ann.commit()
    told = ann.push()
    assert any("can be read by others; run: chmod 600" in line for line in told)
    assert harness.state().versions == {}
    refused = rectl("git-hook", "install", ann.remote, "--app", "shop", "--token-file", token)
    assert refused.code == 2


def test_an_engine_that_is_away_is_said_to_who_pushes(harness: AppHarness, rectl: Rectl, ann: Developer) -> None:
    rectl("git-hook", "install", ann.remote, "--app", "shop")
    ann.git("config", "dploy.url", "http://127.0.0.1:9", here=ann.remote)
    ann.commit()
    told = "\n".join(ann.push())
    assert "no release engine answers at http://127.0.0.1:9" in told
    assert "the push was received and stays" in told


def test_a_hook_of_someone_else_stays_and_ours_is_written_again(
    harness: AppHarness, rectl: Rectl, ann: Developer
) -> None:
    hook = ann.remote / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho theirs\n")
    refused = rectl("git-hook", "install", ann.remote, "--app", "shop")
    assert (refused.code, hook.read_text()) == (2, "#!/bin/sh\necho theirs\n")
    assert "re_client.git_hook" in refused.err
    hook.unlink()
    for _ in range(2):
        assert rectl("git-hook", "install", ann.remote, "--app", "shop").code == 0
    assert os.access(hook, os.X_OK)
    ann.git("config", "core.hooksPath", str(ann.clone), here=ann.remote)
    elsewhere = rectl("git-hook", "install", ann.remote, "--app", "shop")
    assert (elsewhere.code, "core.hooksPath" in elsewhere.err) == (2, True)


def test_what_is_no_repository_and_no_app_is_refused(rectl: Rectl, tmp_path: Path, ann: Developer) -> None:
    (tmp_path / "empty").mkdir()
    assert rectl("git-hook", "install", tmp_path / "empty", "--app", "shop").code == 2
    assert rectl("git-hook", "install", ann.remote, "--app", "shops").code == 2
    assert rectl("git-hook", "install", ann.remote, "--app", "shop", "--branch", "refs/heads/x").code == 2
    assert not (ann.remote / "hooks" / "post-receive").exists()


def test_an_archive_is_pushed_from_a_file_and_from_a_pipe(
    harness: AppHarness, rectl: Rectl, ann: Developer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = ann.commit()
    archive = tmp_path / "shop.tar.gz"
    ann.git("archive", "--format=tar.gz", "-o", str(archive), "HEAD", here=ann.clone)
    pushed = rectl("push", "shop", archive, "--commit", commit, "--note", "by hand")
    assert (pushed.code, pushed.out.splitlines()[-1]) == (0, "-----> v1 runs in eu, us")
    assert harness.state().versions[1].note == "by hand"
    with archive.open("rb") as pipe:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": pipe, "isatty": lambda self: False})())
        waiting = rectl("push", "shop", "-", "--no-wait")
    assert (waiting.code, waiting.out) == (0, "v2 waits for its turn\n")
    assert rectl("push", "shop", ann.clone).code == 2
    assert rectl("push", "shop", tmp_path / "none").code == 2
    assert rectl("push", "shops", archive).code == 2
