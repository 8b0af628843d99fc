"""Gets the archive of an app onto the builder's disk. Must not know what it holds.

`artifact:<group>/<name>` is in the artifact store, for the apps of that group; `file:///…` is below a directory of the settings;
`https:` and `http:` are servers, where the settings have them and the address is not denied.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from re_core import ports
from re_core.cdpm.sources import Allowed, local_path
from re_core.errors import DamagedArtifact, NotFound
from re_core.ports import PIECE
from re_core.runtime.addresses import AddressRule
from re_core.runtime.http_exchange import ExchangeFailed, Question, Way, ask
from re_core.usecases.apps.stored import ARTIFACT, CREDENTIALS
from re_core.usecases.artifact_reading import archive, content_of, missing
from re_dploy.build.failures import BuildFailed, BuildStopped
from re_dploy.zone.fetching import open_beneath

#: bytes of an archive
MOST = 64 * 1024 * 1024

#: seconds that a server may take
TIMEOUT = 120.0

#: characters of an address
_URI = 2048


class Fetcher:
    """To be shared between threads."""

    def __init__(self, store: ports.Artifacts, allowed: Allowed, rule: AddressRule) -> None:
        """`allowed`: what the settings have beside artifacts; `rule`: which addresses no archive comes from."""
        self._store = store
        self._allowed = allowed
        self._rule = rule

    def fetch(self, uri: str, group: str, into: Path, stop: threading.Event) -> None:
        """Write the archive of an app of that group to a file.

        Raises BuildFailed where there is none, BuildStopped, StoreUnavailable, and OSError where the disk is full.
        """
        with into.open("xb") as file:
            self._fetch(uri, group, file, stop)

    def _fetch(self, uri: str, group: str, file: BinaryIO, stop: threading.Event) -> None:
        if uri.startswith(ARTIFACT):
            _copy(self._artifact(uri.removeprefix(ARTIFACT), group), file, stop)
            return
        if len(uri) > _URI or not uri.isascii() or not uri.isprintable():
            raise BuildFailed(f"the archive's address: expected at most {_URI} printable ASCII characters")
        try:
            kind = urlsplit(uri).scheme.lower()
            path = local_path(uri) if kind == "file" else ""
        except ValueError as error:
            raise BuildFailed(f"the archive's address {_shown(uri)}: {error}") from None
        if kind == "file":
            _copy(self._local(path), file, stop)
        elif kind in ("https", "http") and kind in self._allowed.kinds:
            self._remote(uri, file, stop)
        else:
            raise BuildFailed(
                f"the archive's address {_shown(uri)}: {kind[:20] or 'nothing'}: is not allowed; push the archive with rectl apps push, "
                "or have RE_DPLOY_SOURCES name it"
            )

    def _artifact(self, label: str, group: str) -> Iterator[bytes]:
        of, _, name = label.rpartition("/")
        if of != group:
            raise BuildFailed(f"the archive is an artifact of the group {of[:100]!r}; the app's group is {group!r}")
        try:
            artifact = self._store.artifact(group, name)
            if artifact is None:
                raise missing(group, name)
            yield from archive(self._store, artifact, content_of(self._store, artifact))
        except (NotFound, DamagedArtifact) as error:
            raise BuildFailed(f"the archive cannot be had: {error}") from None

    def _local(self, path: str) -> Iterator[bytes]:
        below = [directory for kind, directory in self._allowed.below if kind == "file"]
        directory = next((one.rstrip("/") for one in below if path.startswith(one.rstrip("/") + "/")), None)
        if directory is None or path.endswith("/"):
            raise BuildFailed(f"{path[:200]}: RE_DPLOY_SOURCES names no directory that this file is below")
        try:
            handle = open_beneath(Path(directory), path[len(directory) + 1 :].split("/"))
        except OSError as error:
            raise BuildFailed(
                f"{path[:200]}: cannot be read: {error.strerror} (links below {directory} are not followed)"
            ) from None
        try:
            while piece := os.read(handle, PIECE):
                yield piece
        finally:
            os.close(handle)

    def _remote(self, url: str, file: BinaryIO, stop: threading.Event) -> None:
        question = Question("GET", url, {"accept": "application/gzip, */*"})
        try:
            answer = ask(question, Way(self._rule, most=MOST, sink=file.write), TIMEOUT, stop)
        except ExchangeFailed as error:
            _check(stop)
            raise BuildFailed(f"the archive cannot be fetched: {error}") from None
        if answer.location:
            raise BuildFailed(f"{question.shown}: it leads to {answer.location[:200]}; name that address itself")
        if answer.code != 200:
            raise BuildFailed(f"{question.shown}: the server answers {answer.code}")


def _shown(uri: str) -> str:
    """The begin of an address for people: without a password, and without what follows the path."""
    return CREDENTIALS.sub(r"\1", uri, count=1).partition("?")[0][:200]


def _copy(pieces: Iterable[bytes], file: BinaryIO, stop: threading.Event) -> None:
    total, until = 0, time.monotonic() + TIMEOUT
    for piece in pieces:
        _check(stop)
        total += len(piece)
        if total > MOST:
            raise BuildFailed(f"the archive has more than {MOST} bytes; leave files out")
        if time.monotonic() > until:
            raise BuildFailed(f"the archive cannot be read within {TIMEOUT:g} s")
        file.write(piece)


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise BuildStopped("the build was to stop")
