"""Documents in and out: what is refused, what plain words mean, where things stand, and that nothing changes on the way."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from re_core.errors import BadDocument, Problem
from re_core.playbook import documents, yaml_reader
from re_core.playbook.documents import Form

TRICKY = [
    "yes", "no", "on", "off", "true", "null", "~", "", "1e3", "1E5", "0x1F", "0o17", "012", "1_000", "1:30", "+1", "-.5", "5.",
    ".inf", ".nan", "2020-01-01", "=", "<<", "-", "- a", "a: b", "# a", " a", "a ", "a\nb", "a\nb\n", " a\nb", "a \nb", "\n",
    "\n\na", "...", "---", "a\n...\n", "\ta", "a\tb\n", "\r\n", "\x85", "\u2028", "\ufeff", "\x00", "é", "🚀", "!x", "&x", "*x",
    "'", '"', "\\", "%", "@", "`", "|", ">", "?", ": ", "[", "{", ",", "10 bottles", "a" * 300, "word " * 60,
]  # fmt: skip
TEXTS = st.sampled_from(TRICKY) | st.text() | st.text(" \n\ta:#-'\"|>é\x85\u2028")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=12,
)
PIECES = st.lists(
    st.sampled_from(
        ["%YAML 1.1\n", "%YAML 99.9\n", "%TAG ! x:\n", "---\n", "...\n", "&a ", "*a", "!!python/object:os ", "!!int ", "? ", ": ",
         "- ", "{", "}", "[", "]", ",", "\n", "  ", '"\\ud800"', '"\\U00110000"', '"\\x"', "'", "|\n", "|2", ">+", "\x00", "\x07",
         "1e999", "9" * 5000, "a", "b", "<<", ".nan", "#", "@", "`", "!", "!<", "\ufeff", "\x85"]
    ),
    max_size=12,
).map(lambda pieces: "".join(pieces).encode())  # fmt: skip


@pytest.fixture(params=["libyaml", "python"], autouse=True, scope="module")
def loader(request: pytest.FixtureRequest) -> Any:
    """All of it with either of PyYAML's parsers: which one there is depends on how it was built."""
    chosen = yaml.SafeLoader if request.param == "python" else yaml_reader.LOADER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_reader, "LOADER", chosen)
        yield


def value(text: str) -> Any:
    return documents.parse(text.encode(), "yaml").value


def refusal(data: str | bytes, form: Form = "yaml") -> Problem:
    with pytest.raises(BadDocument) as refused:
        documents.parse(data if isinstance(data, bytes) else data.encode(), form)
    return refused.value.problems[0]


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "y", "0x1F", "0o17", "012", "1_000", "1:30", "+1", ".5", "5.",
                                  "2020-01-01", "2020-01-01T10:00:00Z", "=", "<<", "inf", "NaN", "nULL"])  # fmt: skip
def test_a_plain_word_that_is_not_json_s_is_a_string(text: str) -> None:
    assert value(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "meant"),
    [("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("0", 0), ("-12", -12), ("1e3", 1000.0),
     ("1.50", 1.5), ("'5'", "5"), ('"true"', "true"), ("!!str 5", "5"), ("! 5", "5"), ("!!int 5", 5), ("!!float 5", 5.0),
     ("!!bool true", True), ("!!null ~", None), ("!!map {}", {}), ("!!seq []", [])],
)  # fmt: skip
def test_a_scalar_means_what_json_would_say(text: str, meant: Any) -> None:
    read = value(f"a: {text}")["a"]
    assert read == meant
    assert type(read) is type(meant)


@pytest.mark.parametrize(
    ("text", "read"),
    [("1.10", "1.1"), ("-2.00", "-2.0"), ("1e3", "1000.0"), ("12E04", "120000.0"), ("0.12345678901234567890", "0.12345678901234568"),
     ("12345678901234567.5", "1.2345678901234568e+16"), ("1e-999999999999999999999", "0.0")],
)  # fmt: skip
def test_a_number_that_loses_what_was_written_is_told_with_its_place(text: str, read: str) -> None:
    (doubt,) = documents.parse(f"x: 1\na:\n- {text}\n".encode(), "yaml").doubts.listed()
    told = f'{text} is read as the number {read}; put it in quotation marks, "{text}", if it is a string'
    assert doubt == Problem("/a/0", told, 3, 3)


