"""Dynamic values of a command line, and the files that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_client import values
from re_client.errors import BadInput


def test_what_the_command_line_sets_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("cart: from-file\nhosts: [a]\nleft: 1\n")
    found = values.dynamic(["cart=b=c", "empty="], ['hosts=["x", 2]'], str(file), pytest.fail)
    assert found == {"cart": "b=c", "empty": "", "hosts": ["x", 2], "left": 1}


def test_json_is_read_from_a_file_that_is_named_so(tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    file.write_text('{"cart": NaN}')
    with pytest.raises(BadInput, match="NaN is not JSON"):
        values.dynamic([], [], str(file), pytest.fail)


@pytest.mark.parametrize(
    ("texts", "documents", "why"),
    [
        (["cart"], [], "--set 'cart': expected NAME=VALUE"),
        (["=x"], [], "expected NAME=VALUE"),
        (["a=1", "a=2"], [], "a is set twice"),
        (["a=1"], ["a=2"], "a is set twice"),
        ([], ["a={"], "--set-json 'a={': not JSON"),
        ([], ["a=word"], "for a string use --set, or put it in quotation marks"),
        ([], ['a={"b":1,"b":2}'], "twice"),
    ],
)
def test_what_cannot_be_understood_is_refused(texts: list[str], documents: list[str], why: str) -> None:
    with pytest.raises(BadInput) as caught:
        values.dynamic(texts, documents, None, pytest.fail)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"), [("- a\n", "expected an object"), ("a: [\n", ":2:"), ("a: 1\na: 2\n", ":2:1: ")]
)
def test_a_wrong_file_is_told_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        values.dynamic([], [], str(file), pytest.fail)
    assert str(caught.value).startswith(f"{file}:")
    assert why in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.yaml: No such file"):
        values.read(str(tmp_path / "none.yaml"))


def test_a_number_in_a_file_that_loses_digits_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("cart: bitmath\nversion: 1.10\nport: 8080\n")
    notes: list[str] = []
    assert values.dynamic([], [], str(file), notes.append) == {"cart": "bitmath", "version": 1.1, "port": 8080}
    told = '/version: 1.10 is read as the number 1.1; put it in quotation marks, "1.10", if it is a string'
    assert notes == [f"{file}:2:10: warning: {told}"]
