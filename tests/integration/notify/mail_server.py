"""A real SMTP server (aiosmtpd) inside the test process, with hooks for its faults. Must not know our notifier."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from typing import Any, NamedTuple

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

#: Seconds for the server to start and to stop.
PATIENCE = 10.0


class Mail(NamedTuple):
    """What the server took."""

    sender: str
    recipients: list[str]
    data: bytes

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        parsed = message_from_bytes(self.data, policy=SMTPUTF8)
        assert isinstance(parsed, EmailMessage)
        return parsed


class MailServer:
    """Listens on 127.0.0.1, `port` or a free one, while its block lasts; `options` are those of aiosmtpd's SMTP.

    `answers` holds what to say instead of yes, next first, by command (`MAIL`, `RCPT`, `DATA`, `NOOP`) and address:
    a reply, or None for a yes in between. After a reply that starts with `!` the connection ends; `!` alone cuts it
    without a word. DATA also knows `...`: no answer until `speak`, and then what follows the dots, else a yes; `silent` says
    when that has begun.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, port: int = 0, **options: Any) -> None:
        self.port = port
        self.mails: list[Mail] = []
        self.sessions = 0
        self.logins: list[tuple[str, str]] = []
        self.silent = threading.Event()
        self.answers: dict[str, list[str | None]] = {}
        self._tls = tls
        self._options = {"enable_SMTPUTF8": True, "authenticator": self._authenticate, **options}
        self._loop = asyncio.new_event_loop()
        self._connections: set[SMTP] = set()
        self._speaks = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail-server")

    def __enter__(self) -> MailServer:
        self._thread.start()
        self._server = self._wait(
            lambda: self._loop.create_server(self._protocol, "127.0.0.1", self.port, ssl=self._tls)
        )
        self.host, self.port = self._server.sockets[0].getsockname()[:2]
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self._wait(self._finish)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def drop(self) -> None:
        """Cut every connection, without a word."""

        async def cut() -> None:
            for connection in tuple(self._connections):
                _abort(connection)

        self._wait(cut)

    def speak(self) -> None:
        """Answer what was not answered yet."""
        self._loop.call_soon_threadsafe(self._speaks.set)

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        reply = self._reply(server, "MAIL")
        if reply is None:
            envelope.mail_from = address
        return reply or "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        reply = self._reply(server, f"RCPT {address}")
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        reply = self._reply(server, "DATA")
        if reply is not None and reply.startswith("..."):
            self.silent.set()
            await self._speaks.wait()
            reply = reply[3:] or None
        if reply is None:
            data = envelope.content
            assert isinstance(data, bytes)
            assert envelope.mail_from
            self.mails.append(Mail(envelope.mail_from, list(envelope.rcpt_tos), data))
        return reply or "250 OK"

    async def handle_NOOP(self, server: SMTP, session: Session, envelope: Envelope, arg: str) -> str:
        return self._reply(server, "NOOP") or "250 OK"

    def _reply(self, server: SMTP, about: str) -> str | None:
        planned = self.answers.get(about)
        reply = planned.pop(0) if planned else None
        if reply == "!":
            _abort(server)
        elif reply and reply.startswith("!"):
            self._loop.call_soon(_close, server)
            return reply[1:]
        return reply

    def _authenticate(self, server: SMTP, session: Session, envelope: Envelope, kind: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        login = (data.login.decode(), data.password.decode())
        self.logins.append(login)
        return AuthResult(success=login == ("user", "right"), handled=False)

    def _protocol(self) -> SMTP:
        self.sessions += 1
        connection = SMTP(self, loop=self._loop, hostname="mail.test.example", **self._options)
        self._connections.add(connection)
        return connection

    async def _finish(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wait(self, work: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(PATIENCE)


def _abort(connection: SMTP) -> None:
    if isinstance(connection.transport, asyncio.Transport):
        connection.transport.abort()


def _close(connection: SMTP) -> None:
    if connection.transport:
        connection.transport.close()
