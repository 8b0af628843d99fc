"""Which texts are addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_workers.notify.email_address import Mailbox, parse_address, parse_mailbox

GOOD = [
    "a@example.com",
    "first.last+tag@sub.example.com",
    "root@localhost",
    "o'brien@xn--exmple-cua.de",
    "grün@exämple.de",
    "उपयोगकर्ता@उदाहरण.भारत",
    f"{'l' * 64}@{'d' * 63}.example",
]

BAD = [
    "",
    "a",
    "@example.com",
    "a@",
    "a@@b",
    "a b@example.com",
    "a@exam ple.com",
    " a@example.com",
    "a@example.com ",
    "a@example.com\n",
    "a@b\r\nRCPT TO:<evil@example.com>",
    "a@b>\r\nDATA",
    "a\r@b",
    "a\0@b",
    "a@b\0",
    "<a@example.com>",
    "A <a@example.com>",
    "a@example.com,b@example.com",
    "a(comment)@example.com",
    '"quoted name"@example.com',
    "a..b@example.com",
    ".a@example.com",
    "a@example..com",
    "a@-example.com",
    "a@example-.com",
    "a@[127.0.0.1]",
    "a@exam_ple.com",
    "a\uff20b@example.com",
    "a@b\u202e.com",
    "a@b\u00a0.com",
    "a\ud800@example.com",
    f"{'l' * 65}@example.com",
    f"a@{'d' * 64}.example",
    f"a@{'d.' * 127}example",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_plain_address_is_taken_as_it_is(text: str) -> None:
    assert parse_address(text).addr_spec == text


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_a_plain_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|domain|@|characters"):
        parse_address(text)


@given(st.text(st.sampled_from('ab.@-_<>()[]",;: \r\n\0\x7f\x80é\u2028')))
def test_an_address_never_holds_what_ends_a_command_or_a_header(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert not set(address.addr_spec) & set('<>()[]",;: \r\n\0\x7f\u2028')


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("re@example.com", Mailbox("", "re@example.com")),
        ("Release Engine <re@example.com>", Mailbox("Release Engine", "re@example.com")),
        ('"Release, Engine" <re@example.com>', Mailbox("Release, Engine", "re@example.com")),
        ("<re@example.com>", Mailbox("", "re@example.com")),
    ],
)
def test_a_sender_may_have_a_name(text: str, mailbox: Mailbox) -> None:
    assert parse_mailbox(text) == mailbox


@pytest.mark.parametrize("text", ["", "Engine", "E <a>", "E <a@b> x", "E <a@b", "E\r\nBcc: x <a@b>", "ü@example.com"])
def test_a_sender_without_a_plain_ascii_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_mailbox(text)
