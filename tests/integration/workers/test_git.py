"""Git steps with real git, on repositories of this machine and over a real ssh server."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from re_workers.steps.confinement import Confinement
from re_workers.steps.git import Git, checked_ref
from re_workers.testing import Result, run
from tests.services.recipe import Place
from tests.services.sshd import running

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
    return run(Git(Confinement(isolation="off")), f"git:{name}", parameters)


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


@pytest.mark.service("sshd")
def test_a_branch_is_merged_over_ssh_with_a_key_and_a_known_host_alone(repo: Repo, sshd: Place, tmp_path: Path) -> None:
    repo.commit("b", "two\n", branch="next")
    data = tmp_path / "sshd"
    data.mkdir()
    with running(sshd, data, "forge") as forge:
        url = f"ssh://root@127.0.0.1:{forge.port}{repo.url}"
        wanted = {"repo": url, "to_branch": "main", "from_branch": "next", "ssh_key": str(data / "client_key")}
        strange = do("Merge", **wanted)
        assert strange.status == "failed" and "Host key verification failed" in (strange.message or "")
        known = do("Merge", **wanted, known_hosts=str(data / "known_hosts"))
    assert (known.status, known.data) == ("completed", {"changed": True, "commit": repo.at("main")})
