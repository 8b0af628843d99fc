"""The hook of a git repository that pushes an app: what `git push` sends is archived, released, and followed by its sender.

git runs it after the push was received, so it can refuse nothing: where the release fails, it says so, and what was pushed stays. What
it has to know stands in the repository's own configuration (`dploy.*`). Must not know the commands of rectl.
"""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from re_client import releasing
from re_client.api import Client
from re_client.errors import DONE, BadInput, ClientError
from re_client.text import safe

#: the second line of a hook that is ours
MARK = "# rectl apps git-hook: pushes this repository as an app"

#: what the file with the token is called where none is named
TOKEN_FILE = "dploy-token"

#: what git says of a commit that there is none of: a ref that was deleted
_NONE = frozenset("0")

#: bytes that are read at a time
_PIECE = 256 * 1024

_ADVICE = "the push was received and stays"


class Hook(NamedTuple):
    """What one repository pushes."""

    app: str
    branch: str
    #: address of the engine
    url: str
    #: file with the token, which its owner alone can read
    token_file: str


class Line(NamedTuple):
    """One ref that a push has moved, as git says it."""

    old: str
    new: str
    ref: str


# -- installing --------------------------------------------------------------------------------------------


def install(repository: Path, hook: Hook, token: str) -> Path:
    """Write the hook and its configuration; the hook's file. Twice is the same as once.

    `token` is written into the file of the token where that is the repository's own. Raises BadInput.
    """
    directory = _git_directory(repository)
    place = _place(repository, directory)
    if place.exists() and MARK not in place.read_text(errors="replace").splitlines()[:3]:
        raise BadInput(f"{place} is another hook; add the lines of this one by hand, or remove it:\n{script()}")
    if not hook.token_file:
        hook = hook._replace(token_file=str(_write_token(directory / TOKEN_FILE, token)))
    read_token(Path(hook.token_file))
    for name, value in (("app", hook.app), ("branch", hook.branch), ("url", hook.url), ("tokenFile", hook.token_file)):
        _git(repository, "config", f"dploy.{name}", value)
    place.parent.mkdir(exist_ok=True)
    _replace(place, script(), 0o755)
    return place


def script() -> str:
    """The hook itself. It names the Python that has this package: git's environment may find another one."""
    return f"#!/bin/sh\n{MARK}\nexec {shlex.quote(sys.executable)} -m re_client.git_hook\n"


def read_token(file: Path) -> str:
    """The token in a file that its owner alone can read. Raises BadInput."""
    try:
        with file.open() as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise BadInput(f"{file} can be read by others; run: chmod 600 {shlex.quote(str(file))}")
            token = opened.readline().strip()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; it has the token with which the hook pushes") from None
    if not token:
        raise BadInput(f"{file} is empty; write a token into it")
    return token


def _write_token(file: Path, token: str) -> Path:
    if not token:
        raise BadInput("there is no token to write: set RE_TOKEN, or name a file that has one: --token-file")
    _replace(file, f"{token}\n", 0o600)
    return file


def _git_directory(repository: Path) -> Path:
    found = _git(repository, "rev-parse", "--absolute-git-dir")
    return Path(found)


def _place(repository: Path, directory: Path) -> Path:
    """Where git looks for the hook. Raises BadInput where that is not in the repository."""
    hooks = Path(repository, _git(repository, "rev-parse", "--git-path", "hooks")).resolve()
    if not hooks.is_relative_to(directory.resolve()):
        raise BadInput(f"{repository} has its hooks in {hooks} (core.hooksPath), where they may be those of others too")
    return hooks / "post-receive"


def _replace(file: Path, text: str, mode: int) -> None:
    """As a whole or not at all. Raises BadInput."""
    try:
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}-", delete=False) as new:
            new.write(text)
            os.fchmod(new.fileno(), mode)
        Path(new.name).replace(file)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None


# -- receiving ---------------------------------------------------------------------------------------------


def main() -> None:
    """The hook: git gives it the refs on standard input, and runs it in the repository."""
    # who pushed may hang up; a release that was begun goes on, and one that is being sent is sent whole
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code = receive(Path.cwd(), sys.stdin, _print)
    except ClientError as error:
        with suppress(OSError):
            for line in f"{error}; {_ADVICE}".splitlines():
                _print(f"{releasing.FAILED}{safe(line)}")
        code = 1
    except OSError:
        # the pusher has hung up
        code = DONE
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def receive(repository: Path, lines: Iterable[str], say: releasing.Print) -> int:
    """Release what was pushed to the branch of the app; the exit code. Raises ClientError."""
    hook = read_hook(repository)
    code = DONE
    for line in map(_parsed, lines):
        if why := _ignored(line, hook):
            say(f"{releasing.PLATFORM}{safe(line.ref)} is ignored: {why}")
            continue
        with Client(hook.url, read_token(Path(hook.token_file))) as client:
            code = release(client, repository, hook, line.new, say)
    return code


def release(client: Client, repository: Path, hook: Hook, commit: str, say: releasing.Print) -> int:
    """Push that commit, and say what its release says; the exit code. Raises ClientError."""
    with tempfile.TemporaryFile() as archive:
        _archive(repository, hook.app, commit, archive)
        asked = client.apps.push(hook.app, _read(archive), commit)
    id = asked["broadcast_id"]
    if id is None:
        raise BadInput("the engine made no release")
    say(f"{releasing.PLATFORM}{safe(hook.app)} v{asked['release']} of {commit[:7]}")
    code = releasing.follow_into(client, hook.app, id, say, say)
    if code != DONE:
        say(f"{releasing.FAILED}the release failed; {_ADVICE}")
        say(f"{releasing.FAILED}what ran before goes on; try again: rectl apps releases retry {safe(hook.app)}")
    return code


def read_hook(repository: Path) -> Hook:
    """What the repository's configuration says. Raises BadInput."""
    values = []
    for name in ("app", "branch", "url", "tokenFile"):
        value = _git(repository, "config", "--default", "", f"dploy.{name}")
        if not value:
            raise BadInput(
                f"dploy.{name} is not set in {repository}; install the hook again: rectl apps git-hook install"
            )
        values.append(value)
    return Hook(*values)


def _parsed(line: str) -> Line:
    parts = line.split()
    if len(parts) != 3:
        raise BadInput(f"expected `old new ref` from git, found {line[:80]!r}")
    return Line(*parts)


def _ignored(line: Line, hook: Hook) -> str:
    """Why a ref is none of the app's; empty where it is."""
    if line.ref != f"refs/heads/{hook.branch}":
        return f"{hook.app} is released from the branch {hook.branch}"
    return "the branch was deleted" if set(line.new) == _NONE else ""


def _archive(repository: Path, app: str, commit: str, into: BinaryIO) -> None:
    """The files of the commit as a tar.gz. Raises BadInput."""
    command = ["git", "-C", str(repository), "archive", "--format=tar.gz", f"--prefix={app}/", commit]
    done = subprocess.run(command, stdout=into, stderr=subprocess.PIPE, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BadInput(f"git archive: {done.stderr.decode(errors='replace').strip()[:500]}")
    into.seek(0)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _git(repository: Path, *arguments: str) -> str:
    """What git prints. Raises BadInput."""
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *arguments], capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise BadInput("git is not installed") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()[:500] or f"git {arguments[0]} ended with {done.returncode}"
        raise BadInput(f"{repository}: {why}")
    return done.stdout.decode(errors="replace").strip()


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
