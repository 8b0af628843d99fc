"""One SMTP connection, kept over messages, opened again when the server has dropped it.

Must not know notices; gives the server's answers as they are, and lets every other failure through as OSError
(smtplib's errors are that too) or UnicodeError (a host name that cannot be one).
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from re_workers.notify.settings import EmailSettings
from re_workers.notify.text import one_line


class Answer(NamedTuple):
    """What the server said: a code of RFC 5321 §4.2, or 0 for no answer at all, and a line of text."""

    code: int
    text: str

    @property
    def lasting(self) -> bool:
        """Whether the same mail would get the same answer again."""
        # 530, authentication required, is permanent by its digit; but it is our login that is wrong, not the mail.
        return self.code >= 500 and self.code != 530

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


class SmtpLink:
    """Sends mail over one connection; `clock` gives monotonic seconds."""

    def __init__(self, settings: EmailSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._smtp: smtplib.SMTP | None = None
        self._used = 0.0
        self._closed = False
        self._busy = threading.Lock()

    def send(self, recipients: Sequence[str], mail: bytes) -> Mapping[str, Answer]:
        """Hand over one mail; the answers for those whom it will not reach, none when the server took it for all.

        Raises OSError or UnicodeError when the connection fails; the mail may have been taken nevertheless.
        """
        with self._busy:
            return self._send(recipients, mail)

    def close(self) -> None:
        """Cut the connection, also under a `send` in another thread; nothing is sent any more."""
        self._closed = True
        smtp = self._smtp
        if smtp and smtp.sock:
            with contextlib.suppress(OSError):
                # Of the plain socket: an SSLSocket's own shutdown() would forget its TLS under the thread that uses it.
                socket.socket.shutdown(smtp.sock, socket.SHUT_RDWR)
        if self._busy.acquire(timeout=self._settings.timeout):
            self._drop()
            self._busy.release()

    def _send(self, recipients: Sequence[str], mail: bytes) -> Mapping[str, Answer]:
        smtp = self._ready()
        options: tuple[str, ...] = ()
        if not all(map(str.isascii, recipients)):
            if not smtp.has_extn("smtputf8"):
                return dict.fromkeys(recipients, Answer(553, "the server takes ASCII addresses only"))
            options = ("SMTPUTF8", "BODY=8BITMIME")
        try:
            refused = smtp.sendmail(self._settings.sender.address, recipients, mail, options)
        except smtplib.SMTPRecipientsRefused as error:
            # Raised when all were refused, but also when the server ended the session half-way (421): then
            # those whom it had taken until then, and those it was never asked about, get nothing either.
            ended = dict.fromkeys(recipients, Answer(421, "the server ended the session"))
            return ended | _answers(error.recipients)
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            return dict.fromkeys(recipients, answer(error.smtp_code, error.smtp_error))
        self._used = self._clock()
        return _answers(refused)

    def _ready(self) -> smtplib.SMTP:
        if self._closed:
            raise ConnectionAbortedError("the mail handler is closed")
        if self._smtp and (self._clock() - self._used > self._settings.idle or not _lives(self._smtp)):
            self._drop()
        if self._smtp is None:
            self._smtp = self._open()
        return self._smtp

    def _drop(self) -> None:
        if self._smtp:
            self._smtp.close()
            self._smtp = None

    def _open(self) -> smtplib.SMTP:
        to = self._settings
        context = ssl.create_default_context(cafile=to.ca_file or None)
        smtp: smtplib.SMTP
        if to.security == "tls":
            smtp = smtplib.SMTP_SSL(to.host, to.port, timeout=to.timeout, context=context)
        else:
            smtp = smtplib.SMTP(to.host, to.port, timeout=to.timeout)
        try:
            if to.security == "starttls":
                smtp.starttls(context=context)  # raises when the server offers none: never in the clear
            if to.user:
                smtp.login(to.user, to.password)
            smtp.ehlo_or_helo_if_needed()
        except BaseException:
            smtp.close()
            raise
        self._used = self._clock()
        return smtp


def answer(code: int, text: bytes | str) -> Answer:
    """An answer as smtplib hands it out, its text made safe to show."""
    return Answer(code, one_line(text.decode("utf-8", "replace") if isinstance(text, bytes) else text))


def _answers(refused: Mapping[str, tuple[int, bytes]]) -> dict[str, Answer]:
    return {recipient: answer(*said) for recipient, said in refused.items()}


def _lives(smtp: smtplib.SMTP) -> bool:
    """Whether the server still listens: asked before each further mail, since only then is a repetition safe."""
    try:
        return smtp.noop()[0] == 250
    except OSError:
        return False
