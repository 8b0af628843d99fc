"""Secrets of every place, given to code and to a host that say them everywhere: no byte of them is left in what people or files get."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from re_client.api import Client
from tests import plain_http
from tests.e2e.careless import OF_STEPS, VALUES, files_below, keep, sources
from tests.e2e.deploying import PATIENCE, await_line, await_redacted, ended
from tests.e2e.engine_process import EngineProcess, started, wait_until
from tests.e2e.leaks import arguments, found_in, seen_by_another_user
from tests.integration.notify.hooks import Hooks
from tests.integration.notify.irc_peer import join_as_user
from tests.integration.notify.mail_server import MailServer
from tests.services.ngircd import IrcServer
from tests.services.openbao import OpenBao
from tests.services.recipe import Place
from tests.services.sshd import SshHost, running

pytestmark = [pytest.mark.long, *(pytest.mark.service(name) for name in ("sshd", "ngircd", "openbao", "sops"))]

#: run on the host: prints them, shows where they are, and waits to be looked at
SCRIPT = r"""
printf 'it is %s\n' "$FILE" "$CREDENTIAL" "$VARIABLE" "$SOPS" "$VAULT" "$STORE"
printf '%s' "$VAULT" | base64 -w0; echo
env | sort
echo waiting; while [ ! -e "$GO" ]; do sleep 0.05; done
echo "failed with $FILE and $STORE"; exit 3
"""


class Around(NamedTuple):
    """The servers that the engine talks to."""

    mail: MailServer
    irc: IrcServer
    hooks: Hooks
    host: SshHost


@pytest.fixture
def around(ngircd: IrcServer, sshd: Place, tmp_path: Path) -> Iterator[Around]:
    with ExitStack() as stack:
        (tmp_path / "host").mkdir()
        host = stack.enter_context(running(sshd, tmp_path / "host", "web1"))
        yield Around(stack.enter_context(MailServer()), ngircd, stack.enter_context(Hooks()), host)


def _settings(place: Path, around: Around, bao: OpenBao) -> dict[str, Any]:
    own = place / "own"
    failed = {
        "email": ["all@example.com"],
        "irc": ["#team"],
        "webhook": ["hook"],
        "apprise": ["chat"],
        "console": ["all"],
    }
    irc = {"host": around.irc.host, "port": around.irc.port, "tls": False, "nick": "leakbot"}
    reference = {"secret": "ops/chat"}
    return {
        "secrets": sources(own, bao),
        "workers_dir": str(own / "workers"),
        "inventory": [str(own / "hosts.yml")],
        "deployment_log_dir": str(place / "deployment-logs"),
        "log_level": "debug",
        "public_url": "https://re.example.com",
        "email": {"host": "127.0.0.1", "port": around.mail.port, "sender": "re@example.com", "security": "none"},
        "irc": irc,
        "webhook": {"targets": {"hook": {"url": f"{around.hooks.url}/hook", "secret": {"secret": "ops/hook"}}}},
        "apprise": {"targets": {"chat": {"url": reference}}},
        "notify_templates": {"*": {"failed": {"slug": "{step}: {reason}", "message": "{message}\n{reason}\n{lines}"}}},
        "notify_digest": 3,
        "PHASE_NOTIFICATION": {"failed": failed},
    }


def _keep(place: Path, around: Around, bao: OpenBao, sops: Place) -> dict[str, str]:
    """Each value into its place, below `own`; the variables that the engine needs for them."""
    own = place / "own"
    environ = keep(own, bao, sops, f"json://user:{VALUES['ops/chat']}@127.0.0.1:{around.hooks.port}/chat")
    row = around.host.row(records=f"{around.host.seen}/records")
    (own / "hosts.yml").write_text(json.dumps({"hosts": {"web1": row}}))
    return environ


def _books(go: str) -> dict[str, str]:
    """A playbook for each way of ending."""
    values = {name.removeprefix("tests/"): {"secret": name} for name in OF_STEPS}
    env = {**{name.upper(): one for name, one in values.items()}, "GO": go}
    steps: dict[str, dict[str, Any]] = {
        "host": {"command:Run": {"cmd": SCRIPT, "shell": "/bin/sh", "env": env}},
        **{how: {"leaky:Say": {"values": values, "how": how}} for how in ("data", "raise", "fail")},
    }
    return {
        name: yaml.safe_dump({"group": "tests", "name": name, "execution": [{"hosts": ["web1"], "steps": [step]}]})
        for name, step in steps.items()
    }


def test_what_careless_steps_say_of_secrets_of_every_place_is_masked_everywhere(
    tmp_path: Path, around: Around, openbao: OpenBao, sops: Place
) -> None:
    environ = _keep(tmp_path, around, openbao, sops)
    engine = EngineProcess(tmp_path, yaml.safe_dump(_settings(tmp_path, around, openbao)))
    engine.environ |= {**environ, "PATH": environ["PATH"] + engine.environ["PATH"]}
    person = join_as_user(around.irc.host, around.irc.port, "reader", "JOIN #team")
    seen: dict[str, bytes] = {}
    with started(engine):
        done = subprocess.run(
            ["rectl", "secret", "set", "tests/store"],
            input=VALUES["tests/store"].encode(),
            env=engine.environ,
            check=True,
        )
        assert done.returncode == 0
        with engine.client() as client:
            ids = _deployed(client, around, seen)
            seen |= _shown(engine, client, ids)
        wait_until("every target has heard of all", lambda: _heard(engine, around), PATIENCE)
        seen |= {f"while it runs: {path.name}": path.read_bytes() for path in engine.data.glob("*.db*")}
        seen["irc"] = "\n".join(person.hear_until(lambda line: "fail" in line and "PRIVMSG" in line)).encode()
        seen["notifications"] = engine.run("notifications", "--json").stdout.encode()
    person.close()
    seen["hooks"] = b"".join(
        one.body + repr(one.headers).encode() for one in around.hooks.requests if "/chat" not in one.path
    )
    seen["chat"] = b"".join(one.body for one in around.hooks.requests if "/chat" in one.path)
    parts = [part for one in around.mail.mails for part in one.message.walk() if not part.is_multipart()]
    seen["mail"] = b"".join(
        [*(one.data for one in around.mail.mails), *(bytes(one.get_payload(decode=True)) for one in parts)]
    )
    for path in files_below(tmp_path):
        if not path.is_relative_to(tmp_path / "own"):
            seen[str(path)] = str(path).encode() + path.read_bytes()
    expected = ("engine.log", ".db", "deployment-logs", "record while it runs")
    assert [one for one in expected if not any(one in name for name in seen)] == []
    assert all(b"[redacted]" in seen[name] for name in ("mail", "hooks", "chat", "irc", str(engine.log)))
    leaks = [f"{name}: {what}" for name, data in seen.items() for what in found_in(data, VALUES)]
    assert leaks == [], "\n".join(leaks[:150])


def _deployed(client: Client, around: Around, seen: dict[str, bytes]) -> dict[str, str]:
    """Runs them all; looks at the processes, and at the host, while a program has the values in its environment."""
    books = _books(f"{around.host.seen}/go")
    ids = {}
    for name, book in books.items():
        stored = client.apply_playbook(book.encode())
        ids[name] = client.deploy("tests", stored["id"], {})["id"]
        if name == "host":
            await_line(client, ids[name], "waiting")
            seen["processes"] = arguments() + (seen_by_another_user() if os.geteuid() == 0 else b"")
            for path in files_below(around.host.data / "records"):
                seen[f"record while it runs: {path.name}"] = path.read_bytes()
            (around.host.data / "go").touch()
        assert ended(client, ids[name])["status"] == ("completed" if name == "data" else "failed")
    return ids


def _shown(engine: EngineProcess, client: Client, ids: dict[str, str]) -> dict[str, bytes]:
    """All that people are shown."""
    shown = {f"output of {name}": await_redacted(client, id, 7).encode() for name, id in ids.items()}
    words = [("status", ids["raise"]), ("logs", ids["host"]), ("watch", ids["fail"]), ("result", ids["data"], "0")]
    for one in (*words, ("config",), ("secret", "list"), ("deadletters", "list", "--json")):
        done = engine.run(*one)
        assert done.stdout or done.stderr
        shown["rectl " + " ".join(one)] = (done.stdout + done.stderr).encode()
    token = (engine.data / "token").read_text().strip()
    with plain_http.Client(base_url=client.url, headers={"authorization": f"Bearer {token}"}) as http:
        for path in (
            "/metrics",
            *(f"/api/v1/deployments/{id}{one}" for id in ids.values() for one in ("", "/journal")),
        ):
            shown[path] = http.get(path).content
    return shown


def _heard(engine: EngineProcess, around: Around) -> bool:
    """Of every transport something, and the dead letter of the target that is none."""
    rows = json.loads(engine.run("notifications", "--json", "--limit", "500").stdout)
    sent = {row["transport"] for row in rows if row["outcome"] == "sent"}
    refused = any(row["outcome"] == "failed" and "nowhere" in row["target"] for row in rows)
    together = any(row["together"] > 1 for row in rows)
    return {"email", "irc", "webhook", "apprise", "console"} <= sent and refused and together
