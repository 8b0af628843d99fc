"""What this process has declared; declared again on every connection. Must not know consumers or publishers.

Procedures run one after another on one channel. What fails for now (a queue whose node is down) is tried again; what an
operator must act upon is kept as the reason for later callers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from pika.exceptions import ChannelClosedByBroker

from re_core.adapters.amqp import declaring
from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.rpc_channel import Done, Procedure, RpcChannel
from re_core.adapters.amqp.topology import QueueDeclaration, Topology
from re_core.errors import BusRefused

#: seconds before a declaration that failed is tried again
AGAIN = 1.0

Then = Callable[[], None]

_log = logging.getLogger(__name__)


class Declarations:
    """For the I/O thread, but for `made` and `refusal`."""

    def __init__(
        self,
        topology: Topology,
        names: Iterable[str],
        later: Callable[[float, Callable[[], None]], None],
        changed: Callable[[], None],
    ) -> None:
        """`names` of queues that exist without any consumer; `changed` is called when `made` or `refusal` change."""
        self._topology = topology
        self._names = dict.fromkeys(names)
        self._later, self._changed = later, changed
        self._conversation: RpcChannel | None = None
        self._version: tuple[int, ...] = ()
        self._made: set[str] = set()
        self._making: dict[str, list[Then]] = {}
        #: callbacks of those that wait for a queue that existed before
        self._restoring: list[Then] = []
        self._refused: dict[str, BusRefused] = {}
        self._reported: set[str] = set()
        #: queues of which was said already that they cannot be had just now
        self._away: set[str] = set()

    def made(self, name: str) -> bool:
        """Whether the queue is there, as far as this connection knows."""
        return name in self._made

    def refusal(self, names: Iterable[str]) -> BusRefused | None:
        """Why one of the queues, or the exchange, cannot be had."""
        return next((self._refused[name] for name in ("", *names) if name in self._refused), None)

    def opened(self, connection: Connection, then: Then) -> None:
        """Declare all of it; `then` when that was tried: what is away for now must not keep the rest waiting."""
        conversation = self._conversation = RpcChannel(connection)
        self._version = _version(connection)
        self._refused.clear()

        def exchanged(_: Any, error: Exception | None) -> None:
            if isinstance(error, BusRefused):
                self._refused[""] = error
                self._changed()
            elif error is not None:
                self._later(AGAIN, lambda: self._if_still(conversation, partial(self.opened, connection, then)))
            else:
                self.make(list(self._names), _nothing)
                conversation.run(_end(), lambda *_: self._tried(then))

        conversation.run(declaring.exchanges(self._topology), exchanged)

    def lost(self) -> None:
        """The connection is lost."""
        self._conversation = None
        self._made.clear()
        self._making.clear()

    def want(self, names: Iterable[str]) -> None:
        """From now on these are ours, and declared on every connection."""
        self._names.update(dict.fromkeys(names))

    def forget(self, name: str) -> None:
        """It is none of ours any more."""
        self._names.pop(name, None)
        self._made.discard(name)
        self._refused.pop(name, None)
        self._away.discard(name)

    def make(self, names: Sequence[str], then: Then) -> None:
        """Declare queues, from now on on every connection; `then` when they are there."""
        self.want(names)
        missing = set(names)
        if not missing:
            then()

        def made(name: str) -> None:
            missing.discard(name)
            if not missing:
                then()

        for name in list(missing):
            self._make(name, partial(made, name))

    def restore(self, name: str, then: Then) -> bool:
        """Declare a queue again that was there, now or on the next connection; False where it is none of ours."""
        if name not in self._names:
            return False
        self._restoring.append(then)

        def restored() -> None:
            if then in self._restoring:
                self._restoring.remove(then)
                then()

        self._make(name, restored)
        return True

    def script(self, queue: QueueDeclaration) -> Procedure:
        """Declares a queue of another kind."""
        return declaring.queue(self._topology, queue, self._reported)

    def ask(self, script: Procedure, done: Done) -> bool:
        """Run a script; False where there is no connection."""
        if self._conversation is None:
            return False
        self._conversation.run(script, done)
        return True

    def _make(self, name: str, then: Then) -> None:
        conversation = self._conversation
        if conversation is None:
            return
        if name in self._making:
            self._making[name].append(then)
            return
        self._making[name] = [then]
        script = self.script(self._topology.queue(name, self._version))
        conversation.run(script, lambda _, error: self._settle(conversation, name, error))

    def _tried(self, then: Then) -> None:
        restoring, self._restoring = self._restoring, []
        for one in (then, *restoring):
            one()

    def _settle(self, conversation: RpcChannel, name: str, error: Exception | None) -> None:
        waiting = self._making.pop(name, [])
        if isinstance(error, ChannelClosedByBroker):
            if name not in self._away:
                self._away.add(name)
                _log.warning(
                    "the queue %s cannot be declared at the moment: %s", name, error, extra={"action": "queue_away"}
                )
            for then in waiting:
                self._later(AGAIN, partial(self._if_still, conversation, partial(self._make, name, then)))
            return
        if isinstance(error, BusRefused):
            self._refused[name] = error
        else:
            self._refused.pop(name, None)
            self._away.discard(name)
            self._made.add(name)
            for then in waiting:
                then()
        self._changed()

    def _if_still(self, conversation: RpcChannel, work: Then) -> None:
        if conversation is self._conversation:
            work()


def _end() -> Procedure:
    """Asks nothing: those before it have come to an end."""
    yield from ()


def _nothing() -> None:
    """The result is not used."""


def _version(connection: Connection) -> tuple[int, ...]:
    version = str((connection.server_properties or {}).get("version", ""))
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
