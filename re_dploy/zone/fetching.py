"""Gets the cargo of an order onto the zone's disk. Must not know apps and what cargo holds.

`dploy:/<app>/<version>#sha256=…` asks the center, piece by piece; `file:///…#sha256=…` is a file below the zone's `cargo_root`;
`https://…#sha256=…` is a server of the zone's `cargo_hosts`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from re_core.errors import BusUnavailable, NoAnswer, ReleaseEngineError, StoreUnavailable, TransientError
from re_core.runtime.addresses import DEFAULT, rule
from re_core.runtime.http_exchange import ExchangeFailed, Question, Way, ask
from re_dploy.wire import BadWire, CargoAsk, cargo_size, digest_of

#: bytes of the largest cargo
MAX_CARGO = 1024 * 1024 * 1024

#: bytes read of a file at once
PIECE = 256 * 1024

#: seconds for which the center may be silent, or say that it cannot give cargo now; and between two questions then
SILENCE, AGAIN = 120.0, 0.5

#: seconds that a server of `https:` cargo may take
TIMEOUT = 900.0

#: codes of answers that say no more than: ask again
_LATER = frozenset(one.reason for one in (TransientError, NoAnswer, StoreUnavailable, BusUnavailable))


class FetchFailed(ReleaseEngineError):
    """The cargo is not to be had, or is another one."""


class Center(Protocol):
    """The socket to the center's `cargo.fetch`, of one fetch."""

    def piece(self, ask: CargoAsk) -> tuple[bytes, str] | None:
        """The body and the mimetype of the answer; None: no answer in time. Raises FetchFailed where the center refuses."""
        ...

    def close(self) -> None:
        """Give it up."""
        ...


