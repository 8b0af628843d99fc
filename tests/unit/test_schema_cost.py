"""What a document costs grows with its length and no faster: looks are counted, never the time."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from re_core import wording
from re_core.errors import BadDocument
from re_core.json_pointer import pointer
from re_core.playbook import documents, dynamic_values, json_schema, schema_errors, schema_keywords, yaml_reader
from re_core.playbook.compiler import EnginePolicy, compile_plan, missing_dynamic
from re_core.usecases import checking
from re_core.wire import strict_json
from tests.factories import simple


class Counted(str):
    """A text that counts how often it is compared or hashed."""

    looks = 0

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        Counted.looks += 1
        return str.__hash__(self)

    def __lt__(self, other: str) -> bool:
        Counted.looks += 1
        return str.__lt__(self, other)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """How many items were spelled or compared since it was asked last."""
    spelled = [0]
    real = strict_json.canonical

    def canonical(item: Any) -> str:
        spelled[0] += 1
        return real(item)

    monkeypatch.setattr(strict_json, "canonical", canonical)
    monkeypatch.setattr(schema_errors, "canonical", canonical)

    def since() -> int:
        total, spelled[0], Counted.looks = spelled[0] + Counted.looks, 0, 0
        return total

    Counted.looks = 0
    yield since


def _mixed(size: int) -> list[Any]:
    """Items that no sort takes, all different."""
    return [Counted(number) if number % 2 else {"n": number} for number in range(size)]


def test_twice_the_items_of_a_mixed_list_cost_twice_the_looks(looks: Callable[[], int]) -> None:
    unique = schema_keywords.RULES["uniqueItems"]
    validator = json_schema._validator("playbook")
    costs = []
    for size in (1000, 2000):
        assert list(unique(validator, True, _mixed(size), {}) or ()) == []
        costs.append(looks())
    assert costs[0] <= 20 * 1000
    assert costs[1] <= 2.5 * costs[0]


def test_items_are_the_same_where_json_schema_says_so() -> None:
    unique = schema_keywords.RULES["uniqueItems"]
    validator = json_schema._validator("playbook")
    different = [[1, True], [0, False], [1, "1"], [[1], 1], [{"a": 1}, {"a": 2}], [None, False]]
    same = [[1, 1.0], [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], ["x", "x"]]
    assert [pair for pair in different if list(unique(validator, True, pair, {}) or ())] == []
    assert [pair for pair in same if not list(unique(validator, True, pair, {}) or ())] == []


def test_only_problems_that_are_told_are_worded(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = Mock(wraps=wording.did_you_mean)
    monkeypatch.setattr(schema_errors, "did_you_mean", compared)
    monkeypatch.setattr(checking, "did_you_mean", compared)
    offers = {"off:A": {"parameters": {"properties": {"list": {}}, "additionalProperties": False}}}
    document = simple({"off:A": {f"key{number}": 1 for number in range(5000)}}, *["off:B"] * 500, *["of:C"] * 500)
    found = checking.check(document, None, offers, EnginePolicy())
    assert len(found.errors) == 101
    assert found.errors[-1].message == "5400 more problems are not listed"
    assert found.warnings[-1].message == "400 more problems are not listed"
    assert 0 < compared.call_count <= 300


def test_a_name_is_compared_with_so_many_others_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = Mock(wraps=difflib.get_close_matches)
    monkeypatch.setattr(difflib, "get_close_matches", compared)
    assert wording.did_you_mean("s17", [*(f"s{number}" for number in range(20_000)), "x" * 100_000])
    assert (
        wording.did_you_mean("depoy", [*(f"s{number}" for number in range(20_000)), "Deploy"])
        == "did you mean 'Deploy'?"
    )
    assert max(len(call.args[1]) for call in compared.call_args_list) <= 500


def test_the_schemas_of_workers_are_looked_at_so_long_and_no_longer() -> None:
    """Each `anyOf` doubles what is looked at for every item."""
    doubled: dict[str, Any] = {"type": "integer"}
    for _ in range(7):
        doubled = {"anyOf": [doubled, doubled]}
    published = json_schema.Published(looks=5_000)
    parameters = {"list": {"type": "array", "items": doubled}}
    found = published.problems("off:A", {"properties": parameters}, {"list": ["x"] * 1000}, "/at")
    assert published.spent
    assert 0 < len(found.shown) + found.more < 100
    assert published.problems("off:A", {"properties": parameters}, {"list": ["x"]}, "/at").shown == []


def test_the_schemas_of_workers_need_no_class_of_validators_for_each_deployment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To make one takes jsonschema longer than to accept a deployment."""
    monkeypatch.setattr(json_schema, "extend", Mock(side_effect=AssertionError("a class was made")))
    asked = {"properties": {"a": {"type": "integer"}}}
    assert json_schema.Published().problems("off:A", asked, {"a": "x"}, "/at").shown
    first, second = json_schema.Published(looks=6), json_schema.Published(looks=1)
    assert first.problems("off:A", asked, {"a": "x"}, "/at").shown and not first.spent
    assert not second.problems("off:A", asked, {"a": "x"}, "/at").shown and second.spent


