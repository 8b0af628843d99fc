"""From a message to a word of the machine: nothing of a secret stays, whatever is cut or cannot be read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from re_core.deployment import events as e
from re_core.deployment.records import MAX_DATA
from re_core.deployment.results import MAX_MESSAGE
from re_core.errors import BadMessage
from re_core.sequencer.decoding import read_word
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction

SECRET = Redaction([re.compile("s3cr3t-[0-9]+")])
TEXT = "s3cr3t-1234567890"


def _message(document: Any, **headers: str) -> Message:
    return Message("re.reply.0", m.encode(document), "x", "d1", "", {m.ATTEMPT: "d1/0/1", **headers})


def _outcome(**said: Any) -> e.OutcomeReported:
    event = read_word(_message({"status": "failed", **said}), SECRET).event
    assert isinstance(event, e.OutcomeReported)
    return event


def test_a_secret_that_straddles_the_cut_of_a_message_or_of_data_is_gone() -> None:
    for place in range(len(TEXT) + 2):
        message = _outcome(message="x" * (MAX_MESSAGE - 40 - place) + TEXT + "x" * 100).message
        assert message is not None and len(message) <= MAX_MESSAGE and "s3" not in message
        data = _outcome(data="x" * (MAX_DATA - 2 - place) + TEXT + "x" * 100)
        assert data.cut and "s3" not in data.data


def test_why_a_worker_declined_is_redacted_and_bounded() -> None:
    event = read_word(_message({"reason": f"no {TEXT} {'x' * 9000}"}, **{m.EVENT: "declined"}), SECRET).event
    assert isinstance(event, e.ClaimReleased)
    assert event.reason.startswith("no [redacted] x") and len(event.reason) == MAX_MESSAGE


def test_why_a_worker_lost_a_step_is_redacted_and_bounded() -> None:
    message = _message({"reason": f"no {TEXT} {'x' * 9000}"}, **{m.EVENT: "lost", m.TOKEN: "t"})
    event = read_word(message, SECRET).event
    assert isinstance(event, e.AttemptLost)
    assert (event.step, event.attempt, event.token) == (0, 1, "t")
    assert event.reason.startswith("no [redacted] x") and len(event.reason) == MAX_MESSAGE


def test_a_claim_says_how_often_it_has_moved() -> None:
    headers = {m.TOKEN: "t", m.WORKER: "w", m.ASKS: "1"}
    event = read_word(_message({"status": "started"}, **headers, **{m.MOVES: "12"}), SECRET).event
    assert event == e.ClaimMade(0, 1, "w", "t", "", True, 12)
    assert read_word(_message({"status": "started"}, **headers), SECRET).event.moves == 0


@pytest.mark.parametrize("moves", ["0", "-1", "x", "", "9" * 30])
def test_a_number_of_moves_that_is_none_is_refused(moves: str) -> None:
    with pytest.raises(BadMessage, match="the header re-moves is"):
        read_word(_message({"status": "started"}, **{m.MOVES: moves}), SECRET)


def test_a_restart_says_which_attempts_it_spares() -> None:
    body = {"before": 1, "worker": None, "spared": ["d1/3/1", "d1/4/2"]}
    assert read_word(_message(body, **{m.EVENT: "gone"}), SECRET).event == e.WorkerLost(1, None, ((3, 1), (4, 2)))


@pytest.mark.parametrize("spared", ["d1/3/1", [3], ["d1"]])
def test_spared_attempts_that_are_none_are_refused(spared: Any) -> None:
    with pytest.raises(BadMessage):
        read_word(_message({"before": 1, "worker": None, "spared": spared}, **{m.EVENT: "gone"}), SECRET)


def test_a_worker_that_declines_says_who_it_is() -> None:
    message = _message({"reason": "no"}, **{m.EVENT: "declined", m.TOKEN: "t", m.WORKER: "w"})
    assert read_word(message, SECRET).event == e.ClaimReleased(0, 1, "t", "no", "w")


def test_what_a_person_says_is_bounded() -> None:
    event = read_word(_message({"user": "u" * 9000, "reason": "r" * 9000}, **{m.EVENT: "cancel"}), SECRET).event
    assert isinstance(event, e.CancelAsked)
    assert (len(event.user), len(event.reason)) == (MAX_MESSAGE, MAX_MESSAGE)


@pytest.mark.parametrize(
    "document",
    [
        {"status": "failed", "message": ["x" * 30 + TEXT]},
        {"status": "x" * 35 + TEXT},
        {"status": TEXT},
    ],
)
def test_why_a_message_cannot_be_read_has_no_part_of_a_secret(document: Any) -> None:
    with pytest.raises(BadMessage) as caught:
        read_word(_message(document), SECRET)
    assert "s3cr" not in str(caught.value)


def test_a_message_that_only_its_secret_makes_unreadable_says_that_much() -> None:
    body = b'{"status":"failed","message":"a\\ud800"}'
    with pytest.raises(BadMessage, match="the reason is not shown, because it contains redacted text"):
        read_word(_message({})._replace(body=body), Redaction([re.compile(r"\\ud800")]))
