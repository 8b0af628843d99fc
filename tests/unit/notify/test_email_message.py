"""The mail that says a notice."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_workers.notify.email_address import Mailbox, parse_address
from re_workers.notify.email_message import compose, message_id
from tests.unit.notify.notices import Said

SENDER = Mailbox("Release Engine", "re@example.com")
NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
ANYTHING = st.text(st.characters())

HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
]


def raw(notice: Said, *to: str, notification_id: str = "d/1/1") -> bytes:
    return compose(notice, notification_id, SENDER, [parse_address(text) for text in to], NOW)


def mail(notice: Said, *to: str, notification_id: str = "d/1/1") -> EmailMessage:
    parsed = message_from_bytes(raw(notice, *to, notification_id=notification_id), policy=SMTPUTF8)
    assert isinstance(parsed, EmailMessage)
    return parsed


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert isinstance(part, EmailMessage)
    text = part.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


def test_a_mail_has_every_header_that_a_mail_should_have() -> None:
    message = mail(Said(), "a@example.com", "b@example.com")

    assert list(message.keys()) == HEADERS
    assert message["From"] == "Release Engine <re@example.com>"
    assert message["To"] == "a@example.com, b@example.com"
    assert message["Subject"] == "RPMs promoted"
    assert message["Date"] == "Sun, 22 Nov 2026 16:30:00 +0000"


def test_plain_and_html_say_the_same() -> None:
    message = mail(Said(message="one\n  two <b>"), "a@example.com")

    assert body(message, "plain") == "one\n  two <b>\n\n-- \ncompleted\n"
    assert "one\n  two &lt;b&gt;</p>" in body(message, "html")


def test_html_in_any_field_stays_text() -> None:
    tag = "<script>alert('x')</script>"
    page = body(mail(Said(tag, tag, tag), "a@example.com"), "html")

    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4


def test_the_id_is_the_same_for_the_same_notification_only() -> None:
    first, again = (mail(Said(), "a@example.com", notification_id="d/1/1") for _ in range(2))
    other = mail(Said(), "a@example.com", notification_id="d/1/2")

    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["Message-ID"].endswith("@example.com>")


def test_an_id_of_any_characters_makes_a_message_id_of_plain_ones() -> None:
    assert message_id(">\r\nBcc: x\ud800", SENDER)[1:33].isalnum()


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\u2028", "\x0b"])
def test_a_slug_cannot_add_a_header(end: str) -> None:
    message = mail(Said(slug=f"x{end}Bcc: evil@example.com"), "a@example.com")

    assert list(message.keys()) == HEADERS
    assert "Bcc: evil@example.com" in message["Subject"]


@given(ANYTHING.filter(bool), ANYTHING, ANYTHING)
def test_whatever_the_notice_says_the_mail_is_plain_lines_of_ascii(slug: str, message: str, phase: str) -> None:
    data = raw(Said(slug, message, phase), "a@example.com")

    assert data.isascii()
    assert b"\0" not in data
    assert data.replace(b"\r\n", b"").translate(None, b"\r\n") == data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert list(message_from_bytes(data, policy=SMTPUTF8).keys()) == HEADERS


def test_an_address_beyond_ascii_travels_as_it_is() -> None:
    assert "To: grün@exämple.de\r\n".encode() in raw(Said(slug="ü"), "grün@exämple.de")


def test_a_text_longer_than_mail_lines_may_be_arrives_whole() -> None:
    text = "wörd " * 1000 + "end"
    assert body(mail(Said(message=text), "a@example.com"), "plain").startswith(text)
