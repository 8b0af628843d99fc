"""Outcomes as bytes: nothing that a step returns can keep its end from being told."""

from __future__ import annotations

import re
from typing import Any

import pytest

from re_core.wire.messages import parse_reply
from re_core.wire.redaction import Redaction
from re_core.wire.strict_json import MAX_BYTES
from re_workers.outcomes import MAX_TEXT, Outcome, encode


@pytest.mark.parametrize("data", [0, False, "", [], {}, {"a": [1, None]}, "text", 1.5])
def test_data_travels_as_it_is(data: Any) -> None:
    reply = parse_reply(encode(Outcome("completed", data)))
    assert (reply.status, reply.data) == ("completed", data)


def test_no_data_and_no_message_are_no_keys() -> None:
    assert parse_reply(encode(Outcome("completed"))).body == {"status": "completed"}
    assert parse_reply(encode(Outcome("failed", None, "why"))).body == {"status": "failed", "message": "why"}


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(70):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (object(), "object is not JSON serializable"),
        ({1, 2}, "set is not JSON serializable"),
        (float("nan"), "not JSON compliant"),
        ({1: "a", "1": "b"}, "the key '1' occurs twice"),
        ("\ud800", "surrogates not allowed"),
        (_circle(), "it contains itself"),
        (_deep(), "nested deeper than 64 levels"),
    ],
)
def test_data_that_is_not_json_fails_the_step_and_says_so(data: Any, why: str) -> None:
    reply = parse_reply(encode(Outcome("completed", data)))
    assert reply.status == "failed"
    assert reply.message is not None
    assert reply.message.startswith("the step's data is not JSON: ")
    assert why in reply.message


def test_data_that_no_message_can_carry_is_left_out_and_the_status_stays() -> None:
    reply = parse_reply(encode(Outcome("completed", "x" * MAX_BYTES, "done")))
    assert reply.body.keys() == {"status", "message"}
    assert (reply.status, reply.message) == (
        "completed",
        f"done; the step's data is omitted: it has {MAX_BYTES + 49} bytes",
    )


def test_a_message_of_any_shape_can_be_sent() -> None:
    assert parse_reply(encode(Outcome("failed", None, "a\ud800b"))).message == "a?b"
    long = parse_reply(encode(Outcome("failed", None, "x" * MAX_BYTES))).message
    assert long is not None
    assert long.endswith("x … (cut)")


def test_a_secret_that_straddles_the_cut_of_a_message_is_gone() -> None:
    secret = Redaction([re.compile("hunter2")])
    for place in range(MAX_TEXT - 8, MAX_TEXT + 2):
        said = parse_reply(encode(Outcome("failed", None, "x" * place + "hunter2 or so"), secret)).message
        assert said is not None and "h" not in said


def test_a_message_that_is_whole_is_left_to_the_core() -> None:
    """An expectation compares what the step said."""
    secret = Redaction([re.compile("hunter2")])
    assert parse_reply(encode(Outcome("failed", None, "hunter2"), secret)).message == "hunter2"
