"""A mail server that takes its time, or hangs up when it has everything: who gets a mail twice, and what waits meanwhile."""

from __future__ import annotations

import smtplib
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.wire.dead_letters import parse_dead_letter
from re_core.wire.messages import notification_message
from re_workers.notify.consumer import MAX_BACKOFF, PATIENCE, Notifier
from re_workers.notify.email import DOUBT, EmailHandler
from re_workers.notify.email_address import Mailbox
from re_workers.notify.handler import Undeliverable, Unreachable
from re_workers.notify.settings import EmailSettings
from re_workers.notify.smtp_exchange import PendingAnswer
from re_workers.notify.smtp_link import WAITING, SmtpLink
from re_workers.notify.steps import Email
from re_workers.testing import run
from tests.integration.notify.mail_server import MailServer
from tests.unit.notify.notices import Said
from tests.unit.workers.worker_harness import ManualClock

SENDER = Mailbox("Release Engine", "re@example.com")

#: seconds for what takes a moment
SOON = 10.0

#: seconds that the link waits before it lets others go: more than a server that answers takes on a busy machine
PROMPT = 0.5


def _opened(server: MailServer, patience: float = 60.0, prompt: float = PROMPT) -> closing[EmailHandler]:
    settings = EmailSettings(server.host, SENDER, security="none", port=server.port, timeout=5.0)
    return closing(EmailHandler(settings, SmtpLink(settings, prompt=prompt, patience=patience)))


@pytest.fixture
def handler(mail_server: MailServer) -> Iterator[EmailHandler]:
    with _opened(mail_server) as handler:
        yield handler


def _said(who: str = "a@example.com", message: str = "text") -> Said:
    return Said("slug", message, "completed", (who,))


def _ask_until(handler: EmailHandler, notice: Said, id: str) -> Unreachable | None:
    """Ask for the answer, again and again; the error that it ends with."""
    end = time.monotonic() + SOON
    while True:
        assert time.monotonic() < end
        try:
            handler.deliver(notice, id)
        except Unreachable as error:
            if not error.pending:
                return error
        else:
            return None


def test_a_slow_answer_is_awaited_and_the_mail_is_sent_once(mail_server: MailServer, handler: EmailHandler) -> None:
    mail_server.answers["DATA"] = ["..."]
    for _ in range(3):
        with pytest.raises(Unreachable, match="has received the mail and has not answered yet") as raised:
            handler.deliver(_said(), "d/1/1")
        assert (raised.value.pending, raised.value.pause, raised.value.targets) == (True, 0.0, ("a@example.com",))
    mail_server.speak()
    assert _ask_until(handler, _said(), "d/1/1") is None
    assert [mail.recipients for mail in mail_server.mails] == [["a@example.com"]]


def test_other_mails_go_while_one_waits_for_its_answer(mail_server: MailServer, handler: EmailHandler) -> None:
    mail_server.answers["DATA"] = ["..."]
    with pytest.raises(Unreachable):
        handler.deliver(_said(), "d/1/1")
    for number in range(5):
        assert _ask_until(handler, _said("b@example.com"), f"d/2/{number}") is None
    assert [mail.recipients for mail in mail_server.mails] == [["b@example.com"]] * 5


def test_the_same_words_to_others_or_by_another_notification_are_another_mail(
    mail_server: MailServer, handler: EmailHandler
) -> None:
    mail_server.answers["DATA"] = ["..."]
    with pytest.raises(Unreachable):
        handler.deliver(_said(), "d/1/1")
    assert _ask_until(handler, _said(), "d/1/2") is None
    assert _ask_until(handler, _said("b@example.com"), "d/1/1") is None
    assert _ask_until(handler, _said(message="other"), "d/1/1") is None
    assert len(mail_server.mails) == 3


def test_a_late_no_is_a_no(mail_server: MailServer) -> None:
    with _opened(mail_server) as handler:
        mail_server.answers["DATA"] = ["...554 never"]
        with pytest.raises(Unreachable):
            handler.deliver(_said(), "d/1/1")
        mail_server.speak()
        with pytest.raises(Undeliverable, match="554 never"):
            _ask_until(handler, _said(), "d/1/1")
    assert mail_server.mails == []


def test_an_answer_that_never_comes_leaves_a_doubt(mail_server: MailServer) -> None:
    mail_server.answers["DATA"] = ["..."]
    with _opened(mail_server, patience=0.2) as handler:
        error = _ask_until(handler, _said(), "d/1/1")
    assert error is not None
    assert "it may have been delivered" in str(error)
    assert error.pause == DOUBT


def test_only_so_many_wait_for_answers_and_the_next_is_tried_later(mail_server: MailServer) -> None:
    mail_server.answers["DATA"] = ["..."] * WAITING
    with _opened(mail_server, prompt=0.01) as handler:
        _fill(mail_server, handler)
    assert len(mail_server.mails) == WAITING + 1


def _fill(mail_server: MailServer, handler: EmailHandler) -> None:
    for number in range(WAITING):
        with pytest.raises(Unreachable, match="has not answered yet"):
            handler.deliver(_said(), f"d/1/{number}")
    with pytest.raises(Unreachable, match="has not answered 8 mails") as raised:
        handler.deliver(_said(), "d/2/1")
    assert (raised.value.pending, raised.value.pause) == (False, 0.0)
    mail_server.speak()
    for number in range(WAITING):
        assert _ask_until(handler, _said(), f"d/1/{number}") is None
    assert _ask_until(handler, _said(), "d/2/1") is None


