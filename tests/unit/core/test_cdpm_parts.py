"""The small parts of a pipeline: rules, times, ids, its document, its events as messages and in the feed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from re_core.cdpm import events as e
from re_core.cdpm import feed
from re_core.cdpm import records as r
from re_core.cdpm.asking import last_slot, next_slot
from re_core.cdpm.ids import deployment_id, pipeline_key, subscription_id
from re_core.cdpm.inputs import filled, own_chain, own_inputs
from re_core.cdpm.moments import length, milliseconds, written
from re_core.cdpm.node_document import REACTION_INPUTS, TRIAL_INPUTS, Node, parse_node, playbooks_of, read_node
from re_core.cdpm.rules import Rule, parse_rule
from re_core.cdpm.words import NAMES, event_message, event_of
from re_core.deployment.records import Void
from re_core.errors import BadDocument, BadMessage
from re_core.wire import messages as m
from re_core.wire.messages import Message
from tests.pipelines import BEGINNING, DOCUMENT, KEY, PLAYBOOKS, Run, release, subscribe, subscribed

# -- rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "votes", "majors", "met"),
    [
        (2, 2, 5, True),
        ("2", 1, 5, False),
        ("2 of majors", 2, 2, True),
        ("50% of majors", 2, 4, True),
        ("50% of majors", 2, 5, False),
        ("51%  of  majors", 2, 4, False),
        ("all of majors", 3, 3, True),
        ("all of majors", 2, 3, False),
        ("all of majors", 0, 0, False),
        ("1% of majors", 0, 0, False),
    ],
)
def test_a_rule_is_met_by_so_many_votes(text: int | str, votes: int, majors: int, met: bool) -> None:
    rule = parse_rule(text)
    assert rule is not None
    assert rule.is_met(votes, majors) is met


@pytest.mark.parametrize(
    "text", [0, -1, True, "", "none", "0", "101% of majors", "0% of majors", "2 of all", "2.5", "all"]
)
def test_what_is_no_rule_is_none(text: Any) -> None:
    assert parse_rule(text) is None


# -- times -------------------------------------------------------------------------------------------


@given(st.integers(0, 4_102_444_800_000))
def test_a_time_is_written_and_read_as_the_calendar_has_it(at: int) -> None:
    text = written(at)
    assert milliseconds(text) == at
    moment = datetime.fromtimestamp(at // 1_000, UTC)
    assert text.startswith(f"{moment:%Y-%m-%dT%H:%M:%S}")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2012-06-20T08:36:24", "2012-06-20T08:36:24.000Z"),
        ("2016-08-11T11:32:35.444Z", "2016-08-11T11:32:35.444Z"),
        ("2016-08-11 13:32:35.444567+02:00", "2016-08-11T11:32:35.444Z"),
        ("2016-02-29T23:30:00-01:00", "2016-03-01T00:30:00.000Z"),
    ],
)
def test_a_time_of_a_peer_is_read_with_or_without_an_offset(text: str, same: str) -> None:
    assert milliseconds(text) == milliseconds(same)


@pytest.mark.parametrize("text", ["", "2016", "2016-13-01T00:00:00Z", "2016-01-01T25:00:00Z", "2016-01-01T00:00:00+1"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert milliseconds(text) is None


def test_lengths_of_time_have_one_unit() -> None:
    assert [length(text) for text in ("90s", "30m", "24h", "7d")] == [90_000, 1_800_000, 86_400_000, 604_800_000]
    assert [length(text) for text in ("", "1", "h", "1h30m", "-1h")] == [None] * 5


@given(st.integers(0, 10**7), st.integers(1, 100), st.integers(1, 1_000))
def test_the_next_time_follows_the_last_one_and_now_is_between_them(now: int, first: int, most: int) -> None:
    after, before = next_slot(0, first, most, now), last_slot(0, first, most, now)
    assert after > now
    assert before is None or before <= now
    assert next_slot(0, first, most, after - 1) == after
    assert after - (before or 0) <= max(first, most)


# -- ids ---------------------------------------------------------------------------------------------


def test_the_id_of_a_deployment_is_a_ulid_of_its_time_and_the_same_at_every_repetition() -> None:
    id = deployment_id(1_700_000_000_123, "a", "b")
    assert ULID.from_str(id).milliseconds == 1_700_000_000_123
    assert id == deployment_id(1_700_000_000_123, "a", "b")
    assert len({id, deployment_id(1_700_000_000_123, "ab", ""), deployment_id(1_700_000_000_124, "a", "b")}) == 3


def test_the_id_of_a_subscription_has_the_form_of_a_uuid() -> None:
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", subscription_id(1, "a"))
    assert subscription_id(1, "a") != subscription_id(2, "a")
    assert pipeline_key("x") == "pipeline/x"


# -- the document ------------------------------------------------------------------------------------


def test_a_document_is_read_with_its_playbooks() -> None:
    node = parse_node(DOCUMENT, "inception", PLAYBOOKS)
    assert (node.trials.playbook, node.release.playbook) == ("try", "release")
    assert node.reactions == {"promoted": "next", "demoted": "back", "undecided": "ask"}
    assert (node.promote, node.within, node.demote) == (Rule(1), 86_400_000, Rule(1))
    assert node.refs == (("stable", "v1"),)
    assert set(playbooks_of(DOCUMENT)) == {
        "/trials/playbook",
        "/release/playbook",
        "/on/promoted",
        "/on/demoted",
        "/on/undecided",
    }
    assert read_node({}, {}) == Node()


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"trials": {"playbook": "other/try"}}, "/trials/playbook"),
        ({"trials": {"playbook": "inception/try", "for": {"a/b": "inception/none"}}}, "/trials/for/a~1b"),
        ({"promote": {"stable": "many", "within": "1h"}}, "/promote/stable"),
        ({"promote": {"stable": 1, "within": "soon"}}, "/promote/within"),
        ({"promote": {"stable": 1}}, "/on/undecided"),
        ({"demote": {"unstable": 0}}, "/demote/unstable"),
        ({"refs": [{"ref_type": "stable", "ref": "v1"}] * 2}, "/refs/1"),
        ({"on": {"broken": "inception/next"}}, "/on/broken"),
        ({"release": {"playbook": "inception/release", "built": 3, "tested": 2}}, "/release/tested"),
    ],
)
def test_what_a_schema_cannot_say_is_checked(part: dict[str, Any], path: str) -> None:
    with pytest.raises(BadDocument) as caught:
        parse_node({**DOCUMENT, **part}, "inception", PLAYBOOKS)
    assert [one.path for one in caught.value.problems] == [path]


def test_the_names_of_the_values_are_those_that_playbooks_are_given() -> None:
    run = Run(subscribed(), release(1))
    assert set(run.job.dynamic) == set(TRIAL_INPUTS)
    run.send(subscribe())
    run.own("completed")
    run.vote("stable")
    jobs = [job for job in run.state.jobs.values() if job.purpose == "promoted"]
    assert set(jobs[0].dynamic) == set(REACTION_INPUTS)


def test_of_an_own_release_what_does_not_fit_is_left_empty() -> None:
    values = own_inputs({"new_version": "a b", "ref": "v1", "chain": []}, "https://own.example/", 4)
    assert (values["release_version"], values["release_ref"], values["cdpm_chain"]) == (
        "",
        "v1",
        "https://own.example/#4",
    )


def test_braces_are_filled_and_a_chain_is_cut() -> None:
    assert filled("https://x/{a}/{b}", {"a": "1"}) == "https://x/1/{b}"
    assert own_chain({"cdpm_chain": " ".join(f"u#{n}" for n in range(30))}) == [f"u#{n}" for n in range(13, 30)]
    assert own_chain({"cdpm_chain": 3}) == own_chain({}) == []


# -- events as messages --------------------------------------------------------------------------------


def _every_event() -> list[e.Request]:
    asked: list[Any] = [
        *BEGINNING,
        e.Remove("pat"),
        e.Publish({"version": "1"}, "pat"),
        e.Leave("d"),
        e.Join("d"),
        e.Bar("u", False),
        subscribe(),
        e.UnsubscribeAsked("u", "s", "j", 1),
        subscribed(),
        e.NotSubscribed("d", "no"),
        release(1),
        e.VoteReceived("u", "s", 1, "t", "stable", "d", "j", 1),
        e.VoteAnswered("d", "x", "t", 200),
        e.Fact("d", 3, "running", values={"a": "b"}),
    ]
    return [one._replace(reply_to="q", request=f"r{place}") for place, one in enumerate(asked)]


def test_an_event_comes_back_from_its_message_as_it_was() -> None:
    events = _every_event()
    assert {type(one) for one in events} == set(NAMES.values())
    for event in events:
        message = event_message(KEY, event)
        assert (message.correlation_id, message.key, message.id) == (KEY, m.reply_queue(KEY), event.request)
        assert event_of(message) == event


@pytest.mark.parametrize(
    ("name", "body", "where"),
    [
        ("vote", {"url": "u"}, "/subscription"),
        ("release", {"dependency": "d", "id": True, "created_at": "t", "document": {}}, "/id"),
        ("release", {"dependency": "d", "id": 1, "created_at": "t", "document": []}, "/document"),
        ("subscribe", {"url": "u", "name": "n", "refs": ["x"], "jti": "j", "iat": 1}, "/refs"),
        ("file", {"digest": "d", "majors": [1]}, "/majors"),
        ("bar", {"url": "u", "barred": "yes"}, "/barred"),
        ("leave", {"dependency": "d", "more": 1}, ""),
        ("explode", {}, ""),
    ],
)
def test_a_message_that_is_not_in_the_format_is_refused_with_its_place(
    name: str, body: dict[str, Any], where: str
) -> None:
    message = Message("q", json.dumps(body).encode(), "r", KEY, headers={m.EVENT: name})
    with pytest.raises(BadMessage) as caught:
        event_of(message)
    assert caught.value.path == where


def test_the_answer_to_a_job_is_read_from_its_headers() -> None:
    headers = {m.EVENT: "created", m.REQUEST: "j", m.REASON: "refused", m.DETAIL: "busy", m.HOLDER: "d0"}
    assert event_of(Message("q", b'{"id":null}', "r", KEY, headers=headers)) == e.Created(
        "j", False, "refused", "busy", "d0"
    )
    assert event_of(Message("q", b'{"id":"j"}', "r", KEY, headers={**headers, m.REASON: ""})).accepted  # type: ignore[union-attr]
    with pytest.raises(BadMessage, match=m.REQUEST):
        event_of(Message("q", b'{"id":"j"}', "r", KEY, headers={m.EVENT: "created"}))


# -- the feed ----------------------------------------------------------------------------------------


def test_an_entry_has_the_events_of_its_records_under_stable_ids() -> None:
    run = Run(subscribed(), release(1), subscribe())
    run.fact("completed")
    run.own("completed")
    run.vote("stable")
    registered = run.records(r.Registered)[0]
    events = [one for entry in run.entries for one in feed.events_of(entry, registered)]
    assert [one.what for one in events] == [
        "joined",
        "received",
        "subscribed",
        "job_ended",
        "voted",
        "checked_in",
        "released",
        "vote_counted",
        "promoted",
    ]
    assert {one.group for one in events} == {"inception"}
    assert len({one.id for one in events}) == len(events)
    assert all(one.data["pipeline"] == one.subject == KEY.partition("/")[2] for one in events)
    assert all(one.what in feed.WHATS for one in events)
    for entry in run.entries:
        assert feed.has_events(entry) == bool(feed.whats_of(entry)) == bool(list(feed.events_of(entry, registered)))


def test_a_void_is_no_event() -> None:
    entry = Run().entries[0]._replace(records=(Void("x"),))
    assert not feed.has_events(entry)