def test_a_playbook_that_costs_too_much_to_compare_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_schema, "MAX_LOOKS", 10)
    offers = {"off:A": {"parameters": {"properties": {"a": {"type": "integer"}}}}}
    found = checking.check(simple(*[{"off:A": {"a": 1}}] * 50), None, offers, EnginePolicy())
    assert found.errors == ()
    assert [one.message for one in found.warnings] == [
        "it is too long to be checked against the steps that workers offer; the workers check it"
    ]


def test_a_step_that_wants_many_values_on_many_hosts_is_asked_for_them_once() -> None:
    hosts = [f"h{number}" for number in range(2000)]
    document = simple({"noop:A": {"dynamic": [f"n{number}" for number in range(500)]}})
    document["execution"][0]["hosts"] = hosts
    plan = compile_plan(document, EnginePolicy(), {})
    asked = []

    class Wants(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.append(name)
            return super().get(name, default)

    spec = plan.steps[0].spec._replace(parameters=Wants(plan.steps[0].spec.parameters))
    plan = plan._replace(steps=tuple(step._replace(spec=spec) for step in plan.steps))
    assert len(missing_dynamic(plan, {})) == 500
    assert asked.count("dynamic") <= 4


def test_a_long_key_is_told_short_however_much_is_wrong_behind_it() -> None:
    document = simple({"noop:A": {"notify": {"started": {"k" * 100_000: [1] * 1000}}}})
    found = json_schema.problems("playbook", document)
    assert len(found) == 101
    assert sum(len(problem.path) for problem in found) < 100_000


def test_the_way_to_a_value_behind_a_long_key_is_spelled_out_only_where_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spelled = Mock(wraps=pointer)
    monkeypatch.setattr(yaml_reader, "pointer", spelled)
    text = f"? {'k' * 10_000}\n: [{'0, ' * 1000}0]\n"
    assert len(yaml_reader.read(text)[0]["k" * 10_000]) == 1001
    assert spelled.call_count == 0
    with pytest.raises(BadDocument) as error:
        yaml_reader.read(text.replace(", 0]", ", &x 0]"))
    assert error.value.problems[0].path == f"/{'k' * 500}…/1000"


def test_a_text_without_places_is_read_for_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def read(text: str) -> Any:
        reads.append(text)
        raise BadDocument("a corner in which JSON is no YAML")

    parsed = documents.parse(b'{"a": [1, 2]}', "json")
    monkeypatch.setattr(yaml_reader, "read", read)
    assert [parsed.position(f"/a/{number}") for number in range(50)] == [None] * 50
    assert len(reads) == 1


def test_directives_without_end_are_refused_before_they_are_compared() -> None:
    text = "".join(f"%TAG !{number}! x\n" for number in range(200)) + "---\na: b\n"
    with pytest.raises(BadDocument, match="at most 100 lines that begin with %"):
        documents.parse(text.encode(), "yaml")


@pytest.mark.parametrize("form", ["dynamic", "targets"])
def test_lists_of_names_have_an_end(form: str) -> None:
    names = [f"n{number}" for number in range(1001)]
    arguments = {"dynamic": names} if form == "dynamic" else {"notify": {"failed": {"email": names}}}
    (problem,) = json_schema.problems("playbook", simple({"noop:A": arguments}))
    assert problem.message == "expected at most 1000 items, found a list of 1001"


def test_very_many_values_that_no_step_asks_for_are_compared_with_few_names(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = wording.did_you_mean

    def did_you_mean(name: str, known: Collection[str]) -> str:
        compared.append(len(known))
        return real(name, known)

    monkeypatch.setattr("re_core.playbook.dynamic_values.did_you_mean", did_you_mean)
    asked = [f"name{number}" for number in range(400)]
    document = simple({"noop:A": {"dynamic": asked}})
    supplied = dict.fromkeys((f"other value {number}" for number in range(50_000)), 1)
    told = dynamic_values.unasked_values(document, supplied, EnginePolicy())
    assert sum(compared) <= 2000
    assert len(told) == 101
