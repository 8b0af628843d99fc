"""What `git:*` wants of repositories and checkouts: decided by what git says, so that it can be asked for without acting. Pure.

Nothing of a branch is ever forced: what has moved meanwhile fails the step, with what it moved to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from re_workers.catalog import git_scripts as scripts
from re_workers.catalog.operations import Act, Decision
from re_workers.outcomes import Failed

#: ways on which repositories are reached; `ext::` would run any program
PROTOCOLS = "file:git:http:https:ssh"

#: git asks no person, reads no settings of the machine that a caller may change, and says the same words everywhere
ENVIRONMENT: Mapping[str, str] = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_ALLOW_PROTOCOL": PROTOCOLS,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ADVICE": "0",
    "GIT_AUTHOR_NAME": "Release Engine",
    "GIT_AUTHOR_EMAIL": "release-engine@localhost",
    "GIT_COMMITTER_NAME": "Release Engine",
    "GIT_COMMITTER_EMAIL": "release-engine@localhost",
}

#: ssh asks no person either, and host keys have to be known
SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes"

#: suffix of an archive -> format of git
FORMATS: Mapping[str, str] = {".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar": "tar", ".zip": "zip"}

#: what git refuses in a name (git check-ref-format), and what would be an option or an expression
_REFUSED = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock$")
_COMMIT = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
#: name and password in a URL
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")

#: words of git or ssh -> what to do
_ADVICE: Mapping[str, str] = {
    "ssh: not found": "the host has no client of ssh; package:Install {package: openssh-client}",
    "Host key verification failed": "known_hosts: the line that `ssh-keyscan` prints of the server, once its fingerprint is compared",
    "Permission denied (": "no key was accepted; ssh_key: {secret: …}, and its public key at the server",
    "Authentication failed": "the server refused the token; token: {secret: …}",
    "could not read Username": "the server wants a name and a token; token: {secret: …}",
    "detected dubious ownership": "the repository is another user's; reach it over ssh, or as its user by `become`",
}

#: what git adds to whatever ssh says
_USUAL = (
    "fatal: Could not read from remote",
    "Please make sure you have the correct access",
    "and the repository exists",
)


class Access(NamedTuple):
    """Which repository, and how git gets in."""

    #: without a password
    url: str
    #: a private key, or its path on the host
    key: str = ""
    #: lines of known_hosts, or their file's path on the host
    known: str = ""
    user: str = ""
    token: str = ""

    @property
    def env(self) -> dict[str, str]:
        """Variables of the scripts. Secrets are nowhere else."""
        is_key, is_known = "PRIVATE KEY-----" in self.key, " " in self.known.strip()
        ssh = SSH
        if self.key:
            place = '"$RE_GIT_PLACE/key"' if is_key else _quoted(self.key)
            ssh += f" -o IdentitiesOnly=yes -o IdentityAgent=none -i {place}"
        if self.known:
            place = '"$RE_GIT_PLACE/known"' if is_known else _quoted(f'"{self.known}"')
            ssh += f" -o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile={place}"
        env = {**ENVIRONMENT, "GIT_SSH_COMMAND": ssh}
        env["RE_GIT_KEY"] = self.key.rstrip("\n") if is_key else ""
        env["RE_GIT_KNOWN"] = self.known if is_known else ""
        env["RE_GIT_TOKEN"] = self.token
        if self.token:
            parts = urlsplit(self.url)
            env |= {"RE_GIT_AT": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", "RE_GIT_USER": self.user}
        return env

    def act(self, script: str, *args: str, words: str = "", ok: tuple[int, ...] = (0,)) -> Act:
        """A script of git_scripts."""
        return Act(scripts.BEGIN + script, (self.url, *args), self.env, words=words, ok=ok)

    def reading(self, script: str, *args: str, words: str) -> Act:
        """One that may end with what it refused."""
        return self.act(script, *args, words=words, ok=(0, scripts.REFUSED))


def access(repo: str, key: str, known: str, token: str, user: str) -> Access:
    """Of the parameters of a step. A password of the URL is a token. Raises Failed for what git would take for an option or a program."""
    if not repo or repo.startswith("-") or "::" in repo.partition("/")[0]:
        shown = without_passwords(repo)[:80]
        raise Failed(f"the repository must be a URL (https://…, ssh://…, host:path) or a path, found {shown!r}")
    if "://" in repo:
        try:
            parts = urlsplit(repo)
            password = parts.password
        except ValueError:
            raise Failed("the repository's URL cannot be read: a part of it is no address") from None
        if password is not None:
            name = parts.username or ""
            repo = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
            if parts.scheme == "ssh":
                repo = parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}").geturl()
            elif not token:
                token, user = unquote(password), unquote(name) or user
    if token:
        _check_way_of(repo)
    return Access(repo, key, known, user, token)


def _check_way_of(repo: str) -> None:
    parts = urlsplit(repo) if "://" in repo else None
    here = parts is not None and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts is None or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise Failed("a token is sent over https only; for ssh give ssh_key")


def checked_ref(name: str) -> str:
    """The name of a branch or a tag, or a commit. Raises Failed for all else."""
    if not name or _REFUSED.search(name):
        raise Failed(f"expected a branch, a tag or a commit, found {name[:80]!r}")
    return name


def whole(ref: str) -> str:
    """The reference, where it is all digits of a commit; else nothing."""
    return ref.lower() if _COMMIT.fullmatch(ref) else ""


def without_passwords(text: str) -> str:
    """The text without names and passwords in URLs."""
    return _USERINFO.sub("", text)


def commit_of(found: Mapping[str, str], ref: str, name: str = "commit") -> str:
    """What the reference means. Raises Failed where git said no, or has no such reference."""
    check(found)
    if not found.get(name):
        there = ", ".join(found.get("branches", "").split())
        raise Failed(
            f"the repository has no branch or tag {ref}; a commit is named by all of its digits. Branches: {there or 'none'}"
        )
    return found[name]


def check(found: Mapping[str, str]) -> None:
    """Raises Failed where git is not there, or said no."""
    if "missing" in found:
        raise Failed("git is not installed there; package:Install {package: git}", {"kind": "tool"})
    if (said := found.get("failed")) is not None:
        said = said.replace(SSH, "ssh")
        lines = [
            without_passwords(one).strip() for one in said.splitlines() if one.strip() and not one.startswith(_USUAL)
        ]
        advice = next((f" ({advice})" for words, advice in _ADVICE.items() if words in said), "")
        raise Failed(f"git failed: {' / '.join(lines[-3:]) or 'it said nothing'}{advice}", {"kind": "git"})


class Checkout(NamedTuple):
    """The files of a reference, in a directory."""

    access: Access
    path: str
    ref: str
    depth: int

    def look(self) -> Act:
        """As of every operation."""
        return self.access.act(scripts.LOOK_CHECKOUT, self.ref, whole(self.ref), self.path)

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        commit = commit_of(found, self.ref)
        if found["kind"] == "other":
            raise Failed(f"{self.path} is there and no checkout of git; move it away")
        head = found.get("head", "")
        if found["kind"] == "checkout":
            origin, wanted = without_passwords(found["origin"]), without_passwords(self.access.url)
            if origin != wanted:
                raise Failed(f"{self.path} is a checkout of {origin or 'nothing'}, not of {wanted}")
            if found["dirty"]:
                files = ", ".join(found["dirty"].splitlines())
                raise Failed(f"{self.path} has local changes, which would be lost: {files}")
        result = {"commit": commit}
        if head == commit:
            return Decision("no", why=f"{self.path} is at {commit}", result=result)
        depth = str(self.depth or "")
        act = self.access.act(scripts.CHECK_OUT, self.path, commit, depth, words=f"check out {self.ref} at {self.path}")
        return Decision("yes", _moved(head, commit), f"{self.path} is at {head or 'nothing'}", (act,), result)


class Merge(NamedTuple):
    """A branch has all of another one."""

    access: Access
    to: str
    ref: str

    def look(self) -> Act:
        """As of every operation."""
        return self.access.act(scripts.LOOK_MERGE, self.to, self.ref, whole(self.ref))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        old, commit = commit_of(found, self.to, "to"), commit_of(found, self.ref)
        if "merged" in found:
            return Decision("no", why=f"{self.to} has {self.ref} already", result={"commit": old})
        words = f"Merge {self.ref} into {self.to}"
        act = self.access.reading(scripts.MERGE, self.to, old, commit, words, words=words)

        def read(said: Mapping[str, str]) -> dict[str, Any]:
            return _pushed(said, self.to, old, words)

        return Decision("yes", _commits(found["log"]), f"{self.to} has not all of {self.ref}", (act,), read=read)


class Picks(NamedTuple):
    """A branch has these commits, in their order; scripts of the repository find it good before it is pushed."""

    access: Access
    to: str
    temp: str
    commits: tuple[str, ...]
    scripts: tuple[str, ...]

    def look(self) -> Act:
        """As of every operation."""
        return self.access.act(scripts.LOOK_PICKS, self.to, *self.commits)

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation. A commit that the branch has already is passed over."""
        old = commit_of(found, self.to, "to")
        if unknown := found.get("unknown"):
            raise Failed(f"no branch of the repository has the commit {unknown}", {"kind": "git"})
        picks = found.get("picks", "").splitlines()
        if not picks:
            return Decision("no", why=f"{self.to} has all of them already", result={"commit": old})
        wanted = [one.partition(" ")[0] for one in picks]
        words = f"pick {len(wanted)} commits onto {self.to}"
        args = (self.to, old, self.temp, str(len(wanted)), *wanted, *self.scripts)
        act = self.access.reading(scripts.PICK, *args, words=words)

        def read(said: Mapping[str, str]) -> dict[str, Any]:
            return _pushed(said, self.to, old, f"picking {said.get('pick', '')}")

        return Decision("yes", _commits("\n".join(picks)), f"{self.to} has not all of them", (act,), read=read)


