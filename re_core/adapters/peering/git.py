"""cdpm.yml in a git repository: the one file at a branch or a tag. Must not know what is in it.

The program `git` runs in a repository of its own that is removed afterwards, without settings of this machine, without hooks,
prompts, credentials and redirects. Whether there is anything new is asked first; its commit is the etag.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import getproxies

from re_core.adapters.peering.local import below
from re_core.cdpm.cdpm_file import MAX_FILE
from re_core.cdpm.sources import GitPlace, git_place
from re_core.ports.peering import Fetched, PeerRefused, SourceUnavailable
from re_core.runtime.http_exchange import Denied, ExchangeFailed, Way, checked_addresses
from re_core.runtime.scratch import scratch

#: seconds of one run of git
TIMEOUT = 30.0

#: bytes of a file that git may write: what a repository's small files have at one commit
MAX_DISK = 256 * 1024 * 1024

#: characters of what git says that an error repeats
_SAID = 300

#: the shell limits what the program after it may write, in blocks of 512 bytes
_LIMITED = ("/bin/sh", "-c", f'ulimit -f {MAX_DISK // 512} && exec git "$@"', "git")


class GitSource:
    """Reads with the program git."""

    def __init__(self, way: Way, directories: Sequence[str], timeout: float = TIMEOUT) -> None:
        """`way`: where `git+https` may go; `directories`: below which repositories of `git+file` may be."""
        self._way, self._timeout = way, timeout
        self._directories = [one.rstrip("/") for one in directories]

    def fetch(self, url: str, etag: str = "") -> Fetched | None:
        """See ports.peering.Sources."""
        try:
            place = git_place(url)
        except ValueError as error:
            raise PeerRefused("source-unavailable", f"{url[:200]}: {error}") from None
        with scratch("cdpm") as directory:
            git = _Git(
                directory,
                self._options(place),
                self._way.ca_file,
                self._timeout,
                place.repository.startswith("/"),
            )
            return _fetch(git, place, etag)

    def _options(self, place: GitPlace) -> list[str]:
        """What every run is given. Raises PeerRefused, SourceUnavailable."""
        if place.repository.startswith("/"):
            if os.path.realpath(place.repository) != place.repository:
                raise PeerRefused("source-unavailable", f"{place.repository}: links are not followed")
            below(place.repository, self._directories)
            return []
        parts = urlsplit(place.repository)
        try:
            host, port = parts.hostname or "", parts.port or 443
        except ValueError as error:
            raise PeerRefused("source-unavailable", f"{place.repository[:200]}: it is no URL: {error}") from None
        if host.endswith("."):  # git looks such a name up by itself, whatever was checked
            raise PeerRefused(
                "source-unavailable", f"{place.repository[:200]}: expected a host without a dot at its end"
            )
        proxied = bool(getproxies())
        try:
            addresses = checked_addresses(host, port, self._way.rule, proxied)
        except Denied as error:
            raise PeerRefused("source-unavailable", f"{place.repository}: {error}") from None
        except ExchangeFailed as error:
            raise SourceUnavailable(f"{place.repository}: {error}") from None
        # git connects to the addresses that were checked, whatever the name means by then
        known = ",".join(f"[{one}]" if ":" in one else one for one in addresses)
        return ["-c", f"http.curloptResolve={host}:{port}:{known}"] if known else []


class _Git:
    def __init__(self, directory: Path, options: list[str], ca_file: str | None, timeout: float, local: bool) -> None:
        self._directory, self._timeout = directory, timeout
        self._before = [
            *("-c", "http.followRedirects=false", "-c", "core.hooksPath=/dev/null", "-c", "credential.helper="),
            *("-c", "core.askPass=", "-c", "gc.auto=0", "-c", "maintenance.auto=false", *options),
        ]
        self._environment = _environment(directory, ca_file)
        #: how it may reach a repository; empty once everything is here
        self.protocol = "file" if local else "https"

    def run(self, *arguments: str, most: int = MAX_FILE) -> bytes:
        """What it prints. Raises SourceUnavailable where it fails, takes too long, or prints more than `most` bytes."""
        command = [*_LIMITED, *self._before, *arguments]
        with tempfile.TemporaryFile() as said:
            with subprocess.Popen(
                command,
                cwd=self._directory,
                env={**self._environment, "GIT_ALLOW_PROTOCOL": self.protocol},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            ) as process:
                timer = threading.Timer(self._timeout, _kill, (process,))
                timer.start()
                try:
                    printed = process.stdout.read(most + 1) if process.stdout else b""
                    if len(printed) > most:
                        _kill(process)
                    process.wait()
                finally:
                    timed_out = not timer.is_alive()
                    timer.cancel()
                    _kill(process)  # and what it left behind
            if timed_out:
                raise SourceUnavailable(f"git {arguments[0]}: not done in {self._timeout:g} s")
            if len(printed) > most:
                raise SourceUnavailable(f"git {arguments[0]}: more than {most} bytes")
            if process.returncode != 0:
                raise SourceUnavailable(f"git {arguments[0]}: {_last(said) or f'status {process.returncode}'}")
        return printed


def _fetch(git: _Git, place: GitPlace, etag: str) -> Fetched | None:
    names = [f"refs/tags/{place.ref}", f"refs/tags/{place.ref}^{{}}", f"refs/heads/{place.ref}"]
    listed = git.run("ls-remote", "--", place.repository, *names).decode("ascii", "replace")
    found = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    name = next((one for one in (names[1], names[0], names[2]) if one in found), None)
    if name is None:
        raise SourceUnavailable(f"{place.repository}: it has neither a tag nor a branch {place.ref!r}")
    commit = found[name]
    if commit == etag:
        return None
    git.run("init", "--quiet", "--bare")
    ref = name.removesuffix("^{}")
    limit = f"--filter=blob:limit={MAX_FILE // 1024 + 1}k"
    git.run("fetch", "--quiet", "--depth=1", "--no-tags", limit, "--", place.repository, f"{ref}:refs/cdpm/read")
    git.protocol = (
        "none"  # or what the limit has left out, a file of any size, would be fetched as soon as it is asked for
    )
    commit = git.run("rev-parse", "--verify", "--end-of-options", "refs/cdpm/read^{commit}").decode().strip()
    blob = _blob(git, place)
    size = int(git.run("cat-file", "-s", blob))
    if size > MAX_FILE:
        raise PeerRefused("source-unavailable", f"{place.path} in {place.repository}: more than {MAX_FILE} bytes")
    return Fetched(git.run("cat-file", "blob", blob), commit)


def _blob(git: _Git, place: GitPlace) -> str:
    """Id of the file's content; a link in the repository is no file."""
    listed = git.run("ls-tree", "-z", "--end-of-options", "refs/cdpm/read", place.path).decode("utf-8", "replace")
    mode, _, rest = listed.rstrip("\0").partition(" ")
    kind, _, rest = rest.partition(" ")
    if kind != "blob" or mode not in ("100644", "100755"):
        raise SourceUnavailable(f"{place.repository}: it has no file {place.path!r} at {place.ref!r}")
    return rest.partition("\t")[0]


def _environment(directory: Path, ca_file: str | None) -> Mapping[str, str]:
    proxies = {
        name: value for name, value in os.environ.items() if name.lower() in ("https_proxy", "no_proxy", "all_proxy")
    }
    return {
        **proxies,
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "GIT_DIR": str(directory),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **({"GIT_SSL_CAINFO": ca_file} if ca_file else {}),
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole group: git has helpers."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    return " ".join(said.read(64 * 1024).decode("utf-8", "replace").split())[-_SAID:]
