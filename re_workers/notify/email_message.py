"""Composes the mail that says a notice. Pure: time and identity arrive as arguments; must not know the server."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from html import escape

from re_workers.notify.email_address import Mailbox
from re_workers.notify.handler import Notice
from re_workers.notify.text import lines, one_line

#: hexadecimal digits of a notification id's digest in Message-ID; 128 bits never meet by chance
_DIGITS = 32

_HTML = """<!doctype html>
<html><head><meta charset="utf-8"><title>{slug}</title></head><body>
<h2>{slug}</h2>
<p style="white-space: pre-wrap">{message}</p>
<p><small>{phase}</small></p>
</body></html>
"""


def compose(
    notice: Notice, notification_id: str, sender: Mailbox, recipients: Sequence[Address], now: datetime
) -> bytes:
    """The message as it travels: lines end in CRLF, none is longer than 998 octets.

    The body is quoted-printable ASCII always. The headers are ASCII too unless a recipient's address is not:
    then they are UTF-8, and the server must take SMTPUTF8.
    """
    utf8 = not all(recipient.addr_spec.isascii() for recipient in recipients)
    mail = EmailMessage(policy=SMTPUTF8 if utf8 else SMTP)
    mail["From"] = Address(sender.name, addr_spec=sender.address)
    mail["To"] = tuple(recipients)
    mail["Subject"] = one_line(notice.slug)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = message_id(notification_id, sender)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answer to a machine
    message = "\n".join(lines(notice.message))
    mail.set_content(f"{message}\n\n-- \n{one_line(notice.phase)}\n", cte="quoted-printable")
    page = _HTML.format(
        slug=escape(one_line(notice.slug)), message=escape(message), phase=escape(one_line(notice.phase))
    )
    mail.add_alternative(page, subtype="html", cte="quoted-printable")
    return mail.as_bytes()


def message_id(notification_id: str, sender: Mailbox) -> str:
    """The Message-ID: the same at every repetition of a notification, whatever characters its id has."""
    digest = hashlib.sha256(notification_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"<{digest}@{sender.address.rpartition('@')[2]}>"