class TagAt(NamedTuple):
    """An annotated tag at a commit; it is never moved."""

    access: Access
    tag: str
    ref: str
    message: str

    def look(self) -> Act:
        """As of every operation."""
        return self.access.act(scripts.LOOK_TAG, self.tag, self.ref, whole(self.ref))

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        commit, there = commit_of(found, self.ref), found["there"]
        if there not in ("", commit):
            raise Failed(f"the tag {self.tag} is at {there} already, and not at {commit}", {"kind": "moved"})
        if there:
            return Decision("no", why=f"{self.tag} is at {commit}", result={"commit": commit})
        words = f"tag {commit} as {self.tag}"
        act = self.access.act(scripts.PUT_TAG, self.tag, commit, self.message or self.tag, words=words)
        return Decision("yes", f"+{self.tag} {commit}\n", f"there is no tag {self.tag}", (act,), {"commit": commit})


class ArchiveOf(NamedTuple):
    """An archive with the files of a reference."""

    access: Access
    path: str
    ref: str
    form: str
    prefix: str

    def look(self) -> Act:
        """As of every operation."""
        return self.access.act(
            scripts.LOOK_ARCHIVE, self.ref, whole(self.ref), self.path, self.form, self.prefix.strip("/")
        )

    def decide(self, found: Mapping[str, str]) -> Decision:
        """As of every operation."""
        commit = commit_of(found, self.ref)
        if found.get("kind") == "directory":
            raise Failed(f"{self.path} is a directory")
        if found.get("sum") and found["sum"] == found.get("new"):
            result = {"commit": commit, "sha256": found["sum"]}
            return Decision("no", why=f"{self.path} has {commit}", result=result)
        why = f"{self.path} has {found.get('of') or 'something else'}" if found.get("kind") else f"no {self.path}"
        act = self.access.act(
            scripts.ARCHIVE, commit, self.path, self.form, self.prefix.strip("/"), words=f"archive {self.ref}"
        )

        def read(said: Mapping[str, str]) -> dict[str, Any]:
            return {"sha256": said.get("sum", "")}

        return Decision("yes", _moved(found.get("of", ""), commit), why, (act,), {"commit": commit}, read=read)


def _pushed(said: Mapping[str, str], branch: str, old: str, words: str) -> dict[str, Any]:
    """What became of a branch. Raises Failed for what was refused."""
    check(said)
    match said.get("state"):
        case None:
            return {"commit": said.get("commit", "")}
        case "conflict":
            files = said.get("files", "").splitlines()
            raise Failed(f"{words}: conflict in {', '.join(files[:10])}", {"kind": "conflict", "files": files})
        case "moved":
            raise Failed(
                f"{branch} moved from {old} to {said.get('now')} meanwhile; run the step again", {"kind": "moved"}
            )
        case "script":
            raise Failed(f"the repository has no script {said.get('script')}")
    raise Failed(f"the push to {branch} was refused; its words are in the output", {"kind": "refused"})


def _moved(old: str, new: str) -> str:
    return (f"-{old}\n" if old else "") + f"+{new}\n"


def _commits(log: str) -> str:
    return "".join(f"+{one}\n" for one in log.splitlines())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
