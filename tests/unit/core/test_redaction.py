"""What is cut out of words, wherever in them it stands."""

from __future__ import annotations

import re

from re_core.redaction import Redaction

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
