"""cdpm.yml in a directory of this machine that a setting names. Must not know what is in it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence

from re_core.cdpm.cdpm_file import MAX_FILE
from re_core.cdpm.sources import local_path
from re_core.ports.peering import Fetched, PeerRefused, SourceUnavailable


class LocalSource:
    """Reads regular files below some directories; below them no link is followed."""

    def __init__(self, directories: Sequence[str]) -> None:
        self._directories = [one.rstrip("/") for one in directories]

    def fetch(self, url: str, etag: str = "") -> Fetched | None:
        """See ports.peering.Sources."""
        try:
            path = local_path(url)
        except ValueError as error:
            raise PeerRefused("source-unavailable", f"{url[:200]}: {error}") from None
        data = self._read(path)
        digest = hashlib.sha256(data).hexdigest()
        return None if digest == etag else Fetched(data, digest)

    def _read(self, path: str) -> bytes:
        directory = below(path, self._directories)
        try:
            handle = _open(directory, path[len(directory) + 1 :].split("/"))
        except OSError as error:
            raise SourceUnavailable(
                f"{path}: cannot be read: {error.strerror} (links below {directory} are not followed)"
            ) from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise PeerRefused("source-unavailable", f"{path}: expected a regular file")
            data = b""
            while len(data) <= MAX_FILE and (piece := os.read(handle, MAX_FILE + 1 - len(data))):
                data += piece
        finally:
            os.close(handle)
        if len(data) > MAX_FILE:
            raise PeerRefused("source-unavailable", f"{path}: more than {MAX_FILE} bytes")
        return data


def below(path: str, directories: Sequence[str]) -> str:
    """The directory that the path is below. Raises PeerRefused."""
    for directory in directories:
        if path.startswith(directory + "/") and not path.endswith("/"):
            return directory
    raise PeerRefused("source-unavailable", f"{path[:200]}: RE_CDPM_SOURCES names no directory that this is below")


def _open(directory: str, parts: list[str]) -> int:
    """One component after the other, so that no link of any moment leads out. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, part in enumerate(parts, 1):
        kind = os.O_DIRECTORY if number < len(parts) else os.O_NONBLOCK
        try:
            inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=handle)
        finally:
            os.close(handle)
        handle = inner
    return handle
