"""The demo's playbook, and who hears of it: mail over a real SMTP server, IRC over a real ngircd."""

from __future__ import annotations

import json
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from standardwebhooks.webhooks import Webhook

from tests import plain_http
from tests.e2e.conftest import MakeEngine
from tests.e2e.deploying import PATIENCE, begin, ended, run_step, steps_book
from tests.e2e.engine_process import EngineProcess, wait_until
from tests.integration.notify.hooks import Hooks
from tests.integration.notify.irc_peer import Peer, join_as_user
from tests.integration.notify.mail_server import MailServer
from tests.services.ngircd import IrcServer
from tests.services.server import free_ports

EXAMPLE = Path(__file__).parents[2] / "examples" / "playbook.yaml"


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Who signed the mail server's certificate; in `authority.pem`."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    return made


@pytest.fixture
def mail(authority: trustme.CA) -> Iterator[MailServer]:
    """A server that takes mail over STARTTLS only, from those only who log in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with MailServer(tls_context=context, require_starttls=True, auth_required=True) as server:
        yield server


@pytest.fixture
def person(ngircd: IrcServer) -> Iterator[Peer]:
    """Somebody who listens in #team."""
    peer = join_as_user(ngircd.host, ngircd.port, "listener", "JOIN #team")
    yield peer
    peer.close()


def email_settings(port: int, **more: object) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port, "sender": "Release Engine <re@example.com>", "security": "none", **more}


def irc_settings(server: IrcServer) -> dict[str, Any]:
    if server.tls_port is None:
        return {"host": server.host, "port": server.port, "tls": False, "nick": "rebot"}
    return {"host": server.host, "port": server.tls_port, "ca_file": str(server.ca_file), "nick": "rebot"}


def announced(url: str) -> dict[str, Any]:
    """The demo's playbook, whose steps also tell people; and the values for it."""
    playbook = yaml.safe_load(EXAMPLE.read_text())
    steps = playbook["execution"][0]["steps"]
    steps[0]["command:Run"]["notify"] = {
        "started": {"email": ["begun@example.com"]},
        "completed": {"email": ["done@example.com", "boss@example.com"]},
        "failed": {"email": ["never@example.com"]},
    }
    words = {"slug": "By hand", "message": "Rolled out", "phase": "completed"}
    said = [{"email:Send": {**words, "target": ["step@example.com"]}}, {"irc:Send": {**words, "target": ["#team"]}}]
    playbook["execution"].append({"description": "Tell", "hosts": ["herald.example.com"], "steps": said})
    return {"playbook": yaml.safe_dump(playbook), "dynamic": {"version": "1.4.2", "url": f"{url}/healthz"}}


def letters(mail: MailServer) -> Counter[tuple[str, str]]:
    """How often which recipients got which subject, as far as its first comma."""
    return Counter(
        (",".join(one.recipients), str(one.message["Subject"]).strip().partition(",")[0]) for one in mail.mails
    )


@pytest.mark.service("ngircd")
def test_everyone_hears_of_every_phase_once(
    new_engine: MakeEngine, mail: MailServer, ngircd: IrcServer, person: Peer, tmp_path: Path
) -> None:
    secure = {"security": "starttls", "user": "user", "password": "right", "ca_file": str(tmp_path / "authority.pem")}
    everyone = {"email": ["ops@example.com"], "irc": ["#team"]}
    settings = {
        "email": email_settings(mail.port, **secure),
        "irc": irc_settings(ngircd),
        "PHASE_NOTIFICATION": {"started": everyone, "completed": everyone, "failed": everyone},
    }
    engine = new_engine(json.dumps(settings))
    engine.start()
    with engine.client() as client:
        id = begin(client, **announced(client.url))
        assert ended(client, id)["status"] == "completed"
        wait_until("the last mail is there", lambda: len(mail.mails) >= 7, PATIENCE)
        lines = person.hear_until(lambda line: "completed: demo/release" in line)
    assert engine.stop() == 0
    said = letters(mail)
    assert said == {
        ("ops@example.com", "started: demo/release"): 1,
        ("begun@example.com", "started: command:Run on web01.example.com in demo/release"): 1,
        ("begun@example.com", "started: command:Run on web02.example.com in demo/release"): 1,
        ("done@example.com,boss@example.com", "completed: command:Run on web01.example.com in demo/release"): 1,
        ("done@example.com,boss@example.com", "completed: command:Run on web02.example.com in demo/release"): 1,
        ("step@example.com", "By hand"): 1,
        ("ops@example.com", "completed: demo/release"): 1,
    }
    assert len({one.message["Message-ID"] for one in mail.mails}) == 7
    assert mail.logins == [("user", "right")] * mail.sessions
    lines += person.hear_until(lambda line: line.startswith(":rebot!") and " QUIT " in line)
    heard = [line.split(" ", 3)[3] for line in lines if " PRIVMSG #team " in line]
    assert [line.partition(",")[0].partition(": Rolled")[0] for line in heard] == [
        ":[started] started: demo/release",
        ":[completed] By hand",
        ":[completed] completed: demo/release",
    ]


