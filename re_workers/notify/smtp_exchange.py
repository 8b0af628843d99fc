"""One mail over an open SMTP connection, and the answer to it, which may take its time. Must not know notices.

A server that has the end of the text has the mail, or will have it, until it says otherwise (RFC 5321, 4.5.3.2.6: a sender
that hangs up too early and sends again is how people get a mail twice). So that answer is awaited on a thread of its own.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from re_workers.notify.text import one_line

#: seconds that the answer after the text is awaited (RFC 5321, 4.5.3.2.6)
ANSWER = 600.0

#: a line that begins with the dot that would end the text (RFC 5321, 4.5.2)
_DOT = re.compile(rb"^\.", re.MULTILINE)


class Answer(NamedTuple):
    """What the server said: a code of RFC 5321 §4.2, or 0 for no answer at all, and a line of text."""

    code: int
    text: str
    #: the server had all of the mail and did not say what became of it
    doubtful: bool = False
    #: so far; it may still say it
    pending: bool = False

    @property
    def lasting(self) -> bool:
        """Whether the same mail would get the same answer again."""
        # 530, authentication required, is permanent by its digit; but it is our login that is wrong, not the mail.
        return self.code >= 500 and self.code != 530

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


def answer(code: int, text: bytes | str) -> Answer:
    """An answer of smtplib, its text made safe to show."""
    return Answer(code, one_line(text.decode("utf-8", "replace") if isinstance(text, bytes) else text))


def offer(
    smtp: smtplib.SMTP, sender: str, recipients: Sequence[str], mail: bytes, options: Sequence[str]
) -> tuple[bool, dict[str, Answer]]:
    """Send all up to the end of the text: whether an answer to that is to come, and which recipients the server has refused.

    Raises OSError when the connection fails; the server does not have the mail then.
    """
    if smtp.has_extn("size"):
        options = [*options, f"size={len(mail)}"]
    said = answer(*smtp.mail(sender, options))
    if said.code != 250:
        return False, _all(smtp, recipients, said)
    refused: dict[str, Answer] = {}
    for recipient in recipients:
        said = answer(*smtp.rcpt(recipient))
        if said.code == 421:
            # recipients that it had accepted until then, and those it was never asked about, get nothing either
            ended = _all(smtp, recipients, Answer(421, "the server ended the session"))
            return False, ended | refused | {recipient: said}
        if said.code not in (250, 251):
            refused[recipient] = said
    if len(refused) == len(recipients):
        _reset(smtp)
        return False, refused
    said = answer(*smtp.docmd("DATA"))
    if said.code != 354:
        return False, _all(smtp, recipients, said) | refused
    end = b"" if mail.endswith(b"\r\n") else b"\r\n"
    smtp.send(_DOT.sub(b"..", mail) + end + b".\r\n")
    return True, refused


class PendingAnswer:
    """The answer to one mail: awaited on a thread that ends with it, or with the connection."""

    def __init__(
        self, smtp: smtplib.SMTP, recipients: Sequence[str], refused: Mapping[str, Answer], patience: float
    ) -> None:
        """`recipients` all of them, `refused` those that get nothing in any case; `patience` in seconds, see ANSWER."""
        self.smtp = smtp
        self._awaited = [one for one in recipients if one not in refused]
        self._answers = dict(refused)
        self._patience = patience
        self._since = time.monotonic()
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._left = False
        self._thread = threading.Thread(target=self._run, name="mail answer", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it came, or will not come."""
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for it; whether it is there."""
        if time.monotonic() - self._since > 2 * self._patience:
            self.cut()  # one that says a letter now and then is no answer
        return self._done.wait(seconds)

    @property
    def answers(self) -> Mapping[str, Answer]:
        """Of recipients that the mail will not reach, or may not have reached."""
        if self.done:
            return self._answers
        waiting = Answer(0, "the server has received the mail and has not answered yet", pending=True)
        return self._answers | dict.fromkeys(self._awaited, waiting)

    def cut(self) -> None:
        """Cut the connection; the answer is not awaited any more."""
        cut(self.smtp)

    def leave(self) -> None:
        """Nothing more is sent over the connection: it ends with the answer."""
        with self._lock:
            self._left = True
            if self.done:
                self.smtp.close()

    def join(self, seconds: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self._await()
        except Exception as error:  # whatever it was: the server has not said that it took the mail
            why = one_line(str(error)) or type(error).__name__
            doubt = Answer(
                0, f"the server received the mail and did not answer ({why}): it may have been delivered", doubtful=True
            )
            self._answers |= dict.fromkeys(self._awaited, doubt)
        finally:
            with self._lock:
                self._done.set()
                if self._left:
                    self.smtp.close()

    def _await(self) -> None:
        smtp = self.smtp
        # smtplib has none any more where it was closed under our feet
        if smtp.sock is None:
            raise ConnectionAbortedError("the connection was closed")
        smtp.sock.settimeout(self._patience)
        said = answer(*smtp.getreply())
        if said.code != 250:
            self._answers |= _all(smtp, self._awaited, said)
        if smtp.sock is not None:
            smtp.sock.settimeout(smtp.timeout)


def cut(smtp: smtplib.SMTP) -> None:
    """End a connection that another thread may use."""
    if smtp.sock:
        with contextlib.suppress(OSError):
            # Of the plain socket: an SSLSocket's own shutdown() would drop its TLS under the thread that uses it.
            socket.socket.shutdown(smtp.sock, socket.SHUT_RDWR)


def _all(smtp: smtplib.SMTP, recipients: Sequence[str], said: Answer) -> dict[str, Answer]:
    """What was said against the whole mail; the connection is ready for another one, or closed."""
    if said.code == 421:
        smtp.close()
    else:
        _reset(smtp)
    return dict.fromkeys(recipients, said)


def _reset(smtp: smtplib.SMTP) -> None:
    with contextlib.suppress(OSError):  # it has ended the session; the next mail finds that out
        smtp.rset()
