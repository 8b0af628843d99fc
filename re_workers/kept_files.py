"""Files that a process keeps for a while, by what is in them: without a name on the disk, so that none outlives the process."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import BinaryIO, cast

#: bytes and files that are kept beyond those in use
MOST_KEPT, MOST_FILES = 1024**3, 100


class _Reader(io.RawIOBase):
    """One reader of a file of several."""

    def __init__(self, file: int, size: int) -> None:
        super().__init__()
        self._file, self._size, self._at = file, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # bytes are all that comes
        piece = os.pread(self._file, len(buffer), self._at)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


class KeptFiles:
    """Thread-safe. Of several that want the same file one makes it, and the others wait for it."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        """`most`: bytes."""
        self._most = most
        self._lock = threading.Lock()
        #: key -> descriptor and size, the oldest use first
        self._files: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}

    def open(self, key: str, make: Callable[[BinaryIO], None]) -> BinaryIO:
        """A stream of its own of the file that `make` writes where there is none yet; to be closed. Raises what `make` raises, OSError."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found = self._reader(key)
            if found is None:
                self._made(key, make)
                found = self._reader(key)
        with self._lock:
            if not making.locked():
                self._making.pop(key, None)
        assert found is not None  # noqa: S101  # the newest file is never dropped
        return found

    def close(self) -> None:
        """Keep none; what is in use stays readable."""
        with self._lock:
            files, self._files = self._files, OrderedDict()
        for descriptor, _ in files.values():
            os.close(descriptor)

    def _reader(self, key: str) -> BinaryIO | None:
        with self._lock:
            if key not in self._files:
                return None
            self._files.move_to_end(key)
            descriptor, size = self._files[key]
            return cast(BinaryIO, io.BufferedReader(_Reader(os.dup(descriptor), size)))

    def _made(self, key: str, make: Callable[[BinaryIO], None]) -> None:
        with tempfile.TemporaryFile() as file:
            make(cast(BinaryIO, file))
            file.flush()
            size = file.tell()
            descriptor = os.dup(file.fileno())
        with self._lock:
            self._files[key] = descriptor, size
            while len(self._files) > 1 and self._is_over():
                _, (oldest, _) = self._files.popitem(last=False)
                os.close(oldest)

    def _is_over(self) -> bool:
        return len(self._files) > MOST_FILES or sum(size for _, size in self._files.values()) > self._most
