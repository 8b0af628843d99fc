"""Which values of parameters live workers accept, all together, and what is said of one that none does."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.playbook.accepting import MOST_LISTED, Accepted, accepted_by, refusal

FLUX = frozenset({"forest/flux@1"})
STEP: Accepted = {"forest:Release": {"type": FLUX}}


def _offers(*types: str) -> dict[str, dict[str, Any]]:
    return {"forest:Release": {"accepts": {"type": list(types)}}}


def test_what_any_worker_accepts_is_accepted() -> None:
    assert accepted_by([_offers("a"), _offers("b", "a")]) == {"forest:Release": {"type": frozenset({"a", "b"})}}


@pytest.mark.parametrize("any_value", [{}, {"accepts": {}}, {"accepts": {"mode": ["plan"]}}])
def test_a_worker_that_names_no_values_of_a_parameter_accepts_any(any_value: dict[str, Any]) -> None:
    for offers in ([_offers("a"), {"forest:Release": any_value}], [{"forest:Release": any_value}, _offers("a")]):
        assert "type" not in accepted_by(offers).get("forest:Release", {})


def test_an_empty_list_accepts_nothing_and_adds_nothing() -> None:
    assert accepted_by([_offers()]) == {"forest:Release": {"type": frozenset()}}
    assert accepted_by([_offers(), _offers("a")]) == {"forest:Release": {"type": frozenset({"a"})}}
    assert accepted_by([]) == {}


def test_a_step_with_an_accepted_value_is_not_refused() -> None:
    assert refusal("forest:Release", {"type": "forest/flux@1"}, {}, STEP) == ""
    assert refusal("forest:Release", {}, {}, STEP) == ""
    assert refusal("other:Release", {"type": "x"}, {}, STEP) == ""


def test_a_refusal_names_the_value_and_what_is_accepted() -> None:
    why = refusal("forest:Release", {"type": "forest/flux@2"}, {}, STEP)
    assert why == "no connected worker accepts type 'forest/flux@2' now; accepted is 'forest/flux@1'"
    none: Accepted = {"forest:Release": {"type": frozenset()}}
    assert refusal("forest:Release", {"type": "x"}, {}, none).endswith("now, nor any other type")
    many: Accepted = {"forest:Release": {"type": frozenset(f"v{n:02}" for n in range(MOST_LISTED + 3))}}
    why = refusal("forest:Release", {"type": "x" * 10_000}, {}, many)
    assert why.endswith("'v08', 'v09' and 3 more") and len(why) < 600


@pytest.mark.parametrize(("value", "shown"), [(1, "'1'"), (["forest/flux@1"], "flux@1"), ({"a": 1}, "a")])
def test_a_value_that_is_no_string_is_accepted_by_none(value: Any, shown: str) -> None:
    assert shown in refusal("forest:Release", {"type": value}, {}, STEP)


def test_a_value_of_the_deployment_is_looked_at_where_it_is_known() -> None:
    parameters = {"dynamic": ["type"]}
    assert refusal("forest:Release", parameters, {}, STEP) == ""
    assert refusal("forest:Release", parameters, {"type": "forest/flux@1"}, STEP) == ""
    assert "'forest/flux@3'" in refusal("forest:Release", parameters, {"type": "forest/flux@3"}, STEP)


def test_an_offer_for_any_name_restricts_every_name() -> None:
    accepted = accepted_by([{"forest:*": {"accepts": {"type": ["a"]}}}])
    assert refusal("forest:Anything", {"type": "b"}, {}, accepted)
