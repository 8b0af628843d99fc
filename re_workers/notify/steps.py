"""Notifiers as steps of a playbook (`email:Send`), and the lock that lets a step and a queue share one transport.

Must not know any transport.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from re_core.backoff import Backoff
from re_core.wire.messages import notification_from
from re_core.wire.notice_facts import Facts
from re_workers.context import Context, Phase
from re_workers.notify.handler import Handler, Notice, Told, Undeliverable, Unreachable
from re_workers.outcomes import Failed
from re_workers.sdk import ANY, Worker, step

#: seconds for which a step tries to reach a transport that is away
PATIENCE = 60.0

#: seconds between two tries, at first and at most
BACKOFF, MAX_BACKOFF = 1.0, 15.0


class Shared:
    """A handler for several threads: one delivers at a time."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._lock = threading.Lock()

    @property
    def transport(self) -> str:
        """The inner handler's."""
        return self._handler.transport

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """As the inner handler's, when it is free."""
        with self._lock:
            self._handler.deliver(notice, notification_id)

    def close(self) -> None:
        """As the inner handler's."""
        self._handler.close()


class Announce(Worker):
    """Sends a notification, as a step."""

    def __init__(self, handler: Handler) -> None:
        """`handler` must allow several threads."""
        self._handler = handler

    @step(name=ANY)
    def send(self, ctx: Context, slug: str, message: str, phase: Phase, target: list[str]) -> None:
        """Sends a notification to every target; fails where one of them could not be reached."""
        said = notification_from({"slug": slug, "message": message, "phase": phase, "target": target})
        notification = Told(*said, Facts(deployment=ctx.deployment, group=ctx.group))
        until = time.monotonic() + PATIENCE
        backoff, waits = Backoff(BACKOFF, MAX_BACKOFF), False
        while True:
            try:
                self._handler.deliver(notification, ctx.attempt_id)
            except Undeliverable as error:
                raise Failed(str(error)) from None
            except Unreachable as error:
                # what may have arrived, an operator has to repeat
                if error.pause or (time.monotonic() >= until and not error.pending):
                    raise Failed(str(error)) from None
                if not (error.pending and waits):
                    ctx.output(f"{error}; {'waiting' if error.pending else 'trying again'}")
                waits = error.pending
                notification = notification._replace(target=error.targets or notification.target)
                ctx.wait(backoff.next())
            else:
                return


class Email(Announce):
    """Mail, as a step."""


class Irc(Announce):
    """A message on IRC, as a step."""


class Console(Announce):
    """A message on the engine's own terminal, as a step."""


class Webhook(Announce):
    """A signed HTTP request, as a step."""


class Apprise(Announce):
    """A message over a service that Apprise knows, as a step."""


#: transport, and command -> notifier as a step
NOTIFIERS: Mapping[str, type[Announce]] = {kind.command: kind for kind in (Email, Irc, Console, Webhook, Apprise)}


def announcer(handler: Handler) -> Announce:
    """The worker whose command is the handler's transport; `handler` must allow several threads."""
    kind = NOTIFIERS.get(handler.transport)
    if kind is None:  # of an installed package
        kind = type(handler.transport.capitalize(), (Announce,), {"command": handler.transport})
    return kind(handler)
