"""One SMTP connection, kept over messages, opened again when the server has dropped it.

Must not know notices; gives the server's answers as they are, and lets every other failure through as OSError
(smtplib's errors are that too) or UnicodeError (a host name that cannot be one).
"""

from __future__ import annotations

import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from re_workers.notify.settings import EmailSettings
from re_workers.notify.smtp_exchange import ANSWER, Answer, PendingAnswer, cut, offer

#: seconds for which the mails after it wait for the answer to one; most servers take less
PROMPT = 1.0

#: connections that may wait for an answer at once, besides the one that sends
WAITING = 8


class SmtpLink:
    """Sends mail over one connection; `clock` gives monotonic seconds."""

    def __init__(
        self,
        settings: EmailSettings,
        clock: Callable[[], float] = time.monotonic,
        prompt: float = PROMPT,
        patience: float = ANSWER,
    ) -> None:
        """`prompt` and `patience` in seconds, see PROMPT and ANSWER."""
        self._settings = settings
        self._clock = clock
        self._prompt, self._patience = prompt, patience
        self._smtp: smtplib.SMTP | None = None
        #: answers that are awaited on connections of their own
        self._pending_answers: list[PendingAnswer] = []
        self._used = 0.0
        self._closed = False
        self._busy = threading.Lock()

    def send(self, recipients: Sequence[str], mail: bytes) -> PendingAnswer | Mapping[str, Answer]:
        """Send one mail: the answers for recipients that it will not reach, none when the server took it for all.

        A PendingAnswer where the server has the mail and takes its time. Raises OSError or UnicodeError when the connection
        fails before the server has it.
        """
        with self._busy:
            return self._send(recipients, mail)

    def close(self) -> None:
        """Cut the connections, also under a `send` in another thread; nothing is sent any more."""
        self._closed = True
        smtp = self._smtp
        if smtp:
            cut(smtp)
        for pending in tuple(self._pending_answers):
            pending.cut()
            pending.join(self._settings.timeout)
        if self._busy.acquire(timeout=self._settings.timeout):
            self._drop()
            self._busy.release()

    def _send(self, recipients: Sequence[str], mail: bytes) -> PendingAnswer | Mapping[str, Answer]:
        self._pending_answers = [one for one in self._pending_answers if not one.done]
        if len(self._pending_answers) >= WAITING:
            raise TimeoutError(f"the server has not answered {WAITING} mails")
        smtp = self._ready()
        options: list[str] = []
        if not all(map(str.isascii, recipients)):
            if not smtp.has_extn("smtputf8"):
                return dict.fromkeys(recipients, Answer(553, "the server accepts only ASCII addresses"))
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        offered, refused = offer(smtp, self._settings.sender.address, recipients, mail, options)
        if not offered:
            return refused
        pending = PendingAnswer(smtp, recipients, refused, self._patience)
        self._pending_answers.append(pending)
        if self._closed:
            pending.cut()
        if pending.wait(self._prompt):
            self._used = self._clock()
            return pending.answers
        # it answers when it will; the next mail gets a connection of its own
        self._smtp = None
        pending.leave()
        return pending

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
        smtp = connect(self._settings)
        self._used = self._clock()
        return smtp


def connect(to: EmailSettings) -> smtplib.SMTP:
    """A connection that is ready for a mail: secured and logged in as the settings say. Raises OSError, UnicodeError."""
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
    return smtp


def _lives(smtp: smtplib.SMTP) -> bool:
    """Whether the server still listens: asked before each further mail, since only then is a repetition safe."""
    try:
        return smtp.noop()[0] == 250
    except OSError:
        return False
