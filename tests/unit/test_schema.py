"""What is told of a document that is not as its schema wants it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from re_core.errors import MAX_PROBLEMS, BadDocument, Problem
from re_core.playbook import documents, json_schema

NOOP = "noop:Nothing"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


def playbook(*steps: Any, **other: Any) -> dict[str, Any]:
    return {"group": "g", "name": "n", "execution": [{"hosts": ["h"], "steps": [NOOP, *steps]}], **other}


def told(*steps: Any, **other: Any) -> dict[str, str]:
    return {problem.path: problem.message for problem in json_schema.problems("playbook", playbook(*steps, **other))}


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        ({NOOP: {}, "timeout": "soon"}, "/timeout", "expected a number above 0, found 'soon'"),
        ({NOOP: {}, "timeout": 10**9}, "/timeout", "expected at most 31536000, found 1000000000"),
        ({NOOP: {}, "retries": 1.5}, "/retries", "expected a whole number from 0 to 100, found 1.5"),
        ({NOOP: {}, "retries": 2.0}, "/retries", "expected a whole number from 0 to 100, found 2.0"),
        ({NOOP: {}, "idempotent": None}, "/idempotent", "expected true or false, found null"),
        ({NOOP: {}, "retry": 1}, "/retry", "unknown key 'retry'; did you mean 'retries'?"),
        (
            {NOOP: {}, "x": 1},
            "/x",
            "unknown key 'x'; expected command:Subcommand, or 'idempotent', 'name', 'pool', 'retries' or 'timeout'",
        ),
        (5, "", "expected command:Subcommand, or an object with that one key, found 5"),
        ("noop", "", "expected command:Subcommand, found 'noop'"),
        ("nöop:X", "", "expected command:Subcommand, found 'nöop:X'"),
        (
            {"noop:A": {}, "noop:B": {}},
            "",
            "expected one step key in an object, found 2: the keys 'noop:A', 'noop:B'; give each its own list item",
        ),
        (
            {"timeout": 5, "retries": 1},
            "",
            "expected a step key, command:Subcommand, found only the keys 'timeout', 'retries'",
        ),
        (
            {NOOP: [1]},
            f"/{NOOP}",
            "expected an object of arguments (a step without arguments is only its name), found a list of 1",
        ),
        (
            {NOOP: None, "service": "httpd"},
            "/service",
            f"unknown key 'service'; indent it further if it belongs to '{NOOP}'",
        ),
        ({NOOP: None, "timeot": 5}, "/timeot", "unknown key 'timeot'; did you mean 'timeout'?"),
        ({NOOP: {"dynamic": ["a", "b", "a"]}}, f"/{NOOP}/dynamic/2", "expected every item once, found 'a' again"),
        ({NOOP: {"notify": []}}, f"/{NOOP}/notify", "expected an object, found an empty list"),
    ],
)
def test_an_error_says_where_what_was_expected_and_what_was_found(step: Any, path: str, message: str) -> None:
    assert told(step) == {f"/execution/0/steps/1{path}": message}


def test_all_errors_come_at_once_in_the_order_of_the_document_s_paths() -> None:
    steps = ["bad"] * 11
    assert list(told(*steps, nam="x", group=5)) == [
        *(f"/execution/0/steps/{n}" for n in range(1, 12)),
        "/group",
        "/nam",
    ]


def test_a_missing_key_is_told_at_its_own_path() -> None:
    assert json_schema.problems("playbook", {"name": "n", "execution": [{}]}) == [
        Problem("/execution/0/hosts", "the key 'hosts' is missing; expected a list"),
        Problem("/execution/0/steps", "the key 'steps' is missing; expected a list"),
        Problem("/group", "the key 'group' is missing; expected a string"),
    ]


def test_a_misspelt_word_gets_the_nearest_one() -> None:
    assert json_schema.problems("reply", {"status": "complete"})[0].message == (
        "expected started, completed or failed, found 'complete'; did you mean 'completed'?"
    )


def test_a_key_with_a_slash_or_tilde_is_escaped_in_its_pointer() -> None:
    assert list(told(**{"a/b~c": 1})) == ["/a~1b~0c"]


def test_hopeless_documents_are_told_a_hundred_times_and_the_others_are_counted() -> None:
    hundred = told(*["bad"] * 500)
    assert hundred.pop("") == "400 more problems are not listed"
    assert len(hundred) == MAX_PROBLEMS == 100


def test_too_many_steps_are_told_before_any_is_looked_at() -> None:
    execution = [{"hosts": ["h"], "steps": [5] * 6000}, {"hosts": ["h"], "preflight": [5] * 4001}]
    assert told(execution=execution) == {
        "/execution": "expected at most 10000 steps after expansion over hosts, found 10001"
    }


@pytest.mark.parametrize("group", ["My Group", "Überführung", "日本", "a.b", "...", "a" * 100, "x&y=z?#"])
def test_an_honest_group_is_stored(group: str) -> None:
    assert told(group=group) == {}


@pytest.mark.parametrize("category", ["Cc", "Cf", "Co", "Cn", "Zl", "Zp"])
def test_a_group_has_no_invisible_character(category: str) -> None:
    character = {"Cc": "\x7f", "Cf": "\u2066", "Co": "\ue000", "Cn": "\u0378", "Zl": "\u2028", "Zp": "\u2029"}[category]
    message = told(group=f"a{character}b")["/group"]
    assert message == f"expected a group without control or invisible characters, found {f'a{character}b'!r}"


@pytest.mark.parametrize("name", ["Release the frobber 🚀", "क्\u200dष", "a/b: c"])
def test_an_honest_name_is_stored(name: str) -> None:
    assert told(name=name) == {}


@pytest.mark.parametrize("name", ["", "two\nlines", "turned \u202e round", " a", "a\u00a0", 5, "a" * 201])
def test_a_name_is_one_line_that_reads_as_it_is(name: object) -> None:
    assert list(told(name=name)) == ["/name"]


@pytest.mark.parametrize(
    "host", ["a b", "a\tb", "a\u00a0b", "a\u200bb", "\ufeffa", "a\x00", "", "-a", "a" * 256, "a\n"]
)
def test_a_host_is_one_visible_word_that_no_program_takes_for_an_option(host: str) -> None:
    assert list(told(execution=[{"hosts": [host], "steps": [NOOP]}])) == ["/execution/0/hosts/0"]


@settings(max_examples=40)
@given(JSON)
def test_any_document_gets_an_answer_that_fits_on_a_line(document: Any) -> None:
    for name in ("playbook", "deployment", "check", "phase-notification"):
        for problem in json_schema.problems(name, document):
            assert problem.message.isprintable()
            assert len(problem.message) < 2000


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(st.dictionaries(st.sampled_from([NOOP, "a:B", "timeout", "retries", "x"]), JSON), JSON), max_size=3
    )
)
def test_what_passes_has_one_step_key_in_every_object(steps: list[Any]) -> None:
    """A second opinion, by hand, on the schema's way of counting keys."""
    if told(*steps) == {}:
        for step in steps:
            if isinstance(step, dict):
                assert len(set(step) - {"timeout", "idempotent", "retries"}) == 1


def test_a_checked_yaml_file_is_told_by_line_and_column() -> None:
    document = documents.parse(b"group: g\nname: n\nexecution:\n  - hosts: [h]\n    stepz: []\n", "yaml")
    with pytest.raises(BadDocument) as refused:
        json_schema.check("playbook", document.value, document.position)
    assert refused.value.problems == (
        Problem("/execution/0/steps", "the key 'steps' is missing; expected a list", 4, 5),
        Problem("/execution/0/stepz", "unknown key 'stepz'; did you mean 'steps'?", 5, 5),
    )
    assert str(refused.value).startswith("/execution/0/steps: the key")


def test_a_good_document_passes_the_check() -> None:
    json_schema.check("playbook", playbook())


def test_an_unknown_schema_is_the_programmer_s_mistake() -> None:
    with pytest.raises(KeyError):
        json_schema.problems("nothing", {})
