"""What people write is harmless where it is shown, and nothing of it vanishes silently."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_workers.notify.text import announcement, headline, lines, one_line
from tests.unit.notify.notices import Said

ANYTHING = st.text(st.characters())


@given(ANYTHING)
def test_no_line_holds_a_control_character_whatever_the_text(text: str) -> None:
    shown = "".join(lines(text)) + one_line(text)

    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\0b", "a\\x00b"),
        ("\x9b31m", "\\x9b31m"),
        ("pay \u202eevil", "pay \\u202eevil"),
        ("half \ud83d", "half \\ud83d"),
        ("a\tb", "a   b"),
        ("grün 🚀 हिन्दी", "grün 🚀 हिन्दी"),
    ],
)
def test_a_dangerous_character_is_shown_as_its_escape_and_all_others_as_they_are(text: str, shown: str) -> None:
    assert lines(text) == [shown]


def test_every_kind_of_line_break_breaks_a_line_and_empty_lines_stay() -> None:
    assert lines("a\r\nb\rc\n\nd\u2028e\x85f") == ["a", "b", "c", "", "d", "e", "f"]


def test_one_line_joins_what_were_lines() -> None:
    assert one_line(" a\r\n\r\nBcc: b ", " | ") == "a | Bcc: b"


def test_an_announcement_leads_with_phase_and_slug() -> None:
    assert announcement(Said(message="one\n\n two ")) == ["[completed] RPMs promoted: one", " two"]


def test_an_announcement_without_a_message_is_its_headline() -> None:
    notice = Said(message=" \n")
    assert announcement(notice) == [headline(notice)] == ["[completed] RPMs promoted"]
