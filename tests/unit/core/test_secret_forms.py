"""Every way in which a program may print a secret is found, whatever stands around it, and also where a line is cut."""

from __future__ import annotations

import base64
import html
import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from re_core.secret_names import environment_of, group_of, is_name, reference, references, replaced
from re_core.wire.redaction import MARGIN, REDACTED, Redaction
from re_core.wire.secret_forms import forms

VALUES = ["hunter2hunter2", "pä$$'wörd\"<&>/+%", "a b c d", "tail\\slash", "x" * 3000, "first line\nsecond line\n"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "encoded",
    [
        lambda value: value,
        lambda value: json.dumps(value),
        lambda value: json.dumps(value, ensure_ascii=False),
        repr,
        quote,
        lambda value: quote(value, safe=""),
        quote_plus,
        html.escape,
        lambda value: value.encode().hex(),
        lambda value: value.encode().hex().upper(),
        lambda value: shlex.quote(value) if "\n" not in value else value,
    ],
    ids=["plain", "json", "json utf-8", "repr", "url", "url all", "form", "html", "hex", "HEX", "shell"],
)
def test_a_value_is_found_in_every_text_form(value: str, encoded: object) -> None:
    text = encoded(value)  # type: ignore[operator]
    shown = Redaction().with_values([value]).text(f"before {text} behind")
    assert REDACTED in shown
    _has_nothing_of(shown, value)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(VALUES), st.binary(max_size=7), st.binary(max_size=7), st.booleans())
def test_a_value_is_found_in_base64_whatever_stands_around_it(
    value: str, before: bytes, behind: bytes, for_urls: bool
) -> None:
    encode = base64.urlsafe_b64encode if for_urls else base64.b64encode
    text = encode(before + value.encode() + behind).decode()
    shown = Redaction().with_values([value]).text(text)
    assert REDACTED in shown
    # at most the first and the last character belong to a neighbour too
    assert len(shown.replace(REDACTED, "")) <= len(encode(before + behind)) + 4


@pytest.mark.parametrize("width", [76, 64])
def test_a_long_value_is_found_in_base64_of_several_lines(width: int) -> None:
    value = "".join(f"{number:05d}-" for number in range(200))
    text = base64.b64encode(value.encode()).decode()
    wrapped = "\n".join(text[at : at + width] for at in range(0, len(text), width))
    shown = Redaction().with_values([value]).text(wrapped)
    assert set(shown.split("\n")[:-1]) == {REDACTED}


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 3000), st.integers(0, 400), st.integers(1, 400))
def test_a_cut_leaves_nothing_of_a_value(length: int, before: int, most: int) -> None:
    value = "".join(chr(97 + (number * 7 + number // 26) % 26) for number in range(length))
    text = ("." * before + value)[: most + MARGIN]
    shown = Redaction().with_values([value]).beginning(text, most)
    _has_nothing_of(shown, value)
    assert shown.replace(REDACTED, "").strip(".") == ""


def test_values_are_masked_before_a_pattern_of_the_settings_can_take_a_part() -> None:
    import re

    shown = Redaction([re.compile("hunter")]).with_values(["hunter2hunter2"]).text("x hunter2hunter2 hunter")
    assert shown == f"x {REDACTED} {REDACTED}"


def test_nothing_short_is_looked_for() -> None:
    assert forms("abc") == []
    assert all(len(one) >= 4 for one in forms("ab\nlonger"))


@pytest.mark.parametrize(
    ("name", "group", "environment"),
    [("shop/db", "shop", ""), ("shop/prod/db", "shop", "prod"), ("a.b/c-d", "a.b", "")],
)
def test_a_name_says_whose_the_secret_is(name: str, group: str, environment: str) -> None:
    assert (is_name(name), group_of(name), environment_of(name)) == (True, group, environment)


@pytest.mark.parametrize(
    "name", ["db", "", "/db", "a//b", "a/../b", "a/.b", "a/b/c/d", "a/b c", "ä/b", "a/b\n", "a/" + "b" * 65]
)
def test_what_could_lead_elsewhere_is_no_name(name: str) -> None:
    assert not is_name(name)
    assert reference({"secret": name}) is None


def test_references_are_found_at_every_depth_and_replaced_there() -> None:
    value = {"a": [{"secret": "g/n"}, "b"], "c": {"secret": "g/e/n"}, "d": {"secret": "g/n", "more": 1}}
    found = dict(references(value))
    assert found == {("a", 0): "g/n", ("c",): "g/e/n"}
    new = replaced(value, dict.fromkeys(found, "V"))
    assert new == {"a": ["V", "b"], "c": "V", "d": {"secret": "g/n", "more": 1}}
    assert value["c"] == {"secret": "g/e/n"}, "the original stays"


def _has_nothing_of(shown: str, value: str) -> None:
    for line in value.splitlines():
        for at in range(0, max(1, len(line) - 7), 7):
            assert line[at : at + 8] not in shown
