"""Compiled plans are kept by their number and by the bytes that they take."""

from __future__ import annotations

from re_core.admission.compiled_plans import Compiled, Key, Plans
from re_core.deployment.plan_codec import plan_from_document
from re_core.playbook.compiler import EnginePolicy, compile_document
from re_core.playbook.dynamic_values import demands
from tests.factories import simple


def _compiled(text: str = "") -> Compiled:
    document = compile_document(simple({"noop:A": {"text": text}}), EnginePolicy(), {})
    plan = plan_from_document(document)
    return Compiled(document, plan, frozenset(), demands(plan, {}))


def _key(name: str) -> Key:
    return (name, 1, 1, "", frozenset())


def test_the_plan_unused_for_longest_goes() -> None:
    plans = Plans(most=2)
    first = plans.add(_key("a"), _compiled())
    plans.add(_key("b"), _compiled())
    assert plans.get(_key("a")) is first
    plans.add(_key("c"), _compiled())
    assert plans.get(_key("b")) is None
    assert plans.get(_key("a")) is first


def test_large_plans_are_kept_only_as_far_as_there_is_room() -> None:
    plans = Plans(most_bytes=2_000_000)
    for name in "abcd":
        plans.add(_key(name), _compiled("x" * 100_000))
    assert [plans.get(_key(name)) is not None for name in "abcd"] == [False, False, True, True]
    plans.add(_key("e"), _compiled("x" * 1_000_000))
    assert [plans.get(_key(name)) is not None for name in "abcde"] == [False] * 4 + [True]
    assert plans.weight > 2_000_000
