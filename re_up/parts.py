"""Which workers and notifiers the one process has. Must not know when they start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from re_core.settings import Settings
from re_workers.notify.console import ConsoleHandler
from re_workers.notify.email import EmailHandler
from re_workers.notify.handler import Handler, Notice, Undeliverable
from re_workers.notify.irc import IrcHandler
from re_workers.notify.settings import EmailSettings, IrcSettings
from re_workers.notify.steps import Shared
from re_workers.registry import built_in, installed, load_directory, together
from re_workers.sdk import Worker


class Unconfigured:
    """In place of a transport whose server nobody named: what is sent over it becomes a dead letter that says so."""

    def __init__(self, transport: str) -> None:
        self.transport = transport

    def deliver(self, notice: Notice, notification_id: str) -> NoReturn:
        """Raises Undeliverable, always."""
        raise Undeliverable(
            f"{self.transport} is not configured: the settings file has no section {self.transport!r}", notice.target
        )

    def close(self) -> None:
        """Nothing is open."""


def handlers(settings: Settings) -> list[Handler]:
    """One handler per transport, safe to share between threads. Raises BadSettings."""
    email: Handler = Unconfigured("email")
    irc: Handler = Unconfigured("irc")
    if settings.email:
        email = EmailHandler(EmailSettings.from_mapping(settings.email))
    if settings.irc:
        irc = IrcHandler(IrcSettings.from_mapping(settings.irc))
    return [Shared(email), Shared(irc), Shared(ConsoleHandler())]


def workers(settings: Settings, identity: str, transports: Sequence[Handler]) -> list[Worker]:
    """The built-in workers, those of installed packages, and those of the user's directory. Raises BadSettings."""
    found = [*built_in(identity, transports), *installed()]
    if settings.workers_dir.is_dir():
        found.extend(load_directory(settings.workers_dir))
    return together(found)