class Fetcher:
    """Fetches one cargo at a time per call; to be shared between threads."""

    def __init__(
        self,
        incoming: Path,
        root: Path | None,
        center: Callable[[], Center] | None,
        free: Callable[[], int],
        hosts: Collection[str] = (),
    ) -> None:
        """`root`: directory of `file:` addresses; `center`: makes a socket; `free`: bytes that may still be written.

        `hosts`: of `https:` addresses, with their port where it is not 443.
        """
        self._hosts = frozenset(hosts)
        self._incoming = incoming
        self._root = root
        self._center = center
        self._free = free

    def path(self, digest: str) -> Path:
        """Where cargo is once it was fetched whole and found to be what was ordered."""
        return self._incoming / f"{digest}.cargo"

    def drop(self, digest: str) -> None:
        """Remove it."""
        for path in (self.path(digest), self._incoming / f"{digest}.part"):
            path.unlink(missing_ok=True)

    def fetch(self, uri: str, goes_on: Callable[[], bool]) -> None:
        """Get it, from the start. Raises FetchFailed, OSError; returns early once `goes_on` says no."""
        digest = digest_of(uri)
        part = self._incoming / f"{digest}.part"
        try:
            with part.open("wb") as file:
                found = _Part(file)
                if urlsplit(uri).scheme == "https":
                    self._from_server(uri, found.take, goes_on)
                else:
                    self._copy(uri, found.take, goes_on)
                file.flush()
                os.fsync(file.fileno())
            if not goes_on():
                return
            if found.digest != digest:
                raise FetchFailed(f"the cargo is another one: its sha256 is {found.digest}, ordered was {digest}")
            part.rename(self.path(digest))
        finally:
            part.unlink(missing_ok=True)

    def _copy(self, uri: str, take: Callable[[bytes], object], goes_on: Callable[[], bool]) -> None:
        with closing(self._pieces(uri, goes_on)) as pieces:
            for piece in pieces:
                if not goes_on():
                    return
                take(piece)

    def _from_server(self, uri: str, take: Callable[[bytes], object], goes_on: Callable[[], bool]) -> None:
        url = uri.partition("#")[0]
        if urlsplit(url).netloc not in self._hosts:
            raise FetchFailed(f"{urlsplit(url).hostname} is none of the `cargo_hosts` of this zone's configuration")
        question = Question("GET", url, {"accept": "application/gzip, */*"})
        way = Way(rule(DEFAULT, "cargo_hosts"), most=min(MAX_CARGO, self._free() // 2), sink=take)
        try:
            answer = ask(question, way, TIMEOUT, _Unwanted(goes_on))
        except ExchangeFailed as error:
            raise FetchFailed(f"the cargo cannot be fetched: {error}") from None
        if answer.code != 200:
            raise FetchFailed(f"{question.shown}: the server answers {answer.code}")

    def _pieces(self, uri: str, goes_on: Callable[[], bool]) -> Generator[bytes, None, None]:
        where = urlsplit(uri)
        if where.scheme == "dploy":
            return self._from_center(where.path, goes_on)
        if where.scheme == "file" and where.netloc in ("", "localhost"):
            return self._from_file(unquote(where.path))
        raise FetchFailed(
            f"{where.scheme}: is no address that a zone gets cargo from; there are dploy:, file: and https:"
        )

    def _from_center(self, path: str, goes_on: Callable[[], bool]) -> Generator[bytes, None, None]:
        _, app, version, *more = [*path.split("/"), "", ""]
        if self._center is None:
            raise FetchFailed("this zone has no `center` to get cargo from: its configuration does not name one")
        if any(more) or not (version.isascii() and version.isdigit()):
            raise FetchFailed(f"dploy:{path} names no version: expected dploy:/<app>/<version>")
        offset, size = 0, -1
        heard = time.monotonic()
        with closing(self._center()) as center:
            while offset != size and goes_on():
                answer = center.piece(CargoAsk(app, int(version), offset))
                if answer is None:
                    if time.monotonic() - heard > SILENCE:
                        raise FetchFailed(f"the center was silent for {SILENCE:g} s")
                    continue
                heard = time.monotonic()
                body, mimetype = answer
                size = self._sized(mimetype, size)
                if not body and offset < size:
                    raise FetchFailed(f"the center has {offset} of {size} bytes of the cargo")
                offset += len(body)
                yield body

    def _sized(self, mimetype: str, before: int) -> int:
        try:
            size = cargo_size(mimetype)
        except BadWire as error:
            raise FetchFailed(f"the center answered no cargo: {error}") from None
        if size > MAX_CARGO or before not in (-1, size):
            raise FetchFailed(f"the center says that the cargo has {size} bytes")
        if before == -1 and size * 2 > self._free():
            raise FetchFailed(f"the disk is full: the cargo has {size} bytes, and {self._free()} are free")
        return size

    def _from_file(self, path: str) -> Generator[bytes, None, None]:
        if self._root is None:
            raise FetchFailed("this zone takes no file: addresses: its configuration has no `cargo_root`")
        try:
            inside = Path(path).relative_to(self._root)
        except ValueError:
            raise FetchFailed(f"{path} is not below {self._root}") from None
        try:
            file = open_beneath(self._root, inside.parts)
        except OSError as error:
            raise FetchFailed(f"{path} cannot be read: {error.strerror}") from None
        with os.fdopen(file, "rb") as source:
            while piece := source.read(PIECE):
                yield piece


class _Part:
    """What was fetched so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def take(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._file.write(piece)
        if self._file.tell() > MAX_CARGO:
            raise FetchFailed(f"the cargo has more than {MAX_CARGO} bytes")


class _Unwanted(threading.Event):
    """Set once a fetch is wanted no more."""

    def __init__(self, goes_on: Callable[[], bool]) -> None:
        super().__init__()
        self._goes_on = goes_on

    def is_set(self) -> bool:
        return not self._goes_on()


def open_beneath(root: Path, inside: Sequence[str]) -> int:
    """A regular file below a directory, one component after the other, so that no link leads out. Raises OSError."""
    if not inside or not set(inside).isdisjoint(("", ".", "..")):
        raise FileNotFoundError(errno.ENOENT, "not a file below the directory", "/".join(inside))
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, part in enumerate(inside, 1):
        kind = os.O_DIRECTORY if number < len(inside) else os.O_NONBLOCK
        try:
            deeper = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=place)
        finally:
            os.close(place)
        place = deeper
    if not stat.S_ISREG(os.fstat(place).st_mode):
        os.close(place)
        raise OSError(errno.EINVAL, "expected a regular file", "/".join(inside))
    return place


def center_of(make: Callable[[], Any], timeout: float = 5.0) -> Callable[[], Center]:
    """Centers behind REQ sockets of dploylib that `make` makes: one is closed, and another made, after a silence."""
    return lambda: _Asking(make, timeout)


class _Asking:
    def __init__(self, make: Callable[[], Any], timeout: float) -> None:
        self._make = make
        self._timeout = timeout
        self._socket: Any = None

    def piece(self, ask: CargoAsk) -> tuple[bytes, str] | None:
        from dploylib.errors import MalformedEnvelope, ReceiveTimeout, SendTimeout
        from dploylib.problems import read
        from dploylib.transport import Envelope

        if self._socket is None:
            self._socket = self._make()
        try:
            self._socket.send_envelope(Envelope.new("application/json", ask.emit()))
            envelope = self._socket.receive_envelope(timeout=int(self._timeout * 1000))
        except (ReceiveTimeout, SendTimeout, MalformedEnvelope):
            self.close()  # a REQ waits for this answer for ever
            return None
        data = envelope.data if isinstance(envelope.data, bytes) else envelope.data.encode()
        if (problem := read(envelope.mimetype, data)) is not None:
            if problem.partition(":")[0] in _LATER:
                time.sleep(AGAIN)
                return None
            raise FetchFailed(f"the center does not serve the cargo: {problem}")
        return data, envelope.mimetype

    def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close(0)
