"""Git steps with real git, on repositories of this machine and over a real ssh server."""

from __future__ import annotations

import base64
import http.server
import os
import pwd
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from re_workers.catalog.git import Git
from re_workers.catalog.git_operations import checked_ref
from re_workers.hosts.runners import open_runner
from re_workers.hosts.surroundings import Surroundings
from re_workers.steps.confinement import Confinement
from re_workers.testing import Result, plan, run
from tests.integration.catalog.conftest import Host

#: whose commits the tests make; nothing of the machine's settings
WHO = {
    **{f"GIT_{role}_{what}": "t@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


class Repo:
    """A bare repository, and a checkout in which a test changes it."""

    def __init__(self, place: Path) -> None:
        self.url = str(place / "bare.git")
        self.work = place / "work"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", self.url], check=True)
        subprocess.run(["git", "clone", "-q", self.url, str(self.work)], check=True, capture_output=True)
        self.commit("a", "one\n", branch="main")

    def git(self, *words: str) -> str:
        ran = subprocess.run(
            ["git", *words], cwd=self.work, env={**os.environ, **WHO}, check=True, capture_output=True, text=True
        )
        return ran.stdout.strip()

    def commit(self, file: str, content: str, branch: str = "") -> str:
        """Commit a file on the branch, which is made where it is not there, and push it; the commit."""
        if branch and self.git("branch", "--show-current") != branch:
            there = self.git("branch", "--list", branch)
            self.git("switch", "-q", *([] if there else ["-c"]), branch)
        (self.work / file).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", f"change {file}")
        self.git("push", "-q", "origin", "HEAD")
        return self.git("rev-parse", "HEAD")

    def at(self, ref: str) -> str:
        """The commit of a reference of the bare repository."""
        return subprocess.run(
            ["git", "-C", self.url, "rev-parse", f"{ref}^{{commit}}"], check=True, capture_output=True, text=True
        ).stdout.strip()

    def show(self, what: str) -> str:
        """Of the bare repository."""
        return subprocess.run(["git", "-C", self.url, "show", what], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """With one commit on `main`."""
    return Repo(tmp_path)


def do(name: str, **parameters: Any) -> Result:
    return run(Git(), f"git:{name}", parameters)


def test_a_merge_is_pushed_and_the_second_changes_nothing(repo: Repo) -> None:
    repo.commit("b", "two\n", branch="next")
    wanted = {"repo": repo.url, "to_branch": "main", "from_branch": "next"}
    first, second = do("Merge", **wanted), do("Merge", **wanted)
    assert (first.status, first.data) == ("completed", {"changed": True, "commit": repo.at("main")})
    assert second.data == {"changed": False, "commit": repo.at("main")}
    assert repo.show("main:b") == "two\n"
    assert repo.show("main").splitlines()[1].startswith("Merge: ")


def test_a_conflict_names_its_files_and_pushes_nothing(repo: Repo) -> None:
    repo.commit("a", "left\n", branch="next")
    before = repo.commit("a", "right\n", branch="main")
    result = do("Merge", repo=repo.url, to_branch="main", from_branch="next")
    assert (result.status, result.message) == ("failed", "Merge next into main: conflict in a")
    assert result.data == {"kind": "conflict", "files": ["a"]}
    assert repo.at("main") == before


def test_a_push_that_the_repository_refuses_fails_with_its_words(repo: Repo) -> None:
    repo.commit("b", "two\n", branch="next")
    hook = Path(repo.url) / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho closed for the weekend\nexit 1\n")
    hook.chmod(0o755)
    before = repo.at("main")
    result = do("Merge", repo=repo.url, to_branch="main", from_branch="next")
    assert result.status == "failed" and "the push to main was refused" in (result.message or "")
    assert any("closed for the weekend" in line for line in result.output)
    assert repo.at("main") == before


def test_picked_commits_are_pushed_in_order_once_after_the_scripts_of_the_repository(
    repo: Repo, tmp_path: Path
) -> None:
    (repo.work / "check.sh").write_text(f"#!/bin/sh\ngit branch --show-current >>{tmp_path}/ran\n")
    (repo.work / "check.sh").chmod(0o755)
    repo.commit("script", "x", branch="main")
    picked = [repo.commit(name, f"{name}\n", branch="next") for name in ("b", "c", "d")]
    wanted = {"repo": repo.url, "to_branch": "main", "temp_branch": "picks", "run_scripts": ["check.sh"]}
    first = do("CherryPickMerge", **wanted, commits=[picked[0], picked[2]])
    second = do("CherryPickMerge", **wanted, commits=[picked[0], picked[2]])
    assert (first.status, first.data["changed"], second.data["changed"]) == ("completed", True, False)
    assert (repo.show("main:b"), repo.show("main:d")) == ("b\n", "d\n")
    assert f"(cherry picked from commit {picked[2]})" in repo.show("main")
    assert "c" not in repo.show("main:").split()
    assert (tmp_path / "ran").read_text() == "picks\n"


def test_a_script_that_leads_out_of_the_repository_is_not_run(repo: Repo) -> None:
    commit = repo.commit("b", "b\n", branch="next")
    wanted = {"repo": repo.url, "to_branch": "main", "temp_branch": "picks", "commits": [commit]}
    result = do("CherryPickMerge", **wanted, run_scripts=["../../../bin/true"])
    assert (result.status, result.message) == ("failed", "the repository has no script ../../../bin/true")


def test_a_tag_is_put_once_and_never_moved(repo: Repo) -> None:
    first = repo.at("main")
    wanted = {"repo": repo.url, "tag": "v1", "message": "Release 1"}
    assert do("Tag", **wanted, ref="main").data == {"changed": True, "commit": first}
    assert repo.show("v1").startswith("tag v1\n") and "Release 1" in repo.show("v1")
    assert do("Tag", **wanted, ref="main").data == {"changed": False, "commit": first}
    repo.commit("b", "two\n")
    moved = do("Tag", **wanted, ref="main")
    assert moved.status == "failed" and f"the tag v1 is at {first} already" in (moved.message or "")
    assert repo.at("v1") == first


def test_a_checkout_is_brought_to_a_ref_and_local_changes_are_kept(repo: Repo, tmp_path: Path) -> None:
    there = tmp_path / "site"
    wanted = {"repo": repo.url, "path": str(there), "ref": "main"}
    assert do("Clone", **wanted).data["changed"] is True
    assert do("Clone", **wanted).data == {"changed": False, "commit": repo.at("main")}
    newer = repo.commit("a", "newer\n")
    assert do("Clone", **wanted).data == {"changed": True, "commit": newer}
    assert (there / "a").read_text() == "newer\n"
    (there / "a").write_text("by hand\n")
    repo.commit("a", "newest\n")
    dirty = do("Clone", **wanted)
    assert dirty.status == "failed" and "has local changes, which would be lost" in (dirty.message or "")
    assert (there / "a").read_text() == "by hand\n"


def test_an_archive_has_the_files_of_a_ref_and_the_second_changes_nothing(repo: Repo, tmp_path: Path) -> None:
    target = tmp_path / "site 1.tar.gz"
    wanted = {"repo": repo.url, "path": str(target), "ref": "main", "prefix": "site-1"}
    first, second = do("Archive", **wanted), do("Archive", **wanted)
    assert (first.status, first.data["changed"], second.data["changed"]) == ("completed", True, False)
    assert first.data["sha256"] == second.data["sha256"]
    with tarfile.open(target) as opened:
        assert [one for one in opened.getnames() if not one.endswith("-1")] == ["site-1/a"]


@pytest.mark.parametrize("repo_name", ["ext::sh -c 'touch pwned'", "--upload-pack=touch pwned", "fd::17"])
def test_a_repository_that_would_be_an_option_or_a_program_is_refused(repo_name: str) -> None:
    result = do("Tag", repo=repo_name, tag="v1")
    assert result.status == "failed" and "the repository must be a URL" in (result.message or "")


@pytest.mark.parametrize("name", ["", "-f", "a..b", "a b", "a~1", "@{u}x@{", "/a", "a/", "a.lock", "a\nb", "HEAD^"])
def test_a_name_that_would_be_an_option_or_an_expression_is_refused(name: str) -> None:
    with pytest.raises(Exception, match="expected a branch, a tag or a commit"):
        checked_ref(name)


def test_a_ref_that_is_not_there_names_the_branches(repo: Repo) -> None:
    result = do("Tag", repo=repo.url, tag="v1", ref="mian")
    assert result.message is not None and "has no branch or tag mian" in result.message and "main" in result.message


def test_a_password_in_a_url_is_printed_nowhere() -> None:
    result = do("Tag", repo="https://user:hunter22@127.0.0.1:1/x.git", tag="v1")
    assert result.status == "failed"
    assert "hunter22" not in str(result)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts programs as another user")
def test_on_the_workers_machine_git_is_confined_as_programs_of_steps_are(repo: Repo, tmp_path: Path) -> None:
    """Where the engine's files are below /tmp, nothing can be made in /tmp itself."""
    place = Path(tempfile.mkdtemp())  # pytest's own is for root alone
    try:
        place.chmod(0o755)
        for name, mode, owner in (("engine", 0o700, 0), ("out", 0o755, pwd.getpwnam("nobody").pw_uid)):
            (place / name).mkdir(mode=mode)
            os.chown(place / name, owner, -1)
        shutil.copytree(repo.url, place / "bare.git")
        subprocess.run(["chown", "-R", "nobody", place / "bare.git"], check=True)
        surroundings = Surroundings(place / "engine", Confinement([place / "engine"], user="nobody"), "test")
        here = open_runner("localhost", {"localhost": {"runner": "local"}}, surroundings)
        wanted = {"repo": str(place / "bare.git"), "path": str(place / "out" / "site")}
        assert plan(Git(), "git:Clone", wanted, host=here).will == "yes"
        assert run(Git(), "git:Clone", wanted, host=here).data == {"changed": True, "commit": repo.at("main")}
        assert run(Git(), "git:Tag", {"repo": wanted["repo"], "tag": "v1"}, host=here).data["changed"]
        assert (place / "out" / "site" / "a").owner() == "nobody"
        surroundings.close()
    finally:
        shutil.rmtree(place)


# -- over ssh ------------------------------------------------------------------------------------------


@pytest.fixture
def forge(web1: Host) -> Iterator[Repo]:
    """A repository on a host, which that host and others reach over ssh."""
    place = web1.data / "forge"
    place.mkdir()
    yield Repo(place)
    shutil.rmtree(place)


@pytest.fixture
def way(web1: Host) -> dict[str, Any]:
    """How a step gets in: a key and a known host of its own, of which nothing is on the host."""
    port, key = web1.server.port, (web1.data / "client_key").read_text()
    return {
        "repo": f"ssh://root@127.0.0.1:{port}{web1.seen}/forge/bare.git",
        "ssh_key": key,
        "known_hosts": f"[127.0.0.1]:{port} {web1.server.key}",
    }


@pytest.mark.long
def test_every_step_of_git_acts_on_a_host_once_and_says_so_before(web1: Host, forge: Repo, way: dict[str, Any]) -> None:
    forge.commit("b", "two\n", branch="next")
    forge.git("switch", "-q", "main")
    picked = forge.commit("picked", "x\n", branch="later")
    first = forge.at("main")
    wanted: list[tuple[str, dict[str, Any]]] = [
        ("Clone", {"path": "/srv/a site", "ref": "main"}),
        ("Archive", {"path": "/srv/it's.tgz", "ref": "main", "prefix": "a b"}),
        ("Tag", {"tag": "v1", "ref": "main"}),
        ("Merge", {"to_branch": "main", "from_branch": "next"}),
        ("CherryPickMerge", {"to_branch": "main", "temp_branch": "t", "commits": [picked[:12]]}),
    ]
    for name, parameters in wanted:
        given = {**way, **parameters}
        before = web1.foresee(f"git:{name}", given)
        assert before.will == "yes" and before.diff.startswith("+"), (name, before)
        assert web1.act(f"git:{name}", given).data["changed"], name
        assert web1.foresee(f"git:{name}", given).will == "no", name
        assert not web1.act(f"git:{name}", given).data["changed"], name
    assert web1.sh("cat '/srv/a site/a'; git -C '/srv/a site' rev-parse HEAD") == f"one\n{first}"
    assert (forge.show("main:b"), forge.show("main:picked"), forge.at("v1")) == ("two\n", "x\n", first)
    # what only the attempt had is gone, and was nowhere else
    assert web1.sh("ls -d /tmp/re-git.* 2>/dev/null || true") == ""
    assert web1.sh("grep -rl 'PRIVATE K''EY' ~/.re /srv/a* /tmp || true") == ""


def test_what_keeps_git_out_says_what_to_do(web1: Host, forge: Repo, way: dict[str, Any]) -> None:
    tag = {**way, "tag": "v1"}
    strange = web1.act("git:Tag", {**tag, "known_hosts": f"other {web1.server.key}"}, fails=True)
    assert "Host key verification failed" in str(strange.message) and "ssh-keyscan" in str(strange.message)
    other = web1.data / "other_key"
    if not other.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    refused = web1.act("git:Tag", {**tag, "ssh_key": other.read_text()}, fails=True)
    assert "Permission denied" in str(refused.message) and "ssh_key: {secret: …}" in str(refused.message)
    by_token = web1.act("git:Tag", {**tag, "token": "t0ken-of-a-test"}, fails=True)
    assert "https only" in str(by_token.message)


class _Backend(http.server.BaseHTTPRequestHandler):
    """git http-backend behind a name and a password."""

    def do_GET(self) -> None:
        """Also of POST."""
        accepted = "Basic " + base64.b64encode(b"deploy:hunter22").decode()
        if self.headers.get("Authorization") != accepted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="forge"')
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.root),  # type: ignore[attr-defined]
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": "deploy",
        }
        ran = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *said: object) -> None:
        """Nothing."""


def test_a_token_goes_to_its_server_and_into_no_command_line(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{tmp_path}/said\nexec {shutil.which("git")} "$@"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:{os.environ['PATH']}")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Backend) as server:
        server.root = tmp_path  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        at = f"127.0.0.1:{server.server_address[1]}/bare.git"
        by_token = {"repo": f"http://{at}", "token": "hunter22", "https_user": "deploy"}
        assert do("Tag", **by_token, tag="v1").data["changed"]
        there = tmp_path / "site"
        assert do("Clone", repo=f"http://deploy:hunter22@{at}", path=str(there)).data["changed"]
        wrong = do("Tag", repo=f"http://{at}", tag="v2", token="wr0ng-one", https_user="deploy")
        none = do("Tag", repo=f"http://{at}", tag="v2")
        server.shutdown()
    assert repo.at("v1") == repo.at("main")
    assert "token: {secret: …}" in str(wrong.message) and "Authentication failed" in str(wrong.message)
    assert "token: {secret: …}" in str(none.message)
    said = (tmp_path / "said").read_text() + (there / ".git" / "config").read_text()
    assert "ls-remote" in said and at in said
    assert "hunter22" not in said and "wr0ng-one" not in said + str(wrong)
