"""Envelopes, and what their bodies mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dploylib import problems
from dploylib.transport import (
    DataNotDeserializable,
    Envelope,
    MalformedBody,
    MalformedEnvelope,
    ReceivedData,
)
from dploylib.transport.envelope import encoded

FRAMES = st.binary(max_size=8)
NAMED = st.binary(min_size=1, max_size=8)


@given(frames=st.lists(NAMED, max_size=3), rest=st.tuples(FRAMES, FRAMES, FRAMES), dealer=st.booleans())
def test_every_well_formed_message_survives_being_read_and_sent(
    frames: list[bytes], rest: tuple[bytes, bytes, bytes], dealer: bool
) -> None:
    raw = [*frames, *([b""] if frames or dealer else []), *rest]
    assert [encoded(frame) for frame in Envelope.from_raw(raw).transfer_object()] == raw


@given(st.lists(FRAMES, max_size=6))
def test_any_message_is_an_envelope_or_refused_by_its_name(raw: list[bytes]) -> None:
    well_formed = len(raw) == 3 or (len(raw) > 3 and raw[-4] == b"")
    try:
        envelope = Envelope.from_raw(raw)
    except MalformedEnvelope as error:
        assert not well_formed
        assert error.frames == raw
    else:
        assert well_formed
        assert [encoded(frame) for frame in envelope.transfer_object()] == raw


def test_text_stays_text_and_bytes_of_a_body_stay_bytes() -> None:
    envelope = Envelope.from_raw([b"a", b"", b"id", b"text/plain", b"body"])
    assert (envelope.id, envelope.mimetype, envelope.data) == ("id", "text/plain", b"body")
    assert envelope.request_frames == [b"a"]
    assert Envelope.new("text/plain", "body", id="id").transfer_object() == ["id", "text/plain", "body"]
    assert Envelope("id", "text/plain", "body").request_frames == []


def test_an_answer_goes_back_under_the_same_id_unless_another_one_is_given() -> None:
    asked = Envelope.new("text/plain", "?", id="job", request_frames=[b"a", b"b"])
    assert asked.response_envelope("a/b", "!").transfer_object() == [b"a", b"b", "", "job", "a/b", "!"]
    assert asked.response_envelope("a/b", "!", id="").id == ""
    dealer = Envelope.from_raw([b"", b"job", b"a/b", b"!"])
    assert dealer.response_envelope("a/b", "?").transfer_object() == ["", "job", "a/b", "?"]


def test_the_representation_shows_no_body() -> None:
    assert repr(Envelope.new("text/plain", "secret", id="i" * 1000)).endswith("mimetype='text/plain' body of 6>")


@pytest.mark.parametrize("value", [0, False, "", [], {"a": None}, 12.5])
def test_a_json_body_is_decoded_once_whatever_it_is(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    received = ReceivedData(Envelope.new("application/json", json.dumps(value).encode()))
    assert received.json == value
    monkeypatch.setattr(json, "loads", None)
    assert received.json == value


def test_a_body_of_another_mimetype_has_no_json() -> None:
    received = ReceivedData(Envelope.new("text/plain", b"{}"))
    assert received.json is None
    assert received.obj is None
    assert received.text == "{}"


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused_by_its_name(body: bytes) -> None:
    with pytest.raises(MalformedBody) as raised:
        _ = ReceivedData(Envelope.new("application/json", body)).json
    assert isinstance(raised.value, ValueError)


def test_a_body_that_is_no_text_is_refused_by_its_name() -> None:
    with pytest.raises(MalformedBody):
        _ = ReceivedData(Envelope.new("text/plain", b"\xff")).text


class Counted:
    """Counts what it deserialized."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def deserialize(self, data: Any) -> int:
        self.seen.append(data)
        return 0


def test_an_object_is_deserialized_once_even_if_it_is_falsy() -> None:
    counted = Counted()
    received = ReceivedData(Envelope.new("application/json", "[1]"), counted)
    assert (received.obj, received.obj, counted.seen) == (0, 0, [[1]])


@pytest.mark.parametrize(
    ("mimetype", "body"), [("text/plain", "[1]"), ("application/json", "null"), ("application/json", "{")]
)
def test_a_deserializer_gets_nothing_but_json(mimetype: str, body: str) -> None:
    counted = Counted()
    with pytest.raises(DataNotDeserializable):
        _ = ReceivedData(Envelope.new(mimetype, body), counted).obj
    assert counted.seen == []


def test_a_problem_is_read_as_it_was_written() -> None:
    answer = Envelope.new(problems.PROBLEM_MIMETYPE, problems.body("refused", "no"))
    assert problems.read(answer.mimetype, answer.data) == "refused: no"
    assert problems.read("text/plain", "no") is None


@pytest.mark.parametrize("body", ["", "[]", "{}", "null", b"\xff", "[" * 100_000])
def test_a_problem_that_cannot_be_read_is_a_problem_still(body: str | bytes) -> None:
    assert problems.read(problems.PROBLEM_MIMETYPE, body)
