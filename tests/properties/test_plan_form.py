"""The stored form of a plan: JSON on the way, the same plan at the other end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.deployment.plan import Plan
from re_core.deployment.plan_codec import plan_from_document
from re_core.deployment.records import Accepted, Entry
from re_core.deployment.state import fold
from re_core.errors import NewerFormat, StoreRefused
from re_core.playbook.compiler import EnginePolicy, compile_document
from re_core.wire import strict_json
from tests.factories import action, check, playbook, sequence, simple

_names = st.sampled_from(["noop:A", "noop:B", "git:Merge"])
_notify = st.dictionaries(
    st.sampled_from(["started", "failed"]),
    st.dictionaries(st.sampled_from(["irc", "email"]), st.lists(st.text(max_size=5), max_size=2), max_size=2),
    max_size=2,
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_arguments = st.fixed_dictionaries({}, optional={"notify": _notify, "x": _json, "dynamic": st.just(["cart"])})
_steps = _names | st.builds(lambda name, arguments, retries: {name: arguments, "retries": retries},
                            _names, _arguments, st.integers(0, 3))  # fmt: skip
_sequences = st.builds(
    lambda steps, hosts, preflight: sequence(*steps, hosts=tuple(hosts), preflight=tuple(preflight)),
    st.lists(_steps, min_size=1, max_size=3),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True),
    st.lists(_steps, max_size=2),
)
playbooks = st.lists(_sequences, min_size=1, max_size=3).map(lambda sequences: playbook(*sequences))
arounds = st.builds(
    lambda checks, actions, notify: EnginePolicy([check()] * checks, [action()] * actions, notify=notify),
    st.integers(0, 2),
    st.integers(0, 2),
    _notify.map(lambda notify: {p: {t: tuple(to) for t, to in way.items()} for p, way in notify.items()}),
)


@given(playbooks, arounds)
def test_the_stored_form_is_json_and_comes_back_as_the_same_plan(
    document: dict[str, Any], around: EnginePolicy
) -> None:
    stored = compile_document(document, around, {})
    again = strict_json.loads(strict_json.dumps(stored))
    assert again == stored
    assert plan_from_document(again) == plan_from_document(stored)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("v",), 2),
        (("on_lost",), "dream"),
        (("specs", 0, "mood"), "good"),
        (("specs", 0, "kind"), "approval"),
        (("main", "rolling"), [0]),
        (("main", "serial", 0), {"after": [0]}),
        (("steps", 0, 3), "more"),
    ],
)
def test_a_plan_with_something_unknown_is_left_to_a_newer_engine(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(NewerFormat, match="upgrade this engine"):
        fold([_first(_with(path, value))])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("on_lost",), 7),
        (("specs", 0, "kind"), None),
        (("specs",), {}),
        (("main",), {}),
        (("main", "serial", 0), "x"),
        (("steps", 0, 0), 99),
        (("steps", 0), [0, 0]),
        (("steps",), 7),
        (("notify",), []),
    ],
)
def test_a_damaged_plan_is_not_taken_for_a_newer_one(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(StoreRefused, match="a plan that this version cannot read") as caught:
        fold([_first(_with(path, value))])
    assert not isinstance(caught.value, NewerFormat)


def _with(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A plan in which that is something else, or more."""
    stored: dict[str, Any] = strict_json.loads(
        strict_json.dumps(compile_document(simple("noop:A"), EnginePolicy(), {}))
    )
    inner: Any = stored
    for name in path[:-1]:
        inner = inner[name]
    if isinstance(inner, list) and path[-1] == len(inner):
        inner.append(value)
    else:
        inner[path[-1]] = value
    return stored


def _first(plan: dict[str, Any]) -> Entry:
    accepted = Accepted("g", "p", "n", 1, "", "", "", {}, plan)
    return Entry("d1", 1, 0, "w", (accepted,))


def _below(plan: Plan, unit: int) -> Iterator[int]:
    for child in plan.units[unit].children:
        if child >= 0:
            yield child
        else:
            yield from _below(plan, ~child)


@given(playbooks, arounds)
def test_every_step_has_one_place_in_the_tree_and_knows_it(document: dict[str, Any], around: EnginePolicy) -> None:
    plan = plan_from_document(compile_document(document, around, {}))
    assert [*_below(plan, plan.main), *_below(plan, plan.actions)] == list(range(len(plan.steps)))
    for number, (above, place) in enumerate(plan.places):
        assert plan.units[above].children[place] == number
    for number, unit in enumerate(plan.units):
        if unit.parent >= 0:
            assert plan.units[unit.parent].children[unit.position] == ~number


def test_what_many_steps_share_is_stored_once() -> None:
    document = simple("noop:A", "noop:B", hosts=tuple(f"host{number}" for number in range(100)))
    stored = compile_document(document, EnginePolicy(), {})
    assert (len(stored["specs"]), len(stored["hosts"]), len(stored["steps"])) == (2, 100, 200)
