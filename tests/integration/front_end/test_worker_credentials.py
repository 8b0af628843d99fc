"""Credentials of workers over REST: the public half comes in, and what RabbitMQ needs goes out."""

from __future__ import annotations

import re

import pytest

from re_core.wire.proof import SigningKey
from tests.integration.front_end.front_end_harness import FrontEndHarness

PATH = "/api/v1/worker-credentials"


def _asked(**more: object) -> dict[str, object]:
    return {"name": "w1", "public_key": SigningKey.new("w1").public, **more}


def test_a_credential_is_added_listed_revoked_and_only_then_removed(harness: FrontEndHarness) -> None:
    asked = _asked(commands=["command", "command"], pool="dmz", environments=["prod"])
    made = harness.call("POST", PATH, json=asked)
    assert (made.status_code, made.headers["Location"]) == (201, f"{PATH}/w1")
    known = {**asked, "commands": ["command"], "revoked": None}
    assert known.items() <= harness.call("GET", PATH).json["items"][0].items()
    assert harness.call("POST", PATH, json=_asked()).status_code == 409
    assert harness.call("DELETE", f"{PATH}/w1").status_code == 409
    assert harness.call("POST", f"{PATH}/w1/revoke").json["revoked"]
    assert harness.call("DELETE", f"{PATH}/w1").status_code == 204
    assert harness.call("POST", f"{PATH}/w1/revoke").status_code == 404


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"name": "W 1"}, "/name"),
        ({"public_key": "AAAA"}, "/public_key"),
        ({"pool": "DMZ"}, "/pool"),
        ({"environments": ["a b"], "pool": "dmz"}, "/environments"),
        ({"environments": ["prod"]}, "/pool"),
        ({"commands": ["no.command"]}, "/commands"),
    ],
)
def test_what_cannot_be_a_credential_is_refused_with_its_place(
    harness: FrontEndHarness, more: dict[str, object], path: str
) -> None:
    answer = harness.call("POST", PATH, json=_asked(**more))
    assert answer.status_code == 422
    assert [one["path"] for one in answer.json["errors"]] == [path]


def test_the_rights_at_the_broker_are_those_of_its_own_queues(harness: FrontEndHarness) -> None:
    asked = _asked(commands=["command", "file"], pool="dmz")
    rights = harness.call("POST", PATH, json=asked).json["rabbitmq"]
    reads, writes, keys = (re.compile(rights[key]) for key in ("read", "write", "topic_write"))
    for queue in ("worker.command.dmz", "worker.file.dmz", "re.control.w1~01K.command", "re.answer.x.1", "re"):
        assert reads.match(queue), queue
    for queue in (
        "worker.command",
        "worker.command.dmz2",
        "worker.git.dmz",
        "re.control.w10~01K.command",
        "re.reply.3",
    ):
        assert not reads.match(queue), queue
    for exchange in ("amq.default", "re.job.create", "re.reply.3", "other"):
        assert not writes.match(exchange), exchange
    for key in ("heartbeat", "output", "notified", "notify.irc", "re.reply.3", "re.secrets"):
        assert keys.match(key), key
    for key in ("job.create", "worker.command.dmz", "re.control.w2~01.command", "event.deployment.ended"):
        assert not keys.match(key), key
