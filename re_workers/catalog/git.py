"""`git:*`: branches, tags, checkouts and archives of repositories, by the git of the step's host."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypedDict

from re_workers.catalog.git_operations import FORMATS, ArchiveOf, Checkout, Merge, Picks, TagAt, access, checked_ref
from re_workers.catalog.operations import HostWorker, Operation, operation_step
from re_workers.context import Context
from re_workers.limits import at_least, at_most, confidential, fits, items
from re_workers.outcomes import Failed

_Repo = Annotated[str, "`https://…`, `ssh://…`, `host:path` or a path on the host", fits("re-text")]
_Name = Annotated[str, fits("re-text")]
_Path = Annotated[str, "on the host", fits("re-path")]
_Depth = Annotated[int, "commits of history that are fetched, 0: all", at_least(0), at_most(1_000_000)]
_Key = Annotated[str, "private key as a secret, or its path on the host", fits("re-text")]
_Known = Annotated[str, "lines of known_hosts, or their file's path on the host", fits("re-text")]
_Token = Annotated[str, "for https, as a secret", fits("re-text"), confidential()]
_User = Annotated[str, "name beside the token", fits("re-text")]


class Committed(TypedDict):
    """What became of a branch, a tag or a checkout."""

    #: false: it was so already, and nothing was pushed
    changed: bool
    #: where it stands now
    commit: str


class Archived(TypedDict):
    """An archive that is there now."""

    changed: bool
    commit: str
    sha256: str


class Git(HostWorker):
    """Changes repositories by git, on the step's host; without an inventory on the worker's machine."""

    command: ClassVar[str] = "git"

    @operation_step(Committed, timeout=3600)
    def Clone(
        self,
        ctx: Context,
        repo: _Repo,
        path: _Path,
        ref: _Name = "HEAD",
        depth: _Depth = 0,
        ssh_key: _Key = "",
        known_hosts: _Known = "",
        token: _Token = "",
        https_user: _User = "git",
    ) -> Operation:
        """Has a checkout of `ref` (a branch, a tag or a commit) at `path`. Fails where local changes would be lost."""
        way = access(repo, ssh_key, known_hosts, token, https_user)
        return Checkout(way, _plain(path), checked_ref(ref), depth)

    @operation_step(Committed, idempotent=False, timeout=3600)
    def Merge(
        self,
        ctx: Context,
        repo: _Repo,
        to_branch: _Name,
        from_branch: _Name,
        ssh_key: _Key = "",
        known_hosts: _Known = "",
        token: _Token = "",
        https_user: _User = "git",
    ) -> Operation:
        """Merges `from_branch` into `to_branch` and pushes that. Fails where they conflict, or the branch moves meanwhile."""
        way = access(repo, ssh_key, known_hosts, token, https_user)
        return Merge(way, checked_ref(to_branch), checked_ref(from_branch))

    @operation_step(Committed, idempotent=False, timeout=3600)
    def CherryPickMerge(
        self,
        ctx: Context,
        repo: _Repo,
        to_branch: _Name,
        temp_branch: _Name,
        commits: Annotated[list[_Name], items(1, 500)],
        run_scripts: Annotated[list[_Name], items(0, 50)] | None = None,
        ssh_key: _Key = "",
        known_hosts: _Known = "",
        token: _Token = "",
        https_user: _User = "git",
    ) -> Operation:
        """Picks `commits` in their order onto `temp_branch`, runs the repository's `run_scripts` there, and pushes it as `to_branch`.

        A commit that the branch has already is passed over. `temp_branch` exists in the step's own clone only.
        """
        way = access(repo, ssh_key, known_hosts, token, https_user)
        picks = tuple(map(checked_ref, commits))
        return Picks(way, checked_ref(to_branch), checked_ref(temp_branch), picks, tuple(run_scripts or ()))

    @operation_step(Committed, timeout=3600)
    def Tag(
        self,
        ctx: Context,
        repo: _Repo,
        tag: _Name,
        ref: _Name = "HEAD",
        message: Annotated[str, fits("re-text")] = "",
        ssh_key: _Key = "",
        known_hosts: _Known = "",
        token: _Token = "",
        https_user: _User = "git",
    ) -> Operation:
        """Has an annotated `tag` at `ref`. Fails where the tag is at another commit: a tag is never moved."""
        way = access(repo, ssh_key, known_hosts, token, https_user)
        return TagAt(way, checked_ref(tag), checked_ref(ref), message)

    @operation_step(Archived, timeout=3600)
    def Archive(
        self,
        ctx: Context,
        repo: _Repo,
        path: _Path,
        ref: _Name = "HEAD",
        prefix: Annotated[str, "directory in the archive", fits("re-path")] = "",
        ssh_key: _Key = "",
        known_hosts: _Known = "",
        token: _Token = "",
        https_user: _User = "git",
    ) -> Operation:
        """Writes the files of `ref` to the archive `path`, a .tar, .tar.gz, .tgz or .zip, below the directory `prefix` in it."""
        form = next((form for suffix, form in FORMATS.items() if path.endswith(suffix)), "")
        if not form:
            raise Failed(f"the path must end in one of {', '.join(FORMATS)}, and {path} does not")
        way = access(repo, ssh_key, known_hosts, token, https_user)
        return ArchiveOf(way, _plain(path), checked_ref(ref), form, prefix)


def _plain(path: str) -> str:
    """The path, where no program takes it for an option."""
    return f"./{path}" if path.startswith("-") else path
