"""What is cut out of words, wherever in them it stands."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from re_core.wire.redaction import SHOWN_TEXT, SHOWN_VALUES, Redaction

SECRETS = Redaction([re.compile("hunter2"), re.compile("(?i)token=[^ ]+")])


def test_every_line_of_a_text_is_looked_through() -> None:
    assert SECRETS.text("a hunter2\nTOKEN=x y\n") == "a [redacted]\n[redacted] y\n"


def test_strings_are_looked_through_wherever_they_stand_in_json() -> None:
    said = {"output": ["ok", "hunter2"], "deep": {"hunter2": ["token=1"]}, "code": 7, "none": None}

    assert SECRETS.value(said) == {
        "output": ["ok", "[redacted]"],
        "deep": {"hunter2": ["[redacted]"]},
        "code": 7,
        "none": None,
    }


def test_without_patterns_it_is_false_and_gives_back_what_it_was_given() -> None:
    said = {"a": ["hunter2"]}

    assert not Redaction()
    assert Redaction().value(said) is said
    assert Redaction().text("hunter2\nb") == "hunter2\nb"


def test_values_for_people_have_no_secret_by_name_or_by_pattern() -> None:
    given = {"version": "1.4.2", "db_password": "x", "apiKey": ["y"], "note": "a token=z", "hosts": ["hunter2"], "n": 3}

    assert SECRETS.shown(given) == {
        "version": "1.4.2",
        "db_password": "[redacted]",
        "apiKey": "[redacted]",
        "note": "a [redacted]",
        "hosts": ["[redacted]"],
        "n": 3,
    }


def test_a_value_with_a_secret_name_is_hidden_at_any_depth_and_in_any_spelling() -> None:
    given = {
        "db": {"user": "ann", "password": "x", "replicas": [{"host": "a", "secret": "y"}]},
        "api-key": "x",
        "private.key": "x",
        "passphrase": "x",
        "ACCESS_KEY": "x",
        "keyboard": "de",
    }

    assert Redaction().shown(given) == {
        "db": {"user": "ann", "password": "[redacted]", "replicas": [{"host": "a", "secret": "[redacted]"}]},
        "api-key": "[redacted]",
        "private.key": "[redacted]",
        "passphrase": "[redacted]",
        "ACCESS_KEY": "[redacted]",
        "keyboard": "de",
    }


def test_the_password_of_a_url_is_hidden_in_a_value_and_nothing_else_of_it() -> None:
    given = {
        "repository": "https://ann:hunter2@example.com/a:b@c",
        "many": ["see amqp://re:x:y@broker:5672 and http://example.com:80/@me", "http://ann@example.com"],
    }

    assert Redaction().shown(given) == {
        "repository": "https://ann:[redacted]@example.com/a:b@c",
        "many": ["see amqp://re:[redacted]@broker:5672 and http://example.com:80/@me", "http://ann@example.com"],
    }
    assert Redaction().shown({"long": "a://b:" * 150_000})["long"].startswith("a://b:a://b:")


def test_a_secret_that_straddles_the_cut_is_gone_before_it() -> None:
    for place in range(SHOWN_TEXT - 10, SHOWN_TEXT + 3):
        shown = SECRETS.shown({"text": "x" * place + "hunter2"})["text"]
        assert len(shown) <= SHOWN_TEXT
        assert "hunt" not in shown


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from(["", "hunter2 ", "hunter2 " * 9, "a\nb hunter2\n"]))
def test_the_beginning_of_a_text_has_no_part_of_a_secret(place: int, most: int, before: str) -> None:
    """Also where secrets before it made the text shorter than it was."""
    text = f"{before}{'x' * place}hunter2 and more"
    shown = SECRETS.beginning(text, most)
    assert "h" not in shown
    assert (
        shown.replace("[redacted]", "")
        == SECRETS.text(text).replace("[redacted]", "")[: len(shown.replace("[redacted]", ""))]
    )
    assert Redaction().beginning(text, most) == text[:most]


def test_a_secret_that_only_its_end_makes_one_is_found_before_a_cut() -> None:
    key = Redaction([re.compile("key .* end")])
    assert key.beginning("a key " + "b" * 50 + " end c", 20) == "a [redacted]"
    assert key.beginning("a key b end c", 12) == "a [redacted] "


def test_values_for_people_are_bounded_in_length_and_number() -> None:
    shown = Redaction().shown({"list": list(range(1000)), **{f"v{n}": n for n in range(1000)}})
    assert len(shown) == SHOWN_VALUES
    assert len(shown["list"]) == SHOWN_TEXT
    assert shown["list"].endswith("…")
