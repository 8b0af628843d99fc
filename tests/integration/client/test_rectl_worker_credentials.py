"""`rectl worker add`: the private half goes into a file, the public half to the engine, and what RabbitMQ needs to the operator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from re_core.wire.proof import SigningKey
from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine

RIGHTS = {
    "configure": "^c$",
    "write": "^(re|w)$",
    "read": "^r$",
    "exchange": "re",
    "topic_write": "^t$",
    "topic_read": "^b$",
}


def _row(**changes: Any) -> dict[str, Any]:
    return {
        "name": "w1",
        "public_key": "x",
        "commands": ["command"],
        "pool": "dmz",
        "environments": ["prod"],
        "created": "2026-01-02T03:04:05.000Z",
        "user": "ann",
        "revoked": None,
        **changes,
    }


def test_the_engine_gets_the_public_half_of_what_is_in_the_file(
    engine: FakeEngine, rectl: Rectl, tmp_path: Path
) -> None:
    engine.on("POST /api/v1/worker-credentials", Answer({**_row(), "rabbitmq": RIGHTS}, 201))
    file = tmp_path / "w1.credential"
    place = ("--command", "command", "--pool", "dmz", "--environment", "prod", "--file", str(file))
    ran = rectl("worker", "add", "w1", *place)
    assert (ran.code, ran.out) == (0, f"{file}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    key = SigningKey.parse(file.read_text())
    wanted = {"name": "w1", "public_key": key.public, "commands": ["command"], "pool": "dmz", "environments": ["prod"]}
    assert engine.asked[-1].document == wanted
    for line in (
        f"re-worker --credential {file} --pool dmz --environment prod command",
        "rabbitmqctl set_permissions -p / w1 '^c$' '^(re|w)$' '^r$'",
        "rabbitmqctl set_topic_permissions -p / w1 re '^t$' '^b$'",
    ):
        assert line in ran.err
    again = rectl("worker", "add", "w1", *place)
    assert (again.code, "exists already" in again.err) == (2, True)
    assert SigningKey.parse(file.read_text()) == key


def test_a_key_that_the_engine_refuses_is_not_kept(engine: FakeEngine, rectl: Rectl, tmp_path: Path) -> None:
    engine.on(
        "POST /api/v1/worker-credentials", Answer({"type": "/problems/conflict", "title": "x", "detail": "taken"}, 409)
    )
    assert rectl("worker", "add", "w1", "--file", str(tmp_path / "f")).code == 2
    assert list(tmp_path.glob("f")) == []


def test_a_key_that_was_made_elsewhere_is_added_without_a_file(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("POST /api/v1/worker-credentials", Answer({**_row(commands=[]), "rabbitmq": RIGHTS}, 201))
    public = SigningKey.new("w1").public
    ran = rectl("worker", "add", "w1", "--public-key", public, "--json")
    assert json.loads(ran.out)["file"] is None
    assert engine.asked[-1].document == {"name": "w1", "public_key": public}


@pytest.mark.parametrize("words", [("W1",), ("w1", "--public-key", "AAAA")])
def test_what_cannot_be_a_credential_is_refused_before_anything_is_made(rectl: Rectl, words: tuple[str, ...]) -> None:
    assert rectl("worker", "add", *words).code == 2


def test_credentials_are_listed_revoked_and_removed(engine: FakeEngine, rectl: Rectl) -> None:
    rows = [_row(), _row(name="w2", commands=[], pool=None, environments=[], revoked="2026-03-04T00:00:00.000Z")]
    engine.on("GET /api/v1/worker-credentials", Answer({"items": rows, "next": None}))
    lines = rectl("worker", "list").out.splitlines()
    assert lines[1].split()[:4] == ["w1", "command", "dmz", "prod"]
    assert (lines[2].split()[:2], "revoked 2026-03-04" in lines[2]) == (["w2", "*"], True)
    engine.on("POST /api/v1/worker-credentials/w1/revoke", Answer(_row()))
    engine.on("DELETE /api/v1/worker-credentials/w1", Answer(None, 204))
    assert rectl("worker", "revoke", "w1").code == rectl("worker", "remove", "w1").code == 0
