"""Logging in, line by line."""

from __future__ import annotations

import base64

import pytest

from re_workers.notify.irc_lines import NICK, parse
from re_workers.notify.irc_login import Login, LoginRefused
from re_workers.notify.settings import IrcSettings

PLAIN = IrcSettings("irc.example", "re", sasl="plain", user="account", password="secret")


def said(login: Login, *raw: bytes) -> list[bytes]:
    """What the login answers to these lines."""
    answers: list[bytes] = []
    for text in raw:
        heard = parse(text)
        assert heard
        answers += login.receive(heard)
    return answers


def begun(settings: IrcSettings = PLAIN) -> Login:
    login = Login(settings)
    login.begin()
    return login


def test_without_sasl_it_is_nick_and_user_until_001() -> None:
    login = Login(IrcSettings("irc.example", "re", realname="The\r\nQUIT engine"))

    assert login.begin() == [b"NICK re\r\n", b"USER re 0 * :The QUIT engine\r\n"]
    assert not login.ready
    assert said(login, b":s 001 re :Welcome") == []
    assert login.ready


def test_a_server_password_goes_first() -> None:
    assert Login(IrcSettings("irc.example", "re", password="pa ss")).begin()[0] == b"PASS :pa ss\r\n"


def test_sasl_plain_asks_answers_and_ends() -> None:
    login = Login(PLAIN)
    token = base64.b64encode(b"\0account\0secret")

    assert login.begin()[0] == b"CAP LS 302\r\n"
    assert said(login, b":s CAP * LS :multi-prefix sasl=PLAIN,EXTERNAL") == [b"CAP REQ sasl\r\n"]
    assert said(login, b":s CAP * ACK :sasl") == [b"AUTHENTICATE PLAIN\r\n"]
    assert said(login, b"AUTHENTICATE +") == [b"AUTHENTICATE " + token + b"\r\n"]
    assert said(login, b":s 900 re re!u@h account :hi", b":s 903 re :fine") == [b"CAP END\r\n"]
    said(login, b":s 001 re :Welcome")
    assert login.ready


def test_sasl_external_answers_with_nothing() -> None:
    login = begun(IrcSettings("irc.example", "re", sasl="external", cert_file="c"))

    assert said(login, b":s CAP * LS :sasl", b":s CAP * ACK :sasl") == [
        b"CAP REQ sasl\r\n",
        b"AUTHENTICATE EXTERNAL\r\n",
    ]
    assert said(login, b"AUTHENTICATE +") == [b"AUTHENTICATE +\r\n"]


def test_a_list_of_capabilities_over_several_lines_is_read_to_its_end() -> None:
    login = begun()
    assert said(login, b":s CAP * LS * :sasl=EXTERNAL,PLAIN away-notify") == []
    assert said(login, b":s CAP * LS :batch") == [b"CAP REQ sasl\r\n"]


@pytest.mark.parametrize(("length", "lines"), [(294, 1), (297, 2), (298, 2), (597, 3)])
def test_a_long_password_is_sent_in_chunks_and_a_full_last_chunk_is_followed_by_plus(length: int, lines: int) -> None:
    login = begun(IrcSettings("irc.example", "re", sasl="plain", user="u", password="p" * length))
    sent = [raw.split()[1] for raw in said(login, b"AUTHENTICATE +")]

    assert base64.b64decode(b"".join(sent).removesuffix(b"+")) == b"\0u\0" + b"p" * length
    assert all(len(chunk) <= 400 for chunk in sent)
    assert len(sent[-1]) < 400
    assert len(sent) == lines


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([b":s CAP * LS :multi-prefix"], "offers no SASL"),
        ([b":s CAP * LS :sasl=EXTERNAL"], "EXTERNAL, not plain"),
        ([b":s CAP * LS :sasl", b":s CAP * NAK :sasl"], "refuses SASL"),
        ([b":s 421 re CAP :Unknown command", b":s 001 re :Welcome"], "without SASL"),
        ([b":s CAP * LS :sasl", b":s CAP * ACK :sasl", b"AUTHENTICATE Y2hhbGxlbmdl"], "challenge"),
        ([b":s 904 re :SASL authentication failed"], "904 SASL authentication failed"),
        ([b":s 908 re PLAIN :are available"], "908"),
        ([b":s 464 re :Password \x1bincorrect"], r"464 Password \\x1bincorrect"),
    ],
)
def test_a_login_that_cannot_be_as_asked_is_refused(lines: list[bytes], why: str) -> None:
    with pytest.raises(LoginRefused, match=why):
        said(begun(), *lines)


def test_a_nick_that_is_taken_has_successors_that_are_nicks_and_differ_until_none_is_left() -> None:
    login = begun(IrcSettings("irc.example", "release-engine"))
    tried = [login.nick]
    with pytest.raises(LoginRefused, match="no nick is free: in use"):
        while True:
            (sent,) = said(login, b":s 433 * x :in use")
            assert sent == f"NICK {login.nick}\r\n".encode()
            tried.append(login.nick)

    assert len(tried) == len(set(tried)) > 9
    assert all(map(NICK.fullmatch, tried))
    assert len(tried[-1]) <= 9


def test_a_capability_that_comes_later_changes_nothing() -> None:
    login = begun()
    said(login, b":s 903 re :fine", b":s 001 re :Welcome")
    assert said(login, b":s CAP re NEW :sasl", b":s CAP re LS :sasl", b":s 372 re :motd") == []
