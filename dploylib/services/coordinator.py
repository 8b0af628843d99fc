"""Runs the servers of a service, each in a thread, and ends them. Must not know configuration files."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from dploylib.constants import COORDINATOR_SHUTDOWN
from dploylib.errors import DploylibError
from dploylib.transport import Context, Socket

_LOG = logging.getLogger(__name__)

#: seconds that a stop waits for servers whose handlers are still at work
STOP_SECONDS = 5.0
#: seconds between two words to servers that should end: the first, and the longest
_FIRST_REMINDER, _LAST_REMINDER = 0.02, 1.0


class ServerCoordinatorFailing(DploylibError):
    """A server ended though nothing stopped it."""


class AlreadyStarted(DploylibError):
    """The servers run; a second set would take the place of the first, and nothing could stop that any more."""


class ServerCoordinator:
    """The control socket and the servers. A subclass says how it waits and how it stops."""

    #: makes what runs a server: threading.Thread, or what is called like it
    spawner: Callable[..., Any] = threading.Thread

    def __init__(self, control_uri: str = "inproc://control", context: Any = None) -> None:
        self._control_uri = control_uri
        self._given_context = context
        self._context = context
        self._control_socket: Any = None
        self._servers: list[tuple[str, Any, Any]] = []
        self._spawned: list[tuple[str, Any]] = []

    @property
    def context(self) -> Any:
        """The context of all servers, made when it is first asked for."""
        if self._context is None:
            self._context = Context.new()
        return self._context

    def setup_servers(self, server_config: Any, settings: Any) -> None:
        """Take the servers, and each one's settings. Raises ServerNotInConfiguration; no server runs then."""
        self._servers = [(name, server, settings.server_settings(name)) for name, server in server_config]

    def start(self) -> None:
        """Start every server; returns at once. What a server's sockets raise comes out of `wait`."""
        self.start_control_socket()
        self._spawned = []
        for name, server, settings in self._servers:
            kwargs = {"context": self.server_context(name, server)}
            spawned = self.spawner(
                target=self.start_server, args=(server, name, settings, self._control_uri), kwargs=kwargs
            )
            # a handler that never returns must not keep the process from ending
            spawned.daemon = True
            self._spawned.append((name, spawned))
            spawned.start()

    def start_control_socket(self) -> None:
        """Bind the socket that ends the servers."""
        socket = self.context.socket("pub")
        try:
            socket.bind(self._control_uri)
        except BaseException:
            socket.close(0)
            raise
        self._control_socket = socket

    def server_context(self, name: str, server: Any) -> Any:
        """The context of one server: that of all, since inproc addresses reach no further."""
        return self.context

    def start_server(self, server: Any, name: str, settings: Any, control_uri: str, context: Any = None) -> None:
        """Make a server and run it: what is spawned."""
        server.new(name, settings, control_uri, context=context).start()

    def wait(self) -> None:
        """Return once `stop` was called. Raises ServerCoordinatorFailing if a server ends before."""
        raise NotImplementedError

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Stop the servers; whether all of them ended."""
        raise NotImplementedError


class ThreadedServerCoordinator(ServerCoordinator):
    """Each server in a thread of its own.

    `thread_poll_duration`: seconds between two looks whether all servers still run.
    """

    def __init__(self, *args: Any, thread_poll_duration: float = 0.5, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._poll_duration = thread_poll_duration
        self._changed = threading.Condition()
        self._ready: set[str] = set()
        self._failures: dict[str, BaseException] = {}
        self._stopping = False
        self._ending: threading.Thread | None = None

    def start(self) -> None:
        """See ServerCoordinator. May be called again after `stop`. Raises AlreadyStarted."""
        if self._control_socket is not None:
            raise AlreadyStarted("the servers run already: stop them before they start again")
        self._ready, self._failures, self._stopping, self._ending = set(), {}, False, None
        super().start()

    def start_server(self, server: Any, name: str, settings: Any, control_uri: str, context: Any = None) -> None:
        """See ServerCoordinator. What the server raises is logged, and kept for `wait`."""
        try:
            made = server.new(name, settings, control_uri, context=context)
            self._note(lambda: self._ready.add(name))
            made.start()
        except Exception as error:
            reason = error
            _LOG.exception("server %s failed", name)
            self._note(lambda: self._failures.setdefault(name, reason))

    def wait_ready(self, seconds: float = STOP_SECONDS) -> None:
        """Wait until all servers have their sockets. Raises ServerCoordinatorFailing if one failed, TimeoutError."""
        names = {name for name, _ in self._spawned}
        with self._changed:
            if not self._changed.wait_for(lambda: self._failures or names <= self._ready, seconds):
                raise TimeoutError(f"not ready after {seconds:g} s: {', '.join(sorted(names - self._ready))}")
        if self._failures:
            self._fail()

    def wait(self) -> None:
        """See ServerCoordinator."""
        spawned = list(self._spawned)
        while spawned:
            for _, thread in spawned:
                thread.join(self._poll_duration)
                if self._stopping:
                    return
                if not thread.is_alive():
                    self._fail()

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Stop the servers, whatever else runs in the process; whether all ended within these seconds.

        Servers whose handlers take longer go on, end when those return, and close their sockets then.
        """
        self._stopping = True
        with self._changed:
            if self._control_socket is not None:
                target = (self._control_socket, self._spawned, self._context)
                self._control_socket, self._spawned, self._context = None, [], self._given_context
                self._ending = threading.Thread(target=self._end, args=target, name="dploylib-stop", daemon=True)
                self._ending.start()
            ending = self._ending
        if ending is None:
            return True
        ending.join(seconds)
        if ending.is_alive():
            _LOG.warning("after %g s servers are still at work; they end when their handlers return", seconds)
        return not ending.is_alive()

    def _end(self, control: Socket, spawned: list[tuple[str, Any]], context: Any) -> None:
        """Tell the servers until they have ended: one that is just being made hears nothing yet."""
        pause = _FIRST_REMINDER
        while running := [thread for _, thread in spawned if thread.is_alive()]:
            control.send_text(COORDINATOR_SHUTDOWN)
            end = time.monotonic() + pause
            for thread in running:
                thread.join(max(0.0, end - time.monotonic()))
            pause = min(2 * pause, _LAST_REMINDER)
        control.close(0)
        if self._given_context is None:
            context.term()

    def _note(self, change: Callable[[], object]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def _fail(self) -> None:
        reasons = "; ".join(f"{name}: {error}" for name, error in sorted(self._failures.items()))
        message = "Some servers have stopped working" + (f" ({reasons})" if reasons else "")
        raise ServerCoordinatorFailing(message) from next(iter(self._failures.values()), None)
