"""Ids, times, keys, and a core that answers nonsense."""

from __future__ import annotations

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.errors import BadDocument, CallerError, NoAnswer, Refused, StoreUnavailable
from re_core.playbook.compiler import EnginePolicy
from re_core.usecases import checking, deployments, ids, keys, times
from re_core.usecases.deployments import Author, Found, Origin
from re_core.wire.messages import DeploymentRequest, Message, encode
from tests.factories import ONE_HOST, principal


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (999, "1970-01-01T00:00:00.999Z"),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds_and_read_back(at: int, text: str) -> None:
    assert times.rfc3339(at) == text
    assert times.parse_time(text, "since") == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2023-11-14T22:13:20", 1_700_000_000_000),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
        ("2023-11-14", 1_699_920_000_000),
        ("0001-01-01", 0),
    ],
)
def test_a_time_without_an_offset_is_utc(text: str, at: int) -> None:
    assert times.parse_time(text, "since") == at


@pytest.mark.parametrize("text", ["", "yesterday", "2023-13-01", "1" * 5000, "\0"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CallerError):
        times.parse_time(text, "since")


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    assert times.seconds_between(10_000, 4_000) == 0
    assert times.seconds_between(None, 4_000) is None


def test_new_ids_are_plausible_and_differ() -> None:
    made = {ids.new_id() for _ in range(100)}

    assert len(made) == 100
    assert all(ids.plausible(id) for id in made)


@pytest.mark.parametrize("text", ["", "x" * 129, "a b", "ä", "\0", "a\n", "\x7f"])
def test_what_cannot_be_an_id_is_not_looked_for(text: str) -> None:
    assert not ids.plausible(text)


def test_two_spellings_of_one_body_have_one_digest() -> None:
    assert keys.body_digest({"a": {"x": 1, "y": [{"b": 1, "c": 2}]}, "b": 2}) == keys.body_digest(
        {"b": 2, "a": {"y": [{"c": 2, "b": 1}], "x": 1}}
    )
    assert keys.body_digest({"a": [1, 2]}) != keys.body_digest({"a": [2, 1]})


def test_a_key_of_one_user_is_nobody_elses() -> None:
    assert keys.key_digest("a", "r", "bc") != keys.key_digest("ab", "r", "c")


@pytest.mark.parametrize("answered", [b"[]", b"{}", b'{"id": 7}', b'{"id": null}'])
def test_an_answer_that_names_no_deployment_is_a_refusal(answered: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = EmbeddedBus(None)
    monkeypatch.setattr(bus, "request", lambda message, timeout: Message("r", answered, "a"))

    with pytest.raises(Refused):
        deployments.create(bus, principal("u"), DeploymentRequest("g", "p", {}), Origin(), 1)


def test_while_the_core_is_in_trouble_nothing_is_asked_of_it() -> None:
    bus = EmbeddedBus(None)
    bus.declare("re.job.create")

    with pytest.raises(StoreUnavailable, match="the disk is full"):
        deployments.create(
            bus, principal("u"), DeploymentRequest("g", "p", {}), Origin(), 1, lambda: "the disk is full"
        )

    assert bus.subscribe(["re.job.create"], 1).take(1, 0) == []


def test_no_answer_in_trouble_says_which_trouble_and_which_id() -> None:
    bus = EmbeddedBus(None)
    bus.declare("re.job.create")
    troubles = iter(["", "the disk is full"])

    with pytest.raises(StoreUnavailable, match=r"the disk is full; if the core received .* id is 0"):
        deployments.create(bus, principal("u"), DeploymentRequest("g", "p", {}), Origin(), 0.01, lambda: next(troubles))


def test_what_compiles_to_too_many_steps_is_told_like_any_other_error() -> None:
    hosts = [f"h{number}" for number in range(101)]
    document = {"group": "g", "name": "n", "execution": [{"hosts": hosts, "steps": ["noop:A"] * 100}]}

    checked = checking.read(encode(document), "json", {}, EnginePolicy())

    assert len(checked.errors) == 1
    assert "10000" in checked.errors[0].message
    with pytest.raises(BadDocument):
        checking.require(checked)


def test_triggers_that_make_a_playbook_too_long_are_told_when_it_is_stored() -> None:
    trigger = {"DESCRIPTION": "d", "WHEN": {"NEXT_COMMAND": "noop"}, "COMMAND": "sleep", "SUBCOMMAND": "Seconds"}
    hosts = [f"h{number}" for number in range(60)]
    document = {"group": "g", "name": "n", "execution": [{"hosts": hosts, "steps": ["noop:A"] * 100}]}

    assert checking.read(encode(document), "json", {}, EnginePolicy()).errors == ()
    [problem] = checking.read(encode(document), "json", {}, EnginePolicy(triggers=[trigger])).errors

    assert "10000" in problem.message


def test_silence_after_a_cancel_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = EmbeddedBus(None)
    monkeypatch.setattr(bus, "request", lambda message, timeout: None)

    with pytest.raises(NoAnswer) as caught:
        deployments.cancel(bus, Found("dep1", "g"), Author(principal("olga")), 0.5)
    assert caught.value.id == "dep1"


def test_what_cannot_be_parsed_is_told_too() -> None:
    [problem] = checking.read(b"a: [", "yaml", {}, EnginePolicy()).errors

    assert problem.line is not None


def test_a_version_without_quotation_marks_is_a_warning_and_a_limit_that_is_a_number_is_none() -> None:
    text = (
        ONE_HOST
        + b"""
      - noop:Do: {version: 1.10}
        timeout: 2.50
"""
    )
    checked = checking.read(text, "yaml", {"noop:*": {}}, EnginePolicy())
    assert checked.errors == ()
    [warning] = checked.warnings
    assert (warning.path, warning.line, warning.column) == ("/execution/0/steps/0/noop:Do/version", 7, 28)
    assert "1.10 is read as the number 1.1" in warning.message
