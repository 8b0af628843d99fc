"""Servers that all tests of one run share: started when the first test asks, stopped at the end of the run.

Under xdist the controller keeps them and the workers ask it; they are its children, so they die with it. Must not know
pytest, nor any server but by the function that starts it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing.connection import Client, Listener
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Protocol, Self

from tests.services.unavailable import Unavailable

#: Starts the server of that name; what it gives tells a test, in any process, where the server is.
Start = Callable[[str], AbstractContextManager[object]]


class Source(Protocol):
    """Where a process of the run gets the shared servers from."""

    def get(self, name: str) -> object:
        """What tells a test where the server of that name is. Raises Unavailable."""
        ...


class Shared:
    """The servers themselves, in the one process that keeps them; gone when the block ends."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._running = ExitStack()
        self._found: dict[str, object] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._found.clear()
        self._running.__exit__(kind, error, at)

    def get(self, name: str) -> object:
        """The server of that name, started if it is not running. Raises Unavailable, the same one every time."""
        if name not in self._found:
            try:
                self._found[name] = self._running.enter_context(self._start(name))
            except Unavailable as reason:
                self._found[name] = reason
        found = self._found[name]
        if isinstance(found, Unavailable):
            raise found
        return found


class Keeper:
    """A thread that keeps the shared servers and answers the run's other processes at `address`, one after another.

    One thread starts them all and outlives them: a server gets its last signal when the thread that started it ends.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._folder = Path(tempfile.mkdtemp(prefix="re-keeper-"))
        self.address = str(self._folder / "socket")
        self._listener = Listener(self.address, "AF_UNIX", backlog=16)
        self._thread = Thread(target=self._serve, name="keeper of the servers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop every server, and the thread."""
        with Client(self.address, "AF_UNIX") as connection:
            connection.send(None)
        self._thread.join()
        self._listener.close()
        shutil.rmtree(self._folder)

    def _serve(self) -> None:
        with Shared(self._start) as shared:
            while self._serve_one(shared):
                pass

    def _serve_one(self, shared: Shared) -> bool:
        """Answer the next process that asks; False when it is the end that is asked for."""
        with self._listener.accept() as connection:
            try:
                name = connection.recv()
                if name is None:
                    return False
                connection.send(_answer(shared, name))
            except (EOFError, ConnectionError):
                # The process that asked is gone: nobody misses the answer.
                return True
        return True


def _answer(shared: Shared, name: str) -> object:
    try:
        return shared.get(name)
    except Exception as error:
        # It is raised where it was asked for; the others still want an answer.
        return error


class Asked:
    """The shared servers, as another process of the run gets them from the Keeper at `address`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get(self, name: str) -> object:
        """What the keeper has found or started. Raises Unavailable."""
        with Client(self._address, "AF_UNIX") as connection:
            connection.send(name)
            found = connection.recv()
        if isinstance(found, Exception):
            raise found
        return found


@contextmanager
def workplace(name: str) -> Iterator[Path]:
    """A directory for a server's files that any user may write to and none but our own can reach; removed at the end.

    It is none of pytest's, which keeps its directories for days.
    """
    with tempfile.TemporaryDirectory(prefix=f"re-{name}-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        data.chmod(0o777)
        yield data
