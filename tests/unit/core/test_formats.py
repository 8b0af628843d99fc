"""Texts that programs and servers can take, and those that they cannot, with the reason."""

from __future__ import annotations

import pytest

from re_core.playbook.formats import FORMATS, MAX_NAME, MAX_TEXT, twins, variable_problems


@pytest.mark.parametrize(
    ("format", "value", "problem"),
    [
        ("re-text", "", ""),
        ("re-text", "a\r\nb\t", ""),
        ("re-text", "ä" * (MAX_TEXT // 2), ""),
        ("re-text", "ä" * (MAX_TEXT // 2 + 1), "expected at most 130000 bytes, found 130002"),
        ("re-text", "a\0", "expected a string without NUL"),
        ("re-text", "\ud800", "expected a string without lone surrogates"),
        ("re-script", "a\nb\n", ""),
        ("re-script", "a\nb\r\n", "expected lines that end in a line feed: line 2 has a carriage return"),
        ("re-script", "a\0", "expected a string without NUL"),
        ("re-variable", "LC_ALL", ""),
        ("re-variable", "x" * MAX_NAME, ""),
        ("re-variable", "x" * (MAX_NAME + 1), "expected at most 255 bytes"),
        ("re-variable", "", "expected the name of a variable"),
        ("re-variable", "A=B", "expected the name of a variable: not empty, without = and NUL"),
        ("re-variable", "A\0", "expected the name of a variable"),
        ("re-path", "/srv/site", ""),
        ("re-path", "a\0b", "expected a path without NUL"),
        ("re-path", "a" * 4096, "expected at most 4095 bytes"),
        ("re-url", "http://[::1]:8080/a?b#c", ""),
        ("re-url", "https://ann:secret@example.com", ""),
        ("re-url", "HTTP://EXAMPLE.COM", ""),
        ("re-url", "ftp://example.com", "expected a URL, http://… or https://…"),
        ("re-url", "example.com/x", "expected a URL"),
        ("re-url", "http://", "expected a URL"),
        ("re-url", "http://:80/", "expected a URL"),
        ("re-url", "http://a:99999/", "expected a URL, http://… or https://…: Port out of range"),
        ("re-url", "http://[::1", "expected a URL, http://… or https://…: "),
        ("re-url", "http://a b/", "expected a URL, http://… or https://…, without blanks"),
        ("re-url", "http://a/\r\nx: y", "expected a URL, http://… or https://…, without blanks"),
    ],
)
def test_a_text_fits_its_format_or_is_told_why_not(format: str, value: str, problem: str) -> None:
    told = FORMATS[format](value)
    assert told.startswith(problem) if problem else told == ""


def test_names_that_would_be_one_variable_are_found_with_each_other() -> None:
    assert twins(["a-b", "c", "a_b", "A.B", "ab"]) == [("a-b", "A.B"), ("a_b", "A.B")]
    assert twins(["a-b", "a-b", "x"]) == []


def test_every_value_that_cannot_be_a_variable_is_named() -> None:
    values = {"a-b": 1, "a_b": 2, "nul": "x\0", "long": ["x" * 140_000], "n" * 250: "", "fine": {"any": ["thing"]}}
    told = {problem.path: problem.message for problem in variable_problems(values)}
    assert list(told) == ["/dynamic/a_b", "/dynamic/nul", "/dynamic/long", "/dynamic/" + "n" * 250]
    assert "'a_b' and 'a-b' would both be RE_DYNAMIC_A_B" in told["/dynamic/a_b"]
    assert (
        told["/dynamic/nul"]
        == "the value 'nul' cannot be an environment variable of programs: expected a string without NUL"
    )
    assert (
        "the value 'long' cannot be an environment variable of programs: expected at most 130000 bytes"
        in told["/dynamic/long"]
    )
