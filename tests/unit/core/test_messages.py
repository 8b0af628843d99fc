"""The parsers of what travels the bus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.errors import BadMessage
from re_core.wire import messages as m
from tests.unit.core.test_strict_json import documents

PARSERS: dict[str, Callable[[bytes], object]] = {
    "deployment": m.parse_deployment_request,
    "step": m.parse_step,
    "reply": m.parse_reply,
    "notification": m.parse_notification,
    "output": m.parse_output,
    "heartbeat": m.parse_heartbeat,
    "event": m.parse_event,
}
STEP: dict[str, Any] = {
    "parameters": {"hosts": ["a"], "command": "service", "subcommand": "Restart", "service": "megafrobber"},
    "group": "test",
    "dynamic": {"cart": "bitmath"},
    "notify": {"started": {"irc": ["#team"]}},
}
BEAT: dict[str, Any] = {"worker": "w", "slots": 2, "offers": {"noop:*": {"retries": 1, "timeout": None}}, "running": []}
_keys = "group playbook_id dynamic parameters notify status data message slug phase target worker slots offers running"


def test_a_deployment_message_is_read() -> None:
    full = {"group": "g", "playbook_id": "7", "dynamic": {"a": 1}, "source_ip": "::1", "user_id": "pat"}
    assert m.parse_deployment_request(m.encode(full)) == m.DeploymentRequest("g", "7", {"a": 1}, "pat", "::1")
    assert m.parse_deployment_request(b'{"group":"g","playbook_id":"7"}') == m.DeploymentRequest("g", "7", {})


def test_a_step_message_is_read() -> None:
    read = m.parse_step(m.encode(STEP))
    assert (read.parameters, read.group, read.dynamic, read.notify) == tuple(STEP.values())


def test_a_reply_is_read_and_kept_whole() -> None:
    body = {"status": "completed", "data": [1], "message": "ok", "exit": 0}
    assert m.parse_reply(m.encode(body)) == m.Reply("completed", [1], "ok", body)
    assert m.parse_reply(b'{"status":"started"}').data is None


def test_a_notification_is_read() -> None:
    body = {"slug": "s" * 80, "message": "m", "phase": "failed", "target": ["#a", "b"]}
    assert m.parse_notification(m.encode(body)) == m.Notification("s" * 80, "m", "failed", ("#a", "b"))


def test_output_and_events_are_read() -> None:
    assert m.parse_output(b'{"message":"one\\ntwo"}') == "one\ntwo"
    assert m.parse_event(b'{"reason":"x"}') == {"reason": "x"}


def test_a_heartbeat_is_read() -> None:
    assert m.parse_heartbeat(m.encode(BEAT)) == m.Heartbeat("w", 2, BEAT["offers"], ())


@pytest.mark.parametrize(
    ("name", "document", "path"),
    [
        ("deployment", {"group": "g"}, "/playbook_id"),
        ("deployment", {"group": 1, "playbook_id": "7"}, "/group"),
        ("deployment", {"group": "g", "playbook_id": "7", "dynamic": None}, "/dynamic"),
        ("deployment", {"group": "g", "playbook_id": "7", "user_id": 1}, "/user_id"),
        ("deployment", {"group": "g", "playbook_id": "7", "a/b~": 1}, "/a~1b~0"),
        ("deployment", [], ""),
        ("step", {**STEP, "parameters": {"command": "x"}}, "/parameters/subcommand"),
        ("step", {**STEP, "parameters": {"command": "x", "subcommand": "y", "hosts": "a"}}, "/parameters/hosts"),
        ("step", {**STEP, "notify": []}, "/notify"),
        ("step", {key: STEP[key] for key in ("parameters", "group", "notify")}, "/dynamic"),
        ("reply", {"status": "done"}, "/status"),
        ("reply", {"status": "failed", "message": {}}, "/message"),
        ("notification", {"slug": "s" * 81, "message": "m", "phase": "failed", "target": []}, "/slug"),
        ("notification", {"slug": "s", "message": "m", "phase": "lost", "target": []}, "/phase"),
        ("notification", {"slug": "s", "message": "m", "phase": "failed", "target": "a"}, "/target"),
        ("output", {"message": ["x"]}, "/message"),
        ("heartbeat", {**BEAT, "slots": True}, "/slots"),
        ("heartbeat", {**BEAT, "slots": 1.5}, "/slots"),
        ("heartbeat", {**BEAT, "running": [1]}, "/running"),
        ("heartbeat", {**BEAT, "offers": []}, "/offers"),
        ("heartbeat", {**BEAT, "offers": {"noop": {}}}, "/offers/noop"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": 1}}, "/offers/noop:A"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"parameters": 1}}}, "/offers/noop:A/parameters"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"accepts": []}}}, "/offers/noop:A/accepts"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"accepts": {"a": "b"}}}}, "/offers/noop:A/accepts/a"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"accepts": {"a": [1]}}}}, "/offers/noop:A/accepts/a"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"accepts": {"a": ["x" * 201]}}}}, "/offers/noop:A/accepts/a"),
        (
            "heartbeat",
            {**BEAT, "offers": {"noop:A": {"accepts": {"a/b": ["x"] * 1001}}}},
            "/offers/noop:A/accepts/a~1b",
        ),
        (
            "heartbeat",
            {**BEAT, "offers": {"noop:A": {"accepts": {str(n): [] for n in range(21)}}}},
            "/offers/noop:A/accepts",
        ),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"summary": 1}}}, "/offers/noop:A/summary"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"timeout": "1"}}}, "/offers/noop:A/timeout"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"retries": -1}}}, "/offers/noop:A/retries"),
        ("heartbeat", {**BEAT, "offers": {"noop:A": {"idempotent": None}}}, "/offers/noop:A/idempotent"),
    ],
)
def test_what_is_not_in_the_format_is_refused_and_pointed_at(name: str, document: Any, path: str) -> None:
    with pytest.raises(BadMessage) as caught:
        PARSERS[name](m.encode(document))
    assert caught.value.path == path
    assert str(caught.value)


@given(st.binary() | st.dictionaries(st.sampled_from(_keys.split()), documents, max_size=5).map(m.encode))
def test_no_body_raises_anything_but_bad_message(body: bytes) -> None:
    for parse in PARSERS.values():
        try:
            parse(body)
        except BadMessage as error:
            assert str(error)


def test_an_attempt_is_read_from_the_right() -> None:
    attempt = m.AttemptId("a/b", 3, 12)
    assert str(attempt) == "a/b/3/12"
    assert m.parse_attempt("a/b/3/12") == attempt


def test_a_long_id_of_an_attempt_is_read_and_not_remembered() -> None:
    before = m._parsed_attempt.cache_info()
    long = "d" * 10_000
    assert m.parse_attempt(f"{long}/3/12") == m.AttemptId(long, 3, 12)
    assert m._parsed_attempt.cache_info() == before
    assert m.parse_attempt("short/3/12") == m.parse_attempt("short/3/12") == m.AttemptId("short", 3, 12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d",
        "d/1",
        "/1/1",
        "d/1/",
        "d//1",
        "d/-1/1",
        "d/x/1",
        "d/\u0661/1",
        "d/\u00b2/1",
        "d/1/1\n",
        f"d/1/{'9' * 5000}",
    ],
)
def test_what_is_no_attempt_is_refused(text: str) -> None:
    with pytest.raises(BadMessage, match="not <deployment>/<step>/<attempt>"):
        m.parse_attempt(text)


def test_a_deployment_keeps_its_reply_queue_and_many_spread_over_all_of_them() -> None:
    assert m.reply_queue("d1") == m.reply_queue("d1")
    spread = Counter(m.reply_queue(f"01J9ZV7S7N0T2B8Q4W5X6Y{number:04d}") for number in range(1600))
    assert set(spread) == set(m.reply_queues())
    assert min(spread.values()) > 50