def _with_mail_due(new_engine: MakeEngine) -> tuple[EngineProcess, int]:
    """An engine with a mail to send and no server, and the port where one is expected."""
    (port,) = free_ports(1)
    told = {"completed": {"email": ["ops@example.com"]}}
    engine = new_engine(json.dumps({"email": email_settings(port), "PHASE_NOTIFICATION": told}))
    engine.start()
    with engine.client() as client:
        ended(client, begin(client, steps_book("noop:Do")))
    return engine, port


def test_mail_waits_for_a_server_that_is_down(new_engine: MakeEngine) -> None:
    engine, port = _with_mail_due(new_engine)
    with engine.client() as client:
        away = "notifications by email cannot be sent at the moment"
        wait_until("the start has said it", lambda: away in engine.log.read_text(), PATIENCE)
        ready = plain_http.get(f"{client.url}/readyz").json()
        assert (ready["status"], list(ready["degraded"])) == ("ready", ["email"])
        tried = "notify.email tries again"
        wait_until("the server was missed", lambda: tried in engine.log.read_text(), PATIENCE)
        with MailServer(port=port) as server:
            wait_until("the mail is there", lambda: bool(server.mails), PATIENCE)
            assert engine.stop() == 0
    assert [one.recipients for one in server.mails] == [["ops@example.com"]]


def test_mail_that_waits_outlives_the_engine(new_engine: MakeEngine) -> None:
    engine, port = _with_mail_due(new_engine)
    engine.kill_everything()
    with MailServer(port=port) as server:
        engine.start()
        wait_until("the mail is there", lambda: bool(server.mails), PATIENCE)
        assert engine.stop() == 0
    assert len(server.mails) == 1


