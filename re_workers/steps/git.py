"""`git:*`: branches, tags and archives of repositories, by git on the worker's machine. Must not know the bus.

Nothing of a branch is ever forced: what has moved meanwhile fails the step, with what it moved to. A repetition finds what the first
time did, and changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, TypedDict

from re_workers.context import Context
from re_workers.limits import at_least, at_most, fits, items
from re_workers.outcomes import Failed
from re_workers.sdk import Worker, step
from re_workers.steps.confinement import Confinement
from re_workers.steps.tools import Ran, Tool, scratch, without_passwords

#: ways on which repositories are reached; `ext::` would run any program
PROTOCOLS = "file:git:http:https:ssh"

#: git asks no person, reads no settings of the machine that a caller may change, and says the same words everywhere
ENVIRONMENT: Mapping[str, str] = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_ALLOW_PROTOCOL": PROTOCOLS,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ADVICE": "0",
    "LC_ALL": "C.UTF-8",
    "GIT_AUTHOR_NAME": "Release Engine",
    "GIT_AUTHOR_EMAIL": "release-engine@localhost",
    "GIT_COMMITTER_NAME": "Release Engine",
    "GIT_COMMITTER_EMAIL": "release-engine@localhost",
}

#: ssh asks no person either; host keys are those of the user's and the system's known_hosts
SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes"

#: suffix of an archive -> format of git
_FORMATS = {".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar": "tar", ".zip": "zip"}

#: puts the file `$1` at `$2` as one, unless it is there, with the rights of programs of steps; prints its digest and whether
_PUT = """
set -eu
digest=$(sha256sum <"$1") digest=${digest%% *}
if [ -f "$2" ] && [ "$(sha256sum <"$2")" = "$digest  -" ]; then echo "$digest unchanged"; exit; fi
new=$(mktemp "$2.XXXXXX")
trap 'rm -f "$new"' EXIT
cat <"$1" >"$new"
chmod 644 "$new"
mv -f "$new" "$2"
echo "$digest changed"
"""

#: what git refuses in a name (git check-ref-format), and what would be an option or an expression
_REFUSED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock$")

_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")

_Repo = Annotated[str, fits("re-text")]
_Name = Annotated[str, fits("re-text")]
_Path = Annotated[str, fits("re-path")]
_Depth = Annotated[int, at_least(0), at_most(1_000_000)]


class Committed(TypedDict):
    """What became of a branch or a tag."""

    #: false: it was so already, and nothing was pushed
    changed: bool
    #: where it stands now
    commit: str


class Archived(TypedDict):
    """An archive that is there now."""

    changed: bool
    commit: str
    sha256: str


class Git(Worker):
    """Changes repositories by git."""

    command: ClassVar[str] = "git"
    slots: ClassVar[int | None] = 8

    def __init__(self, confinement: Confinement | None = None) -> None:
        """`confinement` starts git, and the scripts of a repository."""
        self._confinement = confinement or Confinement()

    @step(idempotent=True)
    def Clone(
        self,
        ctx: Context,
        repo: _Repo,
        path: _Path,
        ref: _Name = "HEAD",
        depth: _Depth = 0,
        ssh_key: _Path = "",
        known_hosts: _Path = "",
    ) -> Committed:
        """Has a checkout of `ref` (a branch, a tag or a commit) at `path`. Fails where local changes would be lost.

        `depth`: commits of history that are fetched, 0: all.
        """
        git, place = self._git(ssh_key, known_hosts), Path(path)
        url = checked_repo(repo)
        commit = resolved(ctx, git, url, checked_ref(ref))
        there = self._checkout(ctx, git, place, url)
        if there == commit:
            ctx.output(f"unchanged: {path} is at {commit}")
            return {"changed": False, "commit": commit}
        shallow = ["--depth", str(depth)] if depth else []
        if there is None:
            git.run(ctx, "clone", "--no-checkout", *shallow, "--", url, path)
        git.run(ctx, "fetch", *shallow, "--force", "--", "origin", commit, cwd=place)
        git.run(ctx, "-c", "advice.detachedHead=false", "checkout", "--detach", commit, cwd=place)
        return {"changed": True, "commit": commit}

    @step
    def Merge(
        self,
        ctx: Context,
        repo: _Repo,
        to_branch: _Name,
        from_branch: _Name,
        ssh_key: _Path = "",
        known_hosts: _Path = "",
    ) -> Committed:
        """Merges `from_branch` into `to_branch` and pushes that. Fails where they conflict, or the branch moves meanwhile."""
        git = self._git(ssh_key, known_hosts)
        with scratch(self._confinement) as place:
            old = cloned(ctx, git, place, checked_repo(repo), checked_ref(to_branch))
            git.run(ctx, "fetch", "--", "origin", checked_ref(from_branch), cwd=place)
            new = answer(ctx, git, place, "rev-parse", "FETCH_HEAD")
            if git.run(ctx, "merge-base", "--is-ancestor", new, old, cwd=place, ok=(0, 1), quiet=True).code == 0:
                ctx.output(f"unchanged: {to_branch} has {from_branch} already")
                return {"changed": False, "commit": old}
            words = f"Merge {from_branch} into {to_branch}"
            merged(ctx, git, place, ["merge", "--no-ff", "--no-edit", "-m", words, new], words)
            return pushed(ctx, git, place, to_branch, old)

    @step
    def CherryPickMerge(
        self,
        ctx: Context,
        repo: _Repo,
        to_branch: _Name,
        temp_branch: _Name,
        commits: Annotated[list[_Name], items(1, 500)],
        run_scripts: Annotated[list[_Name], items(0, 50)] | None = None,
        ssh_key: _Path = "",
        known_hosts: _Path = "",
    ) -> Committed:
        """Picks `commits` in their order onto `temp_branch`, runs the repository's `run_scripts` there, and pushes it as `to_branch`.

        A commit that the branch has already is passed over. `temp_branch` exists in the step's own clone only.
        """
        git = self._git(ssh_key, known_hosts)
        with scratch(self._confinement) as place:
            old = cloned(ctx, git, place, checked_repo(repo), checked_ref(to_branch))
            git.run(ctx, "fetch", "--", "origin", "+refs/heads/*:refs/remotes/origin/*", cwd=place, quiet=True)
            git.run(ctx, "switch", "--create", checked_ref(temp_branch), cwd=place, quiet=True)
            picked = [one for one in commits if self._pick(ctx, git, place, one)]
            if not picked:
                ctx.output(f"unchanged: {to_branch} has all of them already")
                return {"changed": False, "commit": old}
            for script in run_scripts or ():
                self._script(ctx, place, script)
            return pushed(ctx, git, place, to_branch, old)

    @step(idempotent=True)
    def Tag(
        self,
        ctx: Context,
        repo: _Repo,
        tag: _Name,
        ref: _Name = "HEAD",
        message: str = "",
        ssh_key: _Path = "",
        known_hosts: _Path = "",
    ) -> Committed:
        """Has an annotated `tag` at `ref`. Fails where the tag is at another commit: a tag is never moved."""
        git, url = self._git(ssh_key, known_hosts), checked_repo(repo)
        name = checked_ref(tag)
        commit = resolved(ctx, git, url, checked_ref(ref))
        there = listed(ctx, git, url).get(f"refs/tags/{name}")
        if there is not None:
            if there != commit:
                raise Failed(f"the tag {tag} is at {there} already, and not at {commit}", {"kind": "moved"})
            ctx.output(f"unchanged: {tag} is at {commit}")
            return {"changed": False, "commit": commit}
        with scratch(self._confinement) as place:
            bare = mirrored(ctx, git, place, url)
            git.run(ctx, "tag", "--annotate", "-m", message or name, "--", name, commit, cwd=bare)
            git.run(ctx, "push", "--", url, f"refs/tags/{name}:refs/tags/{name}", cwd=bare)
        return {"changed": True, "commit": commit}

    @step(idempotent=True)
    def Archive(
        self,
        ctx: Context,
        repo: _Repo,
        path: _Path,
        ref: _Name = "HEAD",
        prefix: _Path = "",
        ssh_key: _Path = "",
        known_hosts: _Path = "",
    ) -> Archived:
        """Writes the files of `ref` to the archive `path`, a .tar, .tar.gz, .tgz or .zip, below the directory `prefix` in it."""
        git, url = self._git(ssh_key, known_hosts), checked_repo(repo)
        form = next((form for suffix, form in _FORMATS.items() if path.endswith(suffix)), "")
        if not form:
            raise Failed(f"the path must end in one of {', '.join(_FORMATS)}, and {path} does not")
        commit = resolved(ctx, git, url, checked_ref(ref))
        with scratch(self._confinement) as place:
            bare = mirrored(ctx, git, place, url)
            made = place / f"archive.{form}"
            within = [f"--prefix={prefix.strip('/')}/"] if prefix.strip("/") else []
            git.run(ctx, "archive", f"--format={form}", *within, f"--output={made}", commit, cwd=bare)
            said = Tool("sh", self._confinement).run(ctx, "-c", _PUT, "put", str(made), path, quiet=True).out.split()
        digest, changed = said[0], said[1] == "changed"
        if not changed:
            ctx.output(f"unchanged: {path} has {commit}")
        return {"changed": changed, "commit": commit, "sha256": digest}

    def _git(self, ssh_key: str, known_hosts: str) -> Tool:
        """Git with this key and these host keys, where they are given; else with those of the user of programs."""
        key = f" -o IdentitiesOnly=yes -i {_quoted(ssh_key)}" if ssh_key else ""
        known = f" -o UserKnownHostsFile={_quoted(known_hosts)}" if known_hosts else ""
        return Tool("git", self._confinement, {**ENVIRONMENT, "GIT_SSH_COMMAND": SSH + key + known})

    def _checkout(self, ctx: Context, git: Tool, place: Path, url: str) -> str | None:
        """Commit of the checkout that is there; None where there is nothing. Raises Failed for anything else."""
        if not place.exists() or (place.is_dir() and not any(place.iterdir())):
            return None
        if (
            git.run(ctx, "rev-parse", "--git-dir", cwd=place, ok=(0, 128), quiet=True).code
            or not (place / ".git").exists()
        ):
            raise Failed(f"{place} is there and no checkout of git")
        origin = git.run(ctx, "remote", "get-url", "origin", cwd=place, ok=(0, 2, 128), quiet=True).out.strip()
        if origin != url:
            raise Failed(
                f"{place} is a checkout of {without_passwords(origin) or 'nothing'}, not of {without_passwords(url)}"
            )
        dirty = answer(ctx, git, place, "status", "--porcelain", "--untracked-files=no")
        if dirty:
            raise Failed(f"{place} has local changes, which would be lost: {', '.join(dirty.splitlines()[:5])}")
        return git.run(ctx, "rev-parse", "--verify", "--quiet", "HEAD", cwd=place, ok=(0, 1), quiet=True).out.strip()

    def _pick(self, ctx: Context, git: Tool, place: Path, commit: str) -> bool:
        """Whether it was picked; False where the branch has it, or another commit with its change."""
        full = answer(ctx, git, place, "rev-parse", "--verify", f"{checked_ref(commit)}^{{commit}}")
        if git.run(ctx, "merge-base", "--is-ancestor", full, "HEAD", cwd=place, ok=(0, 1), quiet=True).code == 0:
            return False
        note = f"(cherry picked from commit {full})"
        if answer(ctx, git, place, "log", "--fixed-strings", f"--grep={note}", "--format=%H", "-n", "1", "HEAD"):
            return False
        merged(ctx, git, place, ["cherry-pick", "-x", "--allow-empty", full], f"picking {commit}")
        return True

    def _script(self, ctx: Context, place: Path, script: str) -> None:
        """A script of the repository; raises Failed for one that leads out of it."""
        found = (place / script).resolve()
        if not found.is_relative_to(place.resolve()) or not found.is_file():
            raise Failed(f"the repository has no script {script}")
        Tool(str(found), self._confinement).run(ctx, cwd=place)


def checked_repo(repo: str) -> str:
    """The URL or path of a repository. Raises Failed for what git would take for an option or a program."""
    if not repo or repo.startswith("-") or "::" in repo.partition("/")[0]:
        raise Failed(
            f"the repository must be a URL (https://…, ssh://…, host:path) or a path, found {without_passwords(repo)[:80]!r}"
        )
    return repo


def checked_ref(name: str) -> str:
    """The name of a branch or a tag, or a commit. Raises Failed for all else."""
    if not name or _REFUSED.search(name):
        raise Failed(f"expected a branch, a tag or a commit, found {name[:80]!r}")
    return name


def listed(ctx: Context, git: Tool, url: str) -> dict[str, str]:
    """Reference -> commit, of a repository; a tag means the commit that it is put on."""
    found: dict[str, str] = {}
    for line in git.run(ctx, "ls-remote", "--", url, quiet=True).out.splitlines():
        commit, tab, name = line.partition("\t")
        if tab and _COMMIT.fullmatch(commit):
            found[name.removesuffix("^{}")] = commit
    return found


def resolved(ctx: Context, git: Tool, url: str, ref: str) -> str:
    """The commit of a branch, a tag or HEAD; a whole commit id is its own. Raises Failed."""
    there = listed(ctx, git, url)
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if name in there:
            return there[name]
    if len(ref) in (40, 64) and _COMMIT.fullmatch(ref):
        return ref.lower()
    names = sorted(name.removeprefix("refs/heads/") for name in there if name.startswith("refs/heads/"))[:10]
    raise Failed(
        f"the repository has no branch or tag {ref}; a commit is named by all of its digits. Branches: {', '.join(names)}"
    )


def mirrored(ctx: Context, git: Tool, place: Path, url: str) -> Path:
    """A clone without files, in `place`. Raises Failed."""
    bare = place / "bare"
    git.run(ctx, "clone", "--quiet", "--bare", "--", url, str(bare))
    return bare


def cloned(ctx: Context, git: Tool, place: Path, url: str, branch: str) -> str:
    """Check the branch out into the directory; its commit."""
    git.run(ctx, "clone", "--quiet", "--branch", branch, "--", url, ".", cwd=place)
    return answer(ctx, git, place, "rev-parse", "HEAD")


def answer(ctx: Context, git: Tool, place: Path, *arguments: str) -> str:
    """What git says, without blanks around it."""
    return git.run(ctx, *arguments, cwd=place, quiet=True).out.strip()


def merged(ctx: Context, git: Tool, place: Path, arguments: Sequence[str], words: str) -> Ran:
    """Run a merge or a pick. Raises Failed, with the files that conflict."""
    ran = git.run(ctx, *arguments, cwd=place, ok=range(256))
    if ran.code:
        files = answer(ctx, git, place, "diff", "--name-only", "--diff-filter=U").splitlines()
        if files:
            raise Failed(f"{words}: conflict in {', '.join(files[:10])}", {"kind": "conflict", "files": files[:100]})
        raise Failed(f"{words} failed: {' / '.join(ran.out.splitlines()[-3:])}")
    return ran


def pushed(ctx: Context, git: Tool, place: Path, branch: str, old: str) -> Committed:
    """Push what is checked out as the branch, which must still be at `old`. Raises Failed."""
    commit = answer(ctx, git, place, "rev-parse", "HEAD")
    lease = f"--force-with-lease=refs/heads/{branch}:{old}"
    ran = git.run(ctx, "push", lease, "--", "origin", f"HEAD:refs/heads/{branch}", cwd=place, ok=range(256))
    if ran.code:
        now = listed(ctx, git, answer(ctx, git, place, "remote", "get-url", "origin")).get(
            f"refs/heads/{branch}", "nothing"
        )
        if now == commit:
            return {"changed": True, "commit": commit}
        if now != old:
            raise Failed(f"{branch} moved from {old} to {now} meanwhile; run the step again", {"kind": "moved"})
        raise Failed(f"the push to {branch} was refused: {' / '.join(without_passwords(ran.out).splitlines()[-3:])}")
    return {"changed": True, "commit": commit}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
