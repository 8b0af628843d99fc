"""The stored form of a plan: JSON on the way, the same plan at the other end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.deployment.plan import ROOT, AfterRescue, Mode, OnFailure, Plan, Role, steps_below
from re_core.deployment.plan_codec import MAX_DEPTH, plan_from_document, plan_to_document
from re_core.deployment.records import Accepted, Entry
from re_core.deployment.state import fold
from re_core.errors import NewerFormat, StoreRefused
from re_core.playbook.compiler import EnginePolicy, compile_document, compile_plan
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
        (("v",), 3),
        (("on_lost",), "dream"),
        (("specs", 0, "mood"), "good"),
        (("specs", 0, "kind"), "approval"),
        (("main",), {"serial": [0]}),
        (("tree", "rolling"), [0]),
        (("tree", "serial", 0), {"after": [0]}),
        (("tree", "on_failure"), "ask"),
        (("tree", "after_rescue"), "celebrate"),
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
        (("tree",), {}),
        (("tree",), [0]),
        (("tree", "serial", 0), "x"),
        (("tree", "serial", 0), -1),
        (("tree", "serial", 0), True),
        (("tree", "serial"), []),
        (("tree", "serial", 0), {"serial": [0, 0]}),
        (("tree", "parallel"), [0]),
        (("tree", "on_failure"), 7),
        (("tree", "max_failures"), -1),
        (("tree", "max_failures"), "5%"),
        (("tree", "always"), 0),
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


@given(playbooks, arounds)
def test_every_node_has_one_place_in_the_tree_and_knows_it(document: dict[str, Any], around: EnginePolicy) -> None:
    plan = plan_from_document(compile_document(document, around, {}))
    _assert_sound(plan)
    assert list(steps_below(plan.root)) == list(range(len(plan.steps)))


def _assert_sound(plan: Plan) -> None:
    assert sorted(steps_below(plan.root)) == list(range(len(plan.steps)))
    for number, task in enumerate(plan.tasks):
        assert task.step == number
        assert plan.blocks[task.parent].children[task.place] is task
    for number, block in enumerate(plan.blocks):
        assert block.number == number
        if number == ROOT:
            continue
        above = plan.blocks[block.parent]
        assert above.number < number
        beside = {Role.RESCUE: above.rescue, Role.ALWAYS: above.always}
        assert (above.children[block.place] if block.role is Role.CHILD else beside[block.role]) is block


def test_what_many_steps_share_is_stored_once() -> None:
    document = simple("noop:A", "noop:B", hosts=tuple(f"host{number}" for number in range(100)))
    stored = compile_document(document, EnginePolicy(), {})
    assert (len(stored["specs"]), len(stored["hosts"]), len(stored["steps"])) == (2, 100, 200)


def test_a_block_is_stored_with_what_differs_from_the_default() -> None:
    tree = {
        "parallel": [0, {"serial": [1], "rescue": {"serial": [2]}, "after_rescue": "continue"}],
        "limit": 1,
        "max_failures": 1,
        "always": {"parallel": [3], "on_failure": "continue"},
    }
    steps = compile_plan(simple(*["noop:A"] * 4), EnginePolicy(), {}).steps
    plan = plan_from_document(strict_json.loads(strict_json.dumps(plan_to_document(steps, tree, 60, {}))))
    _assert_sound(plan)
    root, inner, rescue, always = plan.blocks
    assert (root.mode, root.limit, root.max_failures, root.on_failure) == (Mode.PARALLEL, 1, 1, OnFailure.STOP)
    assert (inner.after_rescue, inner.rescue, rescue.role) == (AfterRescue.CONTINUE, rescue, Role.RESCUE)
    assert (always.mode, always.limit, always.on_failure) == (Mode.PARALLEL, 0, OnFailure.CONTINUE)
    assert [block.in_always for block in plan.blocks] == [False, False, False, True]
    # a rescue begins because its own block drains; an `always` whatever drains
    assert [block.guards for block in plan.blocks] == [(0,), (1, 0), (2, 0), (3,)]
    assert plan.within == (((0, 0),), ((0, 1),), ((0, 1),), ((3, 0),))


def test_what_stands_deeper_than_any_playbook_can_say_is_a_damaged_plan() -> None:
    tree: Any = 0
    for _ in range(MAX_DEPTH + 1):
        tree = {"serial": [tree]}
    with pytest.raises(StoreRefused, match="a plan that this version cannot read"):
        fold([_first(_with(("tree",), tree))])
    assert fold([_first(_with(("tree",), tree["serial"][0]))]).plan.tasks[0].parent == MAX_DEPTH - 1


@pytest.mark.parametrize("actions", [0, 2])
def test_a_plan_of_version_1_is_read_as_the_one_of_today(actions: int) -> None:
    document = simple("noop:A", hosts=("a", "b"), preflight=("noop:P",))
    now = compile_document(document, EnginePolicy([check()], [action()] * actions), {})
    last = list(range(5, 5 + actions))
    main = [{"serial": [0]}, {"parallel": [{"serial": [1]}, {"serial": [2]}]}, {"serial": [3]}, {"serial": [4]}]
    old = {name: value for name, value in now.items() if name not in ("v", "tree")}
    old.update(main={"serial": main}, actions={"serial": last})
    assert plan_from_document(old) == plan_from_document(now)