@pytest.mark.parametrize("text", ["10", "1.5", "1.0", "0.0", "100.0", "-0", "1.5e3", "1.10e3", "1e-7", "1.5E+300", "100", "0.1", "007",
                                  "123456789012345678901234567890", "'1.10'", "!!float 1.10", "1.10.0", "v1.10"])  # fmt: skip
def test_a_number_that_is_what_was_written_is_not_told(text: str) -> None:
    assert documents.parse(f"a: {text}".encode(), "yaml").doubts.listed() == []


def test_many_numbers_that_lose_digits_are_counted() -> None:
    told = documents.parse(b"- 1.10\n" * 250, "yaml").doubts.listed()
    assert (len(told), told[-1].message) == (101, "150 more problems are not listed")


def test_numbers_of_json_are_not_doubted() -> None:
    assert documents.parse(b'{"a": 1.10}', "json").doubts.listed() == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [x]", Problem("/b", "the tag '!!python/object/apply:os.system' is not allowed", 2, 4)),
        ("a: !!timestamp 2020-01-01", Problem("/a", "the tag '!!timestamp' is not allowed", 1, 4)),
        ("a: !!int x", Problem("/a", "'x' does not fit the tag '!!int'", 1, 4)),
        ("a: !!set {}", Problem("/a", "the tag '!!set' is not allowed", 1, 4)),
        ("a:\n- &x 1\n", Problem("/a/0", "anchors and aliases (& and *) are not allowed; write the value out", 2, 3)),
        ("a: *x", Problem("/a", "anchors and aliases (& and *) are not allowed; write the value out", 1, 4)),
        ("a: 1\nb: 2\na: 3", Problem("/a", "the key 'a' occurs twice", 3, 1)),
        ("- {a/b: 1, a/b: 2}", Problem("/0/a~1b", "the key 'a/b' occurs twice", 1, 12)),
        ("a: .nan", Problem("/a", ".nan is not a number in JSON; numbers must be finite", 1, 4)),
        ("a: -.INF", Problem("/a", "-.INF is not a number in JSON; numbers must be finite", 1, 4)),
        ("a: 1e999", Problem("/a", "the number 1e999 is too large", 1, 4)),
        ("5: a", Problem("", "keys are strings; put this one in quotation marks", 1, 1)),
        ("a:\n  true: b", Problem("/a", "keys are strings; put this one in quotation marks", 2, 3)),
        ("? [a]\n: b", Problem("", "keys are strings; put this one in quotation marks", 1, 3)),
        ("a: 1\n---\nb: 2", Problem("", "expected one document, found a second one", 2, 1)),
    ],
)  # fmt: skip
def test_yaml_that_could_be_read_two_ways_is_refused_with_its_line(text: str, problem: Problem) -> None:
    assert refusal(text) == problem


def test_an_alias_bomb_does_not_go_off() -> None:
    levels = [f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]" for n in range(9)]
    assert refusal("a: &a x\n" + "\n".join(levels)).line == 1


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\tb", "'", "a: @x", "]"])
def test_broken_yaml_is_refused_with_its_line(text: str) -> None:
    problem = refusal("x:\n" + text)
    assert problem.message.startswith("not YAML: ")
    assert problem.line is not None


def test_a_character_that_yaml_forbids_is_told_with_its_place() -> None:
    problem = refusal("ä: 1\nb: é\x07")
    assert (problem.line, problem.column) == (2, 5)
    assert problem.message == "not YAML: the character U+0007 must be escaped, in double quotation marks"


@pytest.mark.parametrize("form", get_args(Form))
def test_what_is_too_long_too_deep_or_not_utf8_is_refused(form: Form) -> None:
    assert "at most 1048576" in refusal(b'"' + b"a" * 1024 * 1024 + b'"', form).message
    assert "deeper than 64" in refusal(b"[" * 500_000, form).message
    assert "not UTF-8" in refusal(b"\xff", form).message