def dead_letters(engine: EngineProcess) -> list[dict[str, Any]]:
    listed = engine.run("deadletters", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    found: list[dict[str, Any]] = json.loads(listed.stdout)
    return found


def test_a_refused_recipient_is_a_dead_letter_that_can_be_sent_again(new_engine: MakeEngine) -> None:
    told = {"failed": {"email": ["nobody@example.com"]}}
    with MailServer() as server:
        server.answers["RCPT nobody@example.com"] = ["550 5.1.1 no such user"]
        engine = new_engine(json.dumps({"email": email_settings(server.port), "PHASE_NOTIFICATION": told}))
        engine.start()
        with engine.client() as client:
            id = begin(client, steps_book("noop:Fail"))
            assert ended(client, id)["status"] == "failed"
        wait_until("there is a dead letter", lambda: bool(dead_letters(engine)), PATIENCE)
        (letter,) = dead_letters(engine)
        assert letter["queue"] == "notify.email"
        assert "550 5.1.1 no such user" in letter["detail"]
        assert id in engine.run("deadletters", "show", letter["id"]).stdout
        assert server.mails == []
        replayed = engine.run("deadletters", "replay", letter["id"])
        assert replayed.returncode == 0, replayed.stderr
        wait_until("the mail is there", lambda: bool(server.mails), PATIENCE)
        assert engine.stop() == 0
        assert [one.recipients for one in server.mails] == [["nobody@example.com"]]
        assert "failed" in str(server.mails[0].message["Subject"])


def test_a_transport_without_settings_makes_dead_letters_that_say_so(new_engine: MakeEngine) -> None:
    told = {"completed": {"irc": ["#team"]}}
    engine = new_engine(json.dumps({"PHASE_NOTIFICATION": told}))
    engine.start()
    with engine.client() as client:
        assert ended(client, begin(client, steps_book("noop:Do")))["status"] == "completed"
    wait_until("there is a dead letter", lambda: bool(dead_letters(engine)), PATIENCE)
    assert "the settings file has no section 'irc'" in dead_letters(engine)[0]["detail"]


def test_a_webhook_says_what_failed_and_the_list_says_what_was_sent(new_engine: MakeEngine) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    with Hooks() as hooks:
        hooks.answer = lambda request: 410 if request.path == "/gone" else 204
        targets = {name: {"url": f"{hooks.url}/{name}", "secret": secret} for name in ("oncall", "gone")}
        chats = {"team": {"url": f"json://user:s3cr3t-word@127.0.0.1:{hooks.port}/chat"}}
        routes = [
            {"playbook": "*", "outcome": "failed", "to": {"webhook": ["oncall"], "apprise": ["team"]}},
            {"group": "nowhere", "to": {"webhook": ["oncall"]}},
            {"outcome": "failed", "to": {"webhook": ["gone"]}},
            {"environment": "prod", "daily": "07:00 Europe/Berlin", "to": {"webhook": ["oncall"]}},
        ]
        settings = {
            "webhook": {"targets": targets},
            "apprise": {"targets": chats},
            "notify_routes": routes,
            "notify_templates": {"apprise": {"failed": {"slug": "{outcome}: {step}", "message": "{lines}\n{link}"}}},
            "public_url": "https://re.example.com",
        }
        engine = new_engine(json.dumps(settings))
        engine.start()
        with engine.client() as client:
            id = begin(client, steps_book(run_step("echo the disk is full; exit 3")))
            assert ended(client, id)["status"] == "failed"
        wait_until("all of it was reported", lambda: len(notifications(engine)) == 2, PATIENCE)
        found = {row["transport"]: row for row in notifications(engine)}
        _tried(engine)
        assert engine.stop() == 0
    by_path = {request.path.rstrip("/"): request for request in reversed(hooks.requests)}
    event = Webhook(secret).verify(by_path["/oncall"].body, by_path["/oncall"].headers)
    assert (event["type"], event["subject"]) == ("release-engine.notification.failed", id)
    assert event["data"]["step"]["lines"] == ["the disk is full"]
    chat = json.loads(by_path["/chat"].body)
    assert chat["title"].startswith("failed: command:Run on one")
    assert chat["message"] == f"the disk is full\nhttps://re.example.com/api/v1/deployments/{id}"
    assert (found["apprise"]["outcome"], found["apprise"]["target"]) == ("sent", ["team"])
    assert (found["webhook"]["outcome"], found["webhook"]["target"]) == ("failed", ["gone"])
    assert "'gone': it answered 410" in found["webhook"]["why"]
    assert "s3cr3t-word" not in engine.log.read_text()


def _tried(engine: EngineProcess) -> None:
    """Who would hear, and whether a target can be reached."""
    words = ("notifications", "targets", "tests/book")
    assert "daily" not in engine.run(*words, "--environment", "staging").stdout
    rows = [line.split() for line in engine.run(*words, "--environment", "prod").stdout.splitlines()]
    assert ["failed", "webhook", "oncall,", "gone"] in rows
    assert ["daily", "07:00", "Europe/Berlin", "(started,", "completed,", "failed)", "webhook", "oncall"] in rows
    assert "expected GROUP/PLAYBOOK, found 'tests'" in engine.run("notifications", "targets", "tests").stderr
    sent = engine.run("notifications", "test", "webhook", "oncall")
    assert (sent.returncode, sent.stdout) == (0, "sent by webhook to oncall\n"), sent.stderr
    refused = engine.run("notifications", "test", "webhook", "gone")
    assert (refused.returncode, "'gone': it answered 410 before" in refused.stderr) == (1, True), refused.stderr


def notifications(engine: EngineProcess) -> list[dict[str, Any]]:
    listed = engine.run("notifications", "--json")
    assert listed.returncode == 0, listed.stderr
    found: list[dict[str, Any]] = json.loads(listed.stdout)
    return found
