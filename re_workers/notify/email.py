"""Notices as mail. Must not know SMTP (`smtp_link`), nor what happens to a notice that failed."""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import Final

from re_workers.notify.email_address import parse_address
from re_workers.notify.email_message import compose
from re_workers.notify.handler import Notice, settle
from re_workers.notify.settings import EmailSettings
from re_workers.notify.smtp_exchange import Answer, PendingAnswer, answer
from re_workers.notify.smtp_link import WAITING, SmtpLink, connect
from re_workers.notify.text import one_line

#: seconds before a mail that may have arrived is sent again; with fifteen minutes of tries (consumer.PATIENCE) that is once
DOUBT = 600.0

#: what distinguishes one mail from another: the notification's id, its text, its recipients
_Key = tuple[str, str, str, tuple[str, ...]]


class EmailHandler:
    """Delivers notices over SMTP. Connects at the first delivery, not before.

    A server that cannot be reached, does not prove its identity or refuses the login is Unreachable: nothing is
    wrong with the notice. Its 5xx answers to sender, recipient or data are Undeliverable, 4xx Unreachable.
    """

    transport: Final = "email"

    def __init__(self, settings: EmailSettings, link: SmtpLink | None = None) -> None:
        self._settings = settings
        self._link = link or SmtpLink(settings)
        #: mails that the server has and had not answered when they were last asked about
        self._waiting: dict[_Key, PendingAnswer] = {}

    def deliver(self, notice: Notice, notification_id: str) -> None:
        """Return when the server has taken the mail for every target; see the port for what is raised."""
        recipients, refused = _sort(notice.target)
        missed: dict[str, str] = {}
        pending = doubtful = False
        # A server without SMTPUTF8 still takes the mail of recipients that need none, so the others travel apart.
        for ascii_only in (True, False):
            group = {text: a for text, a in recipients.items() if text.isascii() is ascii_only}
            for target, said in self._send(notice, notification_id, group).items():
                (refused if said.lasting else missed)[target] = str(said)
                pending, doubtful = pending or said.pending, doubtful or said.doubtful
        settle(refused, missed, DOUBT if doubtful else 0.0, pending)

    def close(self) -> None:
        """Cut the connections; a delivery under way ends with Unreachable."""
        self._link.close()

    def _send(self, notice: Notice, notification_id: str, group: Mapping[str, Address]) -> Mapping[str, Answer]:
        if not group:
            return {}
        key = (notification_id, notice.slug, notice.message, tuple(group))
        pending = self._waiting.get(key) or self._hand_over(notice, notification_id, group)
        if not isinstance(pending, PendingAnswer):
            return pending
        pending.wait(0)
        answers = pending.answers
        if any(said.pending for said in answers.values()):
            self._remember(key, pending)
        else:
            self._waiting.pop(key, None)
        return answers

    def _hand_over(
        self, notice: Notice, notification_id: str, group: Mapping[str, Address]
    ) -> PendingAnswer | Mapping[str, Answer]:
        now = datetime.now(UTC)
        mail = compose(notice, notification_id, self._settings.sender, list(group.values()), now)
        try:
            return self._link.send(list(group), mail)
        except (OSError, UnicodeError) as error:
            return dict.fromkeys(group, Answer(0, _away(self._settings, error)))

    def _remember(self, key: _Key, pending: PendingAnswer) -> None:
        """Until it is asked for; an answer that is not asked for (its step was cancelled) makes room."""
        self._waiting[key] = pending
        if len(self._waiting) > 2 * WAITING:
            finished = next((one for one, other in self._waiting.items() if other.done), None)
            if finished is not None:
                del self._waiting[finished]


def trouble(settings: EmailSettings) -> str:
    """Why the server takes no mail of ours just now, up to the login; empty where it does."""
    try:
        smtp = connect(settings)
    except (OSError, UnicodeError) as error:
        return _away(settings, error)
    with suppress(OSError):
        smtp.quit()
    return ""


def _away(settings: EmailSettings, error: Exception) -> str:
    return f"{settings.host}:{settings.port} cannot be reached: {_why(error)}"


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