@pytest.mark.parametrize("form", get_args(Form))
def test_depth_is_counted_alike_in_both_forms(form: Form) -> None:
    deepest = next(n for n in range(1, 99) if _refuses(b"[" * n + b"]" * n, form))
    assert deepest in (65, 66)


def _refuses(data: bytes, form: Form) -> bool:
    try:
        documents.parse(data, form)
    except BadDocument:
        return True
    return False


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n"])
def test_an_empty_yaml_document_is_null(text: str) -> None:
    assert value(text) is None


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert documents.parse(b"\xef\xbb\xbfa: 1", "yaml").value == {"a": 1}


def test_every_key_and_item_has_its_place() -> None:
    document = documents.parse(b"group: g\nexecution:\n  - hosts: [a, b]\n    a/b~c:\n      x: 1\n", "yaml")
    places = {
        "": (1, 1), "/group": (1, 1), "/execution": (2, 1), "/execution/0": (3, 5), "/execution/0/hosts": (3, 5),
        "/execution/0/hosts/1": (3, 16), "/execution/0/a~1b~0c": (4, 5), "/execution/0/a~1b~0c/x": (5, 7),
    }  # fmt: skip
    assert {pointer: document.position(pointer) for pointer in places} == places


@pytest.mark.parametrize(
    "pointer", ["/execution/7", "/execution/x", "/execution/-1", "/execution/99999999999", "/execution/²"]
)
def test_what_is_missing_stands_where_the_nearest_thing_around_it_stands(pointer: str) -> None:
    document = documents.parse(b"group: g\nexecution:\n  - a\n", "yaml")
    assert document.position(pointer) == (2, 1)
    assert document.position("/group/a/b") == (1, 1)


def test_json_has_places_too() -> None:
    document = documents.parse(b'{"a": 1,\n "b": [true,\n  {"c": "d"}]}', "json")
    assert [document.position(at) for at in ("/b", "/b/1", "/b/1/c")] == [(2, 2), (3, 3), (3, 4)]


def test_json_that_yaml_cannot_read_has_none() -> None:
    document = documents.parse(b'{"a": "\x7f\\ud83d\\ude00", "a b\\u0000": 1e5,\n\t"c": 1}', "json")
    assert document.value["c"] == 1
    assert document.position("/a") is None


@settings(max_examples=40)
@given(JSON)
def test_what_is_dumped_comes_back_the_same(document: Any) -> None:
    for form in get_args(Form):
        back = documents.parse(documents.dump(document, form).encode(), form).value
        assert repr(back) == repr(document)


@pytest.mark.parametrize("text", TRICKY)
def test_a_tricky_string_comes_back_from_yaml_as_key_and_value(text: str) -> None:
    assert value(documents.dump({text: [text]}, "yaml")) == {text: [text]}
    assert value(documents.dump(text, "yaml")) == text


@pytest.mark.parametrize("text", ["yes", "012", "0x1F", "0o17", "1:30", "2020-01-01", "1e3"])
def test_another_reader_of_what_is_dumped_finds_the_string_too(text: str) -> None:
    assert yaml.safe_load(documents.dump([text], "yaml")) == [text]
    assert documents.dump([text], "yaml") == f"- '{text}'\n"


def test_yaml_for_people_is_in_blocks_in_the_order_given_and_bare_where_it_can_be() -> None:
    shared = ["ü"]
    dumped = documents.dump({"b": "10 bottles", "a": "one\ntwo\n", "c": shared, "d": shared, "e": {}}, "yaml")
    assert dumped == "b: 10 bottles\na: |\n  one\n  two\nc:\n- ü\nd:\n- ü\ne: {}\n"


@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_not_dumped(form: Form, number: float) -> None:
    with pytest.raises(ValueError):
        documents.dump([number], form)


@settings(max_examples=40)
@given(st.binary() | PIECES | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_document_or_a_bad_document(data: bytes) -> None:
    for form in get_args(Form):
        try:
            document = documents.parse(data, form)
        except BadDocument as refused:
            assert refused.problems
        else:
            document.position("/a/0")
            documents.dump(document.value, "yaml")
