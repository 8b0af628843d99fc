"""Mail against a real SMTP server: security, login, the connection's life, and who is told what failed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from re_workers.notify.email import EmailHandler
from re_workers.notify.email_address import Mailbox
from re_workers.notify.handler import Handler, Undeliverable, Unreachable
from re_workers.notify.settings import EmailSettings
from re_workers.notify.smtp_link import SmtpLink
from tests.integration.notify.conftest import Trust
from tests.integration.notify.mail_server import MailServer
from tests.unit.notify.notices import Said

SENDER = Mailbox("Release Engine", "re@example.com")

#: aiosmtpd warns of what these tests do on purpose
AUTH_WITHOUT_STARTTLS = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


def settings(server: MailServer) -> EmailSettings:
    return EmailSettings(server.host, SENDER, security="none", port=server.port, timeout=5.0)


@pytest.fixture
def handler(mail_server: MailServer) -> Iterator[Handler]:
    with closing(EmailHandler(settings(mail_server))) as handler:
        yield handler


def to(*target: str) -> Said:
    return Said(target=target)


def test_a_notice_arrives_as_one_mail_for_all_its_targets(mail_server: MailServer, handler: Handler) -> None:
    handler.deliver(to("a@example.com", "b@example.com", "a@example.com"), "d/1/1")

    (mail,) = mail_server.mails
    assert mail.sender == "re@example.com"
    assert mail.recipients == ["a@example.com", "b@example.com"]
    assert mail.message["Subject"] == "RPMs promoted"
    assert "The rpms in my cart are promoted" in str(mail.message.get_body(("plain",)))


def test_one_connection_serves_many_notices(mail_server: MailServer, handler: Handler) -> None:
    for number in range(3):
        handler.deliver(to("a@example.com"), f"d/1/{number}")

    assert len(mail_server.mails) == 3
    assert mail_server.sessions == 1


def test_a_connection_that_the_server_dropped_is_opened_again_and_the_mail_arrives_once(
    mail_server: MailServer, handler: Handler
) -> None:
    handler.deliver(to("a@example.com"), "d/1/1")
    mail_server.drop()
    handler.deliver(to("a@example.com"), "d/1/2")

    assert len(mail_server.mails) == 2
    assert mail_server.sessions == 2


def test_a_connection_that_was_not_used_for_long_is_not_trusted(mail_server: MailServer) -> None:
    now = 0.0
    link = SmtpLink(replace(settings(mail_server), idle=60.0), clock=lambda: now)
    sessions = []
    for now in (0.0, 60.0, 121.0):  # noqa: B007 (the clock reads it)
        assert link.send(["a@example.com"], b"Subject: x\r\n\r\n") == {}
        sessions.append(mail_server.sessions)
    link.close()

    assert sessions == [1, 1, 2]


@AUTH_WITHOUT_STARTTLS
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_travels_encrypted_and_logged_in(trust: Trust, security: str) -> None:
    context = trust.server()
    options = {"tls": context} if security == "tls" else {"tls_context": context, "require_starttls": True}
    with MailServer(auth_required=True, auth_require_tls=security == "starttls", **options) as server:
        secure = replace(settings(server), security=security, user="user", password="right", ca_file=trust.ca_file)
        with closing(EmailHandler(secure)) as handler:
            handler.deliver(to("a@example.com"), "d/1/1")

    assert len(server.mails) == 1
    assert server.logins == [("user", "right")]


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_server_that_cannot_prove_its_name_gets_neither_login_nor_mail(
    trust: Trust, security: str, wrong: str
) -> None:
    context = trust.server("127.0.0.1" if wrong == "authority" else "other.example.com")
    options: dict[str, Any] = {"tls": context} if security == "tls" else {"tls_context": context}
    with MailServer(auth_require_tls=False, **options) as server:
        secure = replace(settings(server), security=security, user="user", password="right")
        secure = replace(secure, ca_file="" if wrong == "authority" else trust.ca_file)
        with closing(EmailHandler(secure)) as handler, pytest.raises(Unreachable, match="certificate verify failed"):
            handler.deliver(to("a@example.com"), "d/1/1")

    assert server.mails == []
    assert server.logins == []


def test_a_server_without_starttls_gets_no_mail_in_the_clear(mail_server: MailServer) -> None:
    refused = pytest.raises(Unreachable, match="STARTTLS extension not supported")
    with closing(EmailHandler(replace(settings(mail_server), security="starttls"))) as handler, refused:
        handler.deliver(to("a@example.com"), "d/1/1")

    assert mail_server.mails == []


def test_a_login_that_is_refused_is_the_operators_business_and_the_notice_may_wait() -> None:
    with MailServer(auth_require_tls=False) as server:
        login = replace(settings(server), user="user", password="wrong")
        with closing(EmailHandler(login)) as handler, pytest.raises(Unreachable, match="535") as raised:
            handler.deliver(to("a@example.com"), "d/1/1")

    assert "wrong" not in str(raised.value)
    assert server.mails == []


@AUTH_WITHOUT_STARTTLS
def test_a_missing_login_is_the_operators_business_too() -> None:
    refused = pytest.raises(Unreachable, match="530")
    with (
        MailServer(auth_required=True, auth_require_tls=False) as server,
        closing(EmailHandler(settings(server))) as handler,
        refused,
    ):
        handler.deliver(to("a@example.com"), "d/1/1")


def test_a_recipient_refused_for_good_is_named_and_the_others_get_their_mail(
    mail_server: MailServer, handler: Handler
) -> None:
    mail_server.answers["RCPT b@example.com"] = ["550 5.1.1 nobody\x1b here"]

    with pytest.raises(Undeliverable, match=r"550 5\.1\.1 nobody\\x1b here") as raised:
        handler.deliver(to("a@example.com", "b@example.com", "c@example.com"), "d/1/1")

    assert raised.value.targets == ("b@example.com",)
    assert mail_server.mails[0].recipients == ["a@example.com", "c@example.com"]


def test_a_recipient_refused_for_now_is_reached_by_repeating_with_what_the_error_names(
    mail_server: MailServer, handler: Handler
) -> None:
    mail_server.answers["RCPT b@example.com"] = ["451 4.7.1 greylisted"]

    with pytest.raises(Unreachable, match="greylisted") as raised:
        handler.deliver(to("a@example.com", "b@example.com"), "d/1/1")
    handler.deliver(to(*raised.value.targets), "d/1/1")

    first, second = mail_server.mails
    assert (first.recipients, second.recipients) == (["a@example.com"], ["b@example.com"])
    assert first.message["Message-ID"] == second.message["Message-ID"]


def test_of_two_refusals_the_one_that_passes_decides_and_both_are_named(
    mail_server: MailServer, handler: Handler
) -> None:
    mail_server.answers["RCPT a@example.com"] = ["550 no"]
    mail_server.answers["RCPT b@example.com"] = ["450 later"]

    with pytest.raises(Unreachable) as raised:
        handler.deliver(to("a@example.com", "b@example.com"), "d/1/1")

    assert raised.value.targets == ("a@example.com", "b@example.com")
    assert mail_server.mails == []


@pytest.mark.parametrize("command", ["MAIL", "DATA"])
@pytest.mark.parametrize(("reply", "kind"), [("452 later", Unreachable), ("554 never", Undeliverable)])
def test_what_is_said_against_the_whole_mail_counts_for_every_target(
    mail_server: MailServer, handler: Handler, command: str, reply: str, kind: type[Undeliverable | Unreachable]
) -> None:
    mail_server.answers[command] = [reply]

    with pytest.raises(kind, match=reply) as raised:
        handler.deliver(to("a@example.com", "b@example.com"), "d/1/1")
    handler.deliver(to("c@example.com"), "d/1/2")

    assert isinstance(raised.value, Undeliverable | Unreachable)
    assert raised.value.targets == ("a@example.com", "b@example.com")
    assert [mail.recipients for mail in mail_server.mails] == [["c@example.com"]]


def test_a_server_that_ends_the_session_half_way_has_told_nobody_not_even_those_it_took(
    mail_server: MailServer, handler: Handler
) -> None:
    mail_server.answers["RCPT b@example.com"] = ["!421 shutting down"]
    targets = ("a@example.com", "b@example.com", "c@example.com")

    with pytest.raises(Unreachable, match="ended the session") as raised:
        handler.deliver(to(*targets), "d/1/1")
    handler.deliver(to(*raised.value.targets), "d/1/1")

    assert raised.value.targets == targets
    assert [mail.recipients for mail in mail_server.mails] == [list(targets)]


def test_a_connection_that_breaks_during_the_mail_is_unreachable_for_all(
    mail_server: MailServer, handler: Handler
) -> None:
    mail_server.answers["DATA"] = ["!"]

    with pytest.raises(Unreachable) as raised:
        handler.deliver(to("a@example.com"), "d/1/1")
    handler.deliver(to(*raised.value.targets), "d/1/1")

    assert len(mail_server.mails) == 1
    assert mail_server.sessions == 2


def test_no_server_at_all_is_unreachable_for_all() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        refused = pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+ cannot be reached: .*refused")
        with closing(EmailHandler(EmailSettings("127.0.0.1", SENDER, "none", port))) as handler, refused as raised:
            handler.deliver(to("a@example.com"), "d/1/1")

    assert raised.value.targets == ("a@example.com",)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "-"])
def test_a_host_that_cannot_be_one_is_unreachable(host: str) -> None:
    with closing(EmailHandler(EmailSettings(host, SENDER, "none", 25))) as handler, pytest.raises(Unreachable):
        handler.deliver(to("a@example.com"), "d/1/1")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
def test_no_field_can_add_a_recipient_a_header_or_a_mail(mail_server: MailServer, handler: Handler, end: str) -> None:
    evil = f"x@example.com>{end}RCPT TO:<evil@example.com>{end}Bcc: evil@example.com{end}.{end}MAIL FROM:<e@x>{end}"

    with pytest.raises(Undeliverable) as raised:
        handler.deliver(Said(evil, evil, evil, (evil, "a@example.com")), evil)

    (mail,) = mail_server.mails
    assert raised.value.targets == (evil,)
    assert mail.recipients == ["a@example.com"]
    assert mail.message["Bcc"] is None
    assert mail.message["To"] == "a@example.com"


def test_an_address_beyond_ascii_is_delivered_where_the_server_takes_it(
    mail_server: MailServer, handler: Handler
) -> None:
    handler.deliver(to("grün@exämple.de", "a@example.com"), "d/1/1")

    assert [mail.recipients for mail in mail_server.mails] == [["a@example.com"], ["grün@exämple.de"]]


def test_an_address_beyond_ascii_is_undeliverable_where_not_and_keeps_nobody_else_back() -> None:
    refused = pytest.raises(Undeliverable, match="only ASCII addresses")
    with (
        MailServer(enable_SMTPUTF8=False) as server,
        closing(EmailHandler(settings(server))) as handler,
        refused as raised,
    ):
        handler.deliver(to("grün@exämple.de", "a@example.com"), "d/1/1")

    assert raised.value.targets == ("grün@exämple.de",)
    assert [mail.recipients for mail in server.mails] == [["a@example.com"]]


def test_after_closing_nothing_is_sent_any_more(mail_server: MailServer, handler: Handler) -> None:
    handler.deliver(to("a@example.com"), "d/1/1")
    handler.close()
    handler.close()

    with pytest.raises(Unreachable, match="closed"):
        handler.deliver(to("a@example.com"), "d/1/2")
    assert len(mail_server.mails) == 1


def test_closing_cuts_a_delivery_that_waits_for_the_server(mail_server: MailServer) -> None:
    mail_server.answers["DATA"] = ["..."]
    patient = replace(settings(mail_server), timeout=100.0)
    with ThreadPoolExecutor(1) as pool, closing(EmailHandler(patient)) as handler:
        delivery = pool.submit(handler.deliver, to("a@example.com"), "d/1/1")
        assert mail_server.silent.wait(10)
        handler.close()

        with pytest.raises(Unreachable):
            delivery.result(10)
