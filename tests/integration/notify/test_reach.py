"""Servers of the transports that are away: said once when it is noticed, and once when they are back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from re_workers.notify import email, irc
from re_workers.notify.email_address import Mailbox
from re_workers.notify.reach import Reach
from re_workers.notify.settings import EmailSettings
from tests.integration.notify.conftest import plain
from tests.integration.notify.irc_peer import Door
from tests.integration.notify.mail_server import MailServer

#: seconds for what takes a moment
SOON = 10.0


def _settings(server: MailServer, **more: str) -> EmailSettings:
    found = EmailSettings(server.host, Mailbox("", "re@example.com"), security="none", port=server.port, timeout=5.0)
    return replace(found, **more)  # type: ignore[arg-type]


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_mail_server_that_lets_us_in_is_in_reach_and_gets_no_mail(mail_server: MailServer) -> None:
    assert email.trouble(_settings(mail_server)) == ""
    assert (mail_server.sessions, mail_server.mails) == (1, [])


def test_one_that_is_gone_or_refuses_the_login_is_not(mail_server: MailServer) -> None:
    with MailServer(auth_require_tls=False) as server:
        gone = _settings(server)
        assert "535" in email.trouble(_settings(server, user="user", password="wrong"))
    assert "refused" in email.trouble(gone)


def test_an_irc_network_is_in_reach_while_something_listens(door: Door) -> None:
    settings = plain(door)
    assert irc.trouble(settings) == ""
    door.close()
    assert f"{settings.host}:{settings.port} cannot be reached" in irc.trouble(settings)


def test_what_changes_is_said_once_and_told_to_who_asks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "re_workers.notify.reach")
    answers = {"email": "it is down", "irc": ""}
    looks: list[str] = []

    def probe() -> str:
        looks.append("email")
        return answers["email"]

    reach = Reach({"email": probe, "irc": lambda: answers["irc"]}, look=0.01, look_again=0.01)
    reach.start()
    _until(lambda: len(looks) > 3)
    assert reach.trouble() == {"email": "it is down"}
    answers["email"] = ""
    _until(lambda: reach.trouble() == {})
    reach.stop()
    actions = [record.__dict__["action"] for record in caplog.records]
    assert actions == ["transport_away", "transport_back"]
    assert "it is down" in caplog.text


def test_without_transports_there_is_nothing_to_look_at() -> None:
    reach = Reach({})
    reach.start()
    reach.stop()
    assert reach.trouble() == {}
