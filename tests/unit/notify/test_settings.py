"""Settings of the transports: what is taken, what is refused and how that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_core.errors import BadSettings
from re_workers.notify.email_address import Mailbox
from re_workers.notify.settings import EmailSettings, IrcSettings

MAIL: dict[str, object] = {"host": "mail.example.com", "sender": "re@example.com"}
IRC: dict[str, object] = {"host": "irc.example.com", "nick": "re"}


def test_the_least_mail_settings_are_safe_ones() -> None:
    settings = EmailSettings.from_mapping(MAIL)
    assert (settings.security, settings.port, settings.sender) == ("starttls", 587, Mailbox("", "re@example.com"))


@pytest.mark.parametrize(("security", "port"), [("none", 25), ("starttls", 587), ("tls", 465)])
def test_the_port_follows_the_security(security: str, port: int) -> None:
    assert EmailSettings.from_mapping({**MAIL, "security": security}).port == port


def test_the_least_irc_settings_are_safe_ones() -> None:
    settings = IrcSettings.from_mapping(IRC)
    assert (settings.tls, settings.port, settings.sasl) == (True, 6697, "none")


def test_a_password_comes_from_a_file_without_its_line_break(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    login = {"user": "u", "password_file": str(file)}

    assert EmailSettings.from_mapping({**MAIL, **login}).password == "s3cret"
    assert IrcSettings.from_mapping({**IRC, **login, "sasl": "plain"}).password == "s3cret"


def test_no_secret_shows_in_a_repr() -> None:
    mail = EmailSettings.from_mapping({**MAIL, "user": "u", "password": "s3cret"})
    irc = IrcSettings.from_mapping({**IRC, "password": "s3cret", "channels": {"#x": "s3cret", "#y": None}})

    assert "s3cret" not in repr(mail) + repr(irc)
    assert irc.channels == {"#x": "s3cret", "#y": ""}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"host": None}, "email.host: is required"),
        ({"host": ""}, "email.host: is required"),
        ({"host": 1}, "email.host: must be a string, not a number"),
        ({"host": "a\r\nb"}, "email.host: must be one line"),
        ({"sender": "me"}, "email.sender: an address needs an @"),
        ({"sender": "x\r\nBcc: y <a@b>"}, "email.sender: must be one line"),
        ({"security": "ssl"}, "email.security: must be one of none, starttls, tls, not 'ssl'"),
        ({"port": 0}, "email.port: must be a port number"),
        ({"port": True}, "email.port: must be a port number"),
        ({"port": "25"}, "email.port: must be a port number"),
        ({"timeout": 0}, "email.timeout: must be a number of seconds"),
        ({"timeout": float("nan")}, "email.timeout: must be a number of seconds"),
        ({"timeout": "30"}, "email.timeout: must be a number of seconds"),
        ({"user": "u"}, "email.user: and email.password"),
        ({"password": "p"}, "email.user: and email.password"),
        ({"user": "u", "password": "p", "security": "none"}, "email.security: none would send"),
        ({"password_file": "/nowhere/at/all"}, "email.password_file: there is no file"),
        ({"ca_file": "/nowhere/at/all"}, "email.ca_file: there is no file"),
        ({"sendr": "x"}, "email.sendr: is not a setting; did you mean 'sender'"),
        ({"zzz": "x"}, "email.zzz: is not a setting; known are ca_file"),
    ],
)
def test_a_wrong_mail_setting_is_named(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadSettings) as raised:
        EmailSettings.from_mapping({**MAIL, **change})
    assert str(raised.value).startswith(complaint)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"nick": None}, "irc.nick: is required"),
        ({"nick": "a b"}, "irc.nick: 'a b' is not a nick"),
        ({"tls": "yes"}, "irc.tls: must be true or false, not a string"),
        ({"sasl": "plain"}, "irc.sasl: plain needs user and password"),
        ({"sasl": "external"}, "irc.sasl: external needs tls and cert_file"),
        ({"sasl": "scram"}, "irc.sasl: must be one of"),
        ({"password": "p", "tls": False}, "irc.tls: false would send"),
        ({"channels": ["#x"]}, "irc.channels: must be an object, not a list"),
        ({"channels": {"#x": 1}}, "irc.channels.#x: must be a string"),
        ({"channels": {"x": ""}}, "irc.channels: 'x' is not a channel"),
        ({"channels": {"#x": "a,b"}}, "irc.channels.#x: is not a channel key"),
        ({"channels": {"#x": "a b"}}, "irc.channels.#x: is not a channel key"),
        ({"chanels": {}}, "irc.chanels: is not a setting; did you mean 'channels'"),
    ],
)
def test_a_wrong_irc_setting_is_named(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadSettings) as raised:
        IrcSettings.from_mapping({**IRC, **change})
    assert str(raised.value).startswith(complaint)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_password_may_go_in_the_clear_to_this_very_machine(host: str) -> None:
    login = {"host": host, "user": "u", "password": "p"}
    assert EmailSettings.from_mapping({**MAIL, **login, "security": "none"}).port == 25
    assert IrcSettings.from_mapping({**IRC, **login, "tls": False}).port == 6667


@pytest.mark.parametrize("text", ["", "\n", "two\nlines\n", "nul\0"])
def test_a_password_file_holds_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "password"
    file.write_text(text)
    with pytest.raises(BadSettings, match=r"^email\.password_file: must hold one line") as raised:
        EmailSettings.from_mapping({**MAIL, "user": "u", "password_file": str(file)})
    assert "two" not in str(raised.value)


def test_a_password_is_given_once(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p")
    with pytest.raises(BadSettings, match=r"^email\.password: is given twice"):
        EmailSettings.from_mapping({**MAIL, "user": "u", "password": "p", "password_file": str(file)})


def test_a_password_file_that_is_not_text_is_named_without_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"\xffsecret")
    with pytest.raises(BadSettings, match=r"^email\.password_file: cannot be read") as raised:
        EmailSettings.from_mapping({**MAIL, "user": "u", "password_file": str(file)})
    assert "secret" not in str(raised.value)