def test_closing_ends_every_wait_for_an_answer(mail_server: MailServer) -> None:
    mail_server.answers["DATA"] = ["...", "..."]
    with _opened(mail_server) as handler:
        for id in ("1", "2"):
            with pytest.raises(Unreachable, match="has not answered yet"):
                handler.deliver(_said(), id)
        handler.close()
        with pytest.raises(Unreachable, match="it may have been delivered") as raised:
            handler.deliver(_said(), "1")
        assert raised.value.pause == DOUBT


class MailNotifierHarness:
    """A notifier of mail on the embedded bus, whose clock the test turns."""

    def __init__(self, handler: EmailHandler) -> None:
        self.bus, self.clock = EmbeddedBus(), ManualClock()
        self.dead = self.bus.subscribe(["re.dead"], 10)
        self.notifier = Notifier(self.bus, self.clock, "W", handler)

    def send(self, id: str) -> None:
        document = {"slug": "s", "message": id, "phase": "completed", "target": ["a@example.com"]}
        self.bus.publish([notification_message("email", document, id, "D", "re-core")])
        self.notifier.turn(0)

    def pass_seconds(self, seconds: float, step: float = 1.0) -> None:
        """Turn by turn."""
        for _ in range(int(seconds / step)):
            self.clock.time += int(step * 1000)
            self.notifier.turn(0)

    def buried(self) -> list[str]:
        deliveries = self.dead.take(10, 0)
        self.dead.ack(deliveries)
        return [parse_dead_letter(one.message).detail for one in deliveries]


def test_a_server_that_hangs_up_after_every_mail_gets_it_twice_in_all_its_time(
    mail_server: MailServer, handler: EmailHandler
) -> None:
    mail_server.answers["DATA"] = ["!"] * 100
    harness = MailNotifierHarness(handler)
    harness.send("1")
    harness.pass_seconds(DOUBT - 1)
    assert len(mail_server.answers["DATA"]) == 99
    assert harness.buried() == []
    harness.pass_seconds(PATIENCE)
    assert len(mail_server.answers["DATA"]) == 98
    (why,) = harness.buried()
    assert "not delivered after" in why
    assert "it may have been delivered" in why
    harness.notifier.close()


def test_a_notification_whose_mail_was_answered_late_is_done(mail_server: MailServer, handler: EmailHandler) -> None:
    mail_server.answers["DATA"] = ["..."]
    harness = MailNotifierHarness(handler)
    harness.send("1")
    # longer than anything is tried: what was handed over is not given up while its answer is awaited
    harness.pass_seconds(PATIENCE + MAX_BACKOFF, step=5.0)
    harness.send("2")
    end = time.monotonic() + SOON
    while not mail_server.mails:
        assert time.monotonic() < end
    assert len(harness.notifier._held) >= 1
    mail_server.speak()
    while harness.notifier._held:
        assert time.monotonic() < end
        harness.pass_seconds(MAX_BACKOFF, step=MAX_BACKOFF)
    assert harness.buried() == []
    assert len(mail_server.mails) == 2
    harness.notifier.close()


NOTICE = {"slug": "s", "message": "m", "phase": "completed", "target": ["a@example.com"]}


def test_a_step_waits_for_a_slow_answer_and_says_so_once(
    mail_server: MailServer, handler: EmailHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("re_workers.notify.steps.PATIENCE", 0)
    monkeypatch.setattr("re_workers.notify.steps.BACKOFF", 0.001)
    mail_server.answers["DATA"] = ["..."]
    asked = []
    real = handler.deliver

    def deliver(notice: Said, id: str) -> None:
        asked.append(id)
        if len(asked) == 3:
            mail_server.speak()
        real(notice, id)

    monkeypatch.setattr(handler, "deliver", deliver)
    result = run(Email(handler), "email:Send", NOTICE)
    assert result.status == "completed"
    assert len([line for line in result.output if "waiting" in line]) == 1
    assert len(mail_server.mails) == 1


def test_a_step_whose_mail_may_have_arrived_fails_and_says_so(mail_server: MailServer, handler: EmailHandler) -> None:
    mail_server.answers["DATA"] = ["!"]
    result = run(Email(handler), "email:Send", NOTICE)
    assert result.status == "failed"
    assert "it may have been delivered" in str(result.message)
    assert mail_server.mails == []


def test_a_mail_whose_answer_cannot_be_heard_for_a_reason_that_none_foresaw_is_not_taken_for_delivered() -> None:
    mine, its = socket.socketpair()
    smtp = smtplib.SMTP()
    smtp.sock, smtp.file = mine, mine.makefile("rb")
    smtp.file.close()  # reading it is a ValueError, which is no OSError
    pending = PendingAnswer(smtp, ["a@example.com"], {}, 5.0)
    assert pending.wait(SOON)
    assert pending.answers["a@example.com"].doubtful
    pending.join(SOON)
    smtp.close()
    its.close()
