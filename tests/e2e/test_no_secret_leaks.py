"""Every secret of a deployment, looked for in all that the engine leaves behind and in what another user of the machine sees."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_client.api import Client
from tests.e2e.deploying import await_line, await_redacted, begin, ended
from tests.e2e.engine_process import EngineProcess, running, wait_until
from tests.e2e.leaks import arguments, found_in, seen_by_another_user
from tests.integration.notify.mail_server import MailServer

#: name -> value; each comes from another place
VALUES = {
    "tests/db": "st0re/+p4ss'w\"ord&<x>",
    "tests/file": "f1le-" + "k" * 2000 + "-end",
    "tests/variable": "v4riable secret",
    "tests/key": "-----BEGIN TEST KEY-----\nbGluZSBvbmUgb2Yga2V5\nbGluZSB0d28gb2Yga2V5\n-----END TEST KEY-----\n",
}

#: prints them in every way that a careless script does, then waits to be looked at, then fails with them
SCRIPT = r"""
for value in "$DB" "$FILE" "$VAR" "$KEY"; do printf '%s' "$value" | sha256sum | cut -c1-64 >> "$LEDGER"; done
printf 'it is %s\n' "$DB" "$FILE" "$VAR" "$KEY"
printf '%s' "$DB" | base64; printf 'user:%s' "$VAR" | base64; printf '%s' "$DB" | od -An -tx1 | tr -d ' \n'; echo
head -c 16380 /dev/zero | tr '\0' x; printf '%s\n' "$DB"
echo "$VAR" >&2
set -x; : "$VAR"; set +x
env | grep -c . > /dev/null
echo waiting; while [ ! -e "$GO" ]; do sleep 0.05; done
echo "failed with $DB and $VAR"; exit 3
"""


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def _settings(place: Path, port: int) -> str:
    return f"""
secrets:
  - files: {place}/secrets
  - environment: {{tests/variable: MY_SECRET_VARIABLE}}
  - engine
deployment_log_dir: {place}/deployment-logs
log_level: debug
email: {{host: 127.0.0.1, port: {port}, sender: re@example.com, security: none}}
"""


def _book(place: Path) -> str:
    script = "".join(f"              {line}\n" for line in SCRIPT.strip().splitlines())
    return f"""group: tests
name: leaks
execution:
  - hosts: [one]
    steps:
      - command:Run:
          cmd: |
{script}          failfast: false
          shell: /bin/sh
          env:
            LEDGER: {place}/ledger
            GO: {place}/go
            DB: {{secret: tests/db}}
            FILE: {{secret: tests/file}}
            VAR: {{secret: tests/variable}}
            KEY: {{secret: tests/key}}
          notify:
            started: {{email: [a@example.com]}}
            failed: {{email: [a@example.com]}}
"""


def test_no_byte_of_a_secret_is_left_anywhere(tmp_path: Path, mail: MailServer) -> None:
    (tmp_path / "secrets/tests").mkdir(parents=True, mode=0o700)
    (tmp_path / "secrets/tests/file").write_text(VALUES["tests/file"])
    (tmp_path / "secrets/tests/file").chmod(0o600)
    seen: dict[str, bytes] = {}
    with running(tmp_path, _settings(tmp_path, mail.port)) as engine:
        _restart_with_variable(engine)
        for name in ("tests/db", "tests/key"):
            done = _set_from_standard_input(engine, name)
            seen[f"rectl secret set {name}"] = done
        with engine.client() as client:
            id = begin(client, _book(tmp_path))
            await_line(client, id, "waiting")
            seen["processes"] = arguments() + (seen_by_another_user() if os.geteuid() == 0 else b"")
            (tmp_path / "go").touch()
            assert ended(client, id)["status"] == "failed"
            seen |= _answers(engine, client, id)
        wait_until("both mails have come", lambda: len(mail.mails) >= 2, 60)
        parts = [part for one in mail.mails for part in one.message.walk() if not part.is_multipart()]
        texts = [bytes(part.get_payload(decode=True)) for part in parts]
        seen["mail"] = b"".join([*(one.data for one in mail.mails), *texts])
        assert b"failed" in seen["mail"]
    _program_had_them(tmp_path)
    for path in _left_behind(engine):
        seen[str(path)] = path.read_bytes()
    assert any("engine.log" in name for name in seen) and any(name.endswith(".db") for name in seen)
    leaks = [f"{name}: {what}" for name, data in seen.items() for what in found_in(data, VALUES)]
    assert leaks == []


def _restart_with_variable(engine: EngineProcess) -> None:
    assert engine.stop() == 0
    engine.environ["MY_SECRET_VARIABLE"] = VALUES["tests/variable"]
    engine.start()


def _set_from_standard_input(engine: EngineProcess, name: str) -> bytes:
    value = VALUES[name]
    given = value if "\n" in value else f"{value}\n"
    words = ["rectl", "secret", "set", name]
    done = subprocess.run(words, input=given.encode(), env=engine.environ, capture_output=True, timeout=120, check=True)
    return done.stdout + done.stderr


def _answers(engine: EngineProcess, client: Client, id: str) -> dict[str, bytes]:
    """What people are shown of the deployment."""
    shown = {"output": await_redacted(client, id, 10).encode()}
    for words in (("status", id), ("result", id, "0"), ("logs", id), ("secret", "list"), ("config",)):
        done = engine.run(*words)
        shown[" ".join(words)] = (done.stdout + done.stderr).encode()
    shown["plan"] = str(client.deployment(id)).encode()
    return shown


def _program_had_them(place: Path) -> None:
    wanted = [hashlib.sha256(value.encode()).hexdigest() for value in VALUES.values()]
    assert (place / "ledger").read_text().split() == wanted


def _left_behind(engine: EngineProcess) -> list[Path]:
    """Every file of the engine but the secret that the test itself has put there."""
    own = engine.directory / "secrets"
    return [path for path in engine.directory.rglob("*") if path.is_file() and not path.is_relative_to(own)]
