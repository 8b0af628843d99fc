"""Notices as mail. Must not know SMTP (`smtp_link`), nor what happens to a notice that failed."""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import Final

from re_workers.notify.email_address import parse_address
from re_workers.notify.email_message import compose
from re_workers.notify.handler import Notice, settle
from re_workers.notify.settings import EmailSettings
from re_workers.notify.smtp_link import Answer, SmtpLink, answer
from re_workers.notify.text import one_line


class EmailHandler:
    """Delivers notices over SMTP. Connects at the first delivery, not before.

    A server that cannot be reached, does not prove its identity or refuses the login is Unreachable: nothing is
    wrong with the notice. Its 5xx answers to sender, recipient or data are Undeliverable, 4xx Unreachable.
    """

    transport: Final = "email"

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._link = SmtpLink(settings)

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Return when the server has taken the mail for every target; see the port for what is raised."""
        recipients, refused = _sort(notice.target)
        missed: dict[str, str] = {}
        # A server without SMTPUTF8 still takes the mail of those who need none, so the others travel apart.
        for ascii_only in (True, False):
            group = {text: a for text, a in recipients.items() if text.isascii() is ascii_only}
            for target, said in self._send(notice, notification_id, group).items():
                (refused if said.lasting else missed)[target] = str(said)
        settle(refused, missed)

    def close(self) -> None:
        """Cut the connection; a delivery under way ends with Unreachable."""
        self._link.close()

    def _send(self, notice: Notice, notification_id: str, group: Mapping[str, Address]) -> Mapping[str, Answer]:
        if not group:
            return {}
        now = datetime.now(UTC)
        mail = compose(notice, notification_id, self._settings.sender, list(group.values()), now)
        try:
            return self._link.send(list(group), mail)
        except (OSError, UnicodeError) as error:
            where = f"{self._settings.host}:{self._settings.port}"
            return dict.fromkeys(group, Answer(0, f"{where} is out of reach: {_why(error)}"))


def _sort(targets: tuple[str, ...]) -> tuple[dict[str, Address], dict[str, str]]:
    """The targets that are addresses, each once, and those that are none with the reason."""
    recipients: dict[str, Address] = {}
    refused: dict[str, str] = {}
    for target in targets:
        try:
            recipients[target] = parse_address(target)
        except ValueError as error:
            refused[target] = str(error)
    return recipients, refused


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return str(answer(error.smtp_code, error.smtp_error))
    return one_line(str(error)) or type(error).__name__
