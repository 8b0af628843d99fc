"""Texts with fields, and trackers of tickets by the settings."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.errors import BadSettings
from re_workers.fields import filled, names_of, problem
from re_workers.steps.ticket_trackers import KINDS, body_of, missing, trackers, url_of

OWN = {
    "url": "https://t.example.com/",
    "create": {"url": "/new", "method": "post", "body": {"a": "{title}"}, "id": "/id"},
}


def test_a_text_has_fields_and_no_code() -> None:
    assert filled("{{{a}}} and {b}", {"a": "{b}", "b": "2"}) == "{{b}} and 2"
    assert names_of("{{x}} {a}") == ["a"]
    for text, words in (
        ("{a.b}", "no field 'a.b'"),
        ("{a!r}", "no conversion"),
        ("{a:>9}", "no format"),
        ("{tilte}", "title"),
        ("{", "written twice"),
        ("{}", "no field ''"),
    ):
        assert words in problem(text, ["title", "a"])


def test_each_kind_of_tracker_can_find_make_write_and_move() -> None:
    for kind in KINDS:
        (tracker,) = trackers({"t": {"kind": kind, "url": "https://t.example.com/api/"}}).values()
        assert set(tracker.calls) == {"find", "create", "comment", "move"}
        assert set(tracker.seen) == {"comment", "move"}
        assert tracker.calls["create"].link and tracker.calls["find"].id


def test_values_are_quoted_in_urls_and_stay_what_they_are_in_bodies() -> None:
    (tracker,) = trackers({"t": OWN}).values()
    values = {"title": 'a"b/c&d', "text": "", "project": "x y"}
    assert url_of(tracker, "/p/{project}?t={title}", values) == "https://t.example.com/p/x%20y?t=a%22b%2Fc%26d"
    body = {"a": "{title}", "b": ["{text}", 3], "c": {"d": "{text}"}, "e": "{text}"}
    assert body_of(body, values) == {"a": 'a"b/c&d', "b": ["", 3], "c": {}}
    assert missing(["{a}{title}", {"x": ["{b}"]}], values) == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "tickets.t: expected an object"),
        ({"kind": "jirra", "url": "https://x"}, "tickets.t.kind: expected jira"),
        ({"kind": "jira"}, "tickets.t.url: expected http"),
        ({**OWN, "crate": {}}, "tickets.t.crate: .*create"),
        ({**OWN, "create": {**OWN["create"], "bod": {}}}, "tickets.t.create.bod: .*body"),  # type: ignore[dict-item]
        ({**OWN, "create": {"url": "/new"}}, "tickets.t.create.id: expected the JSON pointer"),
        ({**OWN, "create": {"url": "/new", "id": "id"}}, "tickets.t.create.id: expected a JSON pointer"),
        ({**OWN, "comment": {"url": "/{id.x}"}}, "tickets.t.comment.url: there is no field 'id.x'"),
        ({**OWN, "comment": {"url": "/c", "body": {"a": ["{!r}"]}}}, "tickets.t.comment.body.a.0: "),
        ({**OWN, "move": {"url": "/m", "seen": {"url": "/m"}}}, "tickets.t.move.seen: expected `url` with"),
        ({**OWN, "headers": {"a": 1}}, "tickets.t.headers.a: must be a string"),
    ],
)
def test_a_tracker_that_is_wrong_is_named_with_its_place(given: Any, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        trackers({"t": given})
