"""Playbook to plan: hosts, preflight, triggers, checks, actions, dynamic names, limits and their precedence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.deployment.plan import Block, Mode, Plan, StepKind, steps_below
from re_core.errors import BadDocument
from re_core.playbook import compiler as p
from re_core.playbook import documents, json_schema
from re_core.playbook.compiler import EnginePolicy, compile_document, compile_plan, missing_dynamic, required_dynamic
from tests.factories import ONE_HOST, action, check, playbook, sequence, simple


def _names(plan: Plan) -> list[str]:
    return [f"{step.host}/{step.spec.name}" if step.host else step.spec.name for step in plan.steps]


def _trigger(when: dict[str, str], name: str = "noop:Before") -> dict[str, Any]:
    command, subcommand = name.split(":")
    return {"DESCRIPTION": "first", "WHEN": when, "COMMAND": command, "SUBCOMMAND": subcommand, "PARAMETERS": {"x": 1}}


def _refusal(document: Any) -> list[str]:
    """Where compile_document finds what is wrong."""
    with pytest.raises(BadDocument) as caught:
        compile_document(document, EnginePolicy(), {})
    return [problem.path for problem in caught.value.problems]


# -- order -----------------------------------------------------------------------------------------


def test_hosts_are_expanded_and_every_step_knows_its_host_and_sequence() -> None:
    plan = compile_plan(
        playbook(sequence("noop:A", "noop:B", hosts=("a", "b")), sequence("noop:C", hosts=("c",))), EnginePolicy(), {}
    )
    assert _names(plan) == ["a/noop:A", "a/noop:B", "b/noop:A", "b/noop:B", "c/noop:C"]
    assert [step.sequence for step in plan.steps] == [0, 0, 0, 0, 1]
    assert {step.spec.kind for step in plan.steps} == {StepKind.STEP}


def test_hosts_share_the_specification_of_a_step() -> None:
    plan = compile_plan(simple("noop:A", hosts=("a", "b")), EnginePolicy(), {})
    assert plan.steps[0].spec is plan.steps[1].spec


def test_preflight_chains_stand_side_by_side_before_the_hosts() -> None:
    plan = compile_plan(simple("noop:A", hosts=("a", "b"), preflight=("noop:P", "noop:Q")), EnginePolicy(), {})
    assert _names(plan) == ["a/noop:P", "a/noop:Q", "b/noop:P", "b/noop:Q", "a/noop:A", "b/noop:A"]
    chains = plan.root.children[0]
    assert isinstance(chains, Block)
    assert chains.mode is Mode.PARALLEL
    assert [list(steps_below(child)) for child in chains.children] == [[0, 1], [2, 3]]
    assert plan.steps[0].spec.kind is StepKind.PREFLIGHT


def test_checks_come_first_and_actions_last_and_neither_has_a_host() -> None:
    plan = compile_plan(simple("noop:A"), EnginePolicy(checks=[check()], actions=[action(hosts=["x"])]), {})
    assert _names(plan) == ["noop:Check", "web01/noop:A", "noop:Tidy"]
    assert [step.sequence for step in plan.steps] == [None, 0, None]
    assert list(steps_below(plan.root.always)) == [2]
    assert [plan.runs_always(number) for number in range(3)] == [False, False, True]
    assert plan.steps[0].spec.label == "is Check"
    assert plan.steps[2].spec.parameters == {"hosts": ["x"]}


def test_without_actions_nothing_runs_always() -> None:
    plan = compile_plan(simple("noop:A"), EnginePolicy(), {})
    assert plan.root.always is None
    assert not plan.runs_always(0)


# -- triggers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"NEXT_COMMAND": "service"}, ["noop:Before", "service:Restart", "noop:Before", "service:Stop", "git:Stop"]),
        ({"NEXT_SUBCOMMAND": "Stop"}, ["service:Restart", "noop:Before", "service:Stop", "noop:Before", "git:Stop"]),
        (
            {"NEXT_COMMAND": "service", "NEXT_SUBCOMMAND": "Stop"},
            ["service:Restart", "noop:Before", "service:Stop", "git:Stop"],
        ),
        ({"NEXT_COMMAND": "puppet"}, ["service:Restart", "service:Stop", "git:Stop"]),
    ],
)
def test_a_trigger_inserts_its_step_before_what_matches_all_of_when(when: dict[str, str], expected: list[str]) -> None:
    document = simple("service:Restart", "service:Stop", "git:Stop")
    plan = compile_plan(document, EnginePolicy(triggers=[_trigger(when)]), {})
    assert [step.spec.name for step in plan.steps] == expected


def test_triggers_apply_in_order_and_each_sees_what_the_earlier_ones_inserted() -> None:
    triggers = [_trigger({"NEXT_COMMAND": "git"}, "service:Stop"), _trigger({"NEXT_COMMAND": "service"}, "noop:Check")]
    plan = compile_plan(simple("git:Merge"), EnginePolicy(triggers=triggers), {})
    assert [step.spec.name for step in plan.steps] == ["noop:Check", "service:Stop", "git:Merge"]
    again = compile_plan(simple("git:Merge"), EnginePolicy(triggers=triggers[::-1]), {})
    assert [step.spec.name for step in again.steps] == ["service:Stop", "git:Merge"]


def test_what_a_trigger_inserts_runs_on_the_host_of_what_it_comes_before() -> None:
    plan = compile_plan(
        simple("git:Merge", hosts=("a", "b")), EnginePolicy(triggers=[_trigger({"NEXT_COMMAND": "git"})]), {}
    )
    assert _names(plan) == ["a/noop:Before", "a/git:Merge", "b/noop:Before", "b/git:Merge"]
    spec = plan.steps[0].spec
    assert (spec.kind, spec.label, spec.parameters) == (StepKind.TRIGGER, "first", {"x": 1})


def test_triggers_do_not_see_preflight_checks_and_actions() -> None:
    around = EnginePolicy([check()], [action()], [_trigger({"NEXT_COMMAND": "noop"})])
    plan = compile_plan(simple("noop:A", preflight=("noop:P",)), around, {})
    assert [step.spec.name for step in plan.steps] == ["noop:Check", "noop:P", "noop:Before", "noop:A", "noop:Tidy"]


def test_triggers_that_match_each_other_end_at_the_limit_and_not_at_the_end_of_memory() -> None:
    around = EnginePolicy(triggers=[_trigger({"NEXT_COMMAND": "noop"})] * 200)
    with pytest.raises(BadDocument, match="more than 10000 steps"):
        compile_document(simple("noop:A"), around, {})


# -- limits ----------------------------------------------------------------------------------------


def test_a_step_s_limits_are_the_playbook_s_then_the_worker_s_then_the_setting_s() -> None:
    offers = {"noop:A": {"timeout": 20, "idempotent": True, "retries": 4}}
    around = EnginePolicy(step_timeout=3, patience=77)
    document = simple("noop:A", {"noop:A": {}, "timeout": 1.5, "idempotent": False, "retries": 0}, "git:Merge")
    plan = compile_plan(document, around, offers)
    assert [step.spec[4:7] for step in plan.steps] == [(20, True, 4), (1.5, False, 0), (3, False, 0)]
    assert plan.patience == 77


def test_a_step_without_arguments_may_have_its_name_and_limits_beneath_it() -> None:
    text = (
        ONE_HOST
        + b"""
      - noop:Do:
        name: Do it
        timeout: 5
        idempotent: true
        retries: 2
      - noop:Do:
"""
    )
    document = documents.parse(text, "yaml").value
    assert json_schema.problems("playbook", document) == []
    full, bare = (step.spec for step in compile_plan(document, EnginePolicy(), {}).steps)
    assert (full.label, full.timeout, full.idempotent, full.retries) == ("Do it", 5, True, 2)
    assert full.parameters == bare.parameters == {}


def test_an_offer_of_any_subcommand_counts_where_the_step_has_none_of_its_own() -> None:
    offers: dict[str, dict[str, Any]] = {"noop:*": {"retries": 1, "timeout": None}, "noop:A": {"retries": 2}}
    plan = compile_plan(simple("noop:A", "noop:B"), EnginePolicy(), offers)
    assert [step.spec.retries for step in plan.steps] == [2, 1]
    assert plan.steps[1].spec.timeout == 3600
    assert p.offer_of("git:Merge", offers) is None


def test_steps_of_the_settings_have_the_limits_that_their_worker_offers() -> None:
    plan = compile_plan(simple("noop:A"), EnginePolicy(actions=[action()]), {"noop:Tidy": {"retries": 3}})
    assert plan.steps[1].spec.retries == 3


def test_10000_steps_are_allowed_and_one_more_is_not() -> None:
    hosts = tuple(f"host{number}" for number in range(5000))
    assert len(compile_document(simple("noop:A", "noop:B", hosts=hosts), EnginePolicy(), {})["steps"]) == 10_000
    with pytest.raises(BadDocument, match="more than 10000 steps"):
        compile_document(simple("noop:A", "noop:B", hosts=hosts), EnginePolicy(actions=[action()]), {})
    with pytest.raises(BadDocument, match="more than 10000 steps"):
        compile_document(simple("noop:A", "noop:B", "noop:C", hosts=hosts), EnginePolicy(), {})


# -- dynamic values --------------------------------------------------------------------------------


def test_all_missing_values_are_named_at_once_each_with_the_first_step_that_wants_it() -> None:
    document = simple(
        {"juicer:Promote": {"dynamic": ["cart", "env"]}}, {"noop:B": {"dynamic": ["env", "a/b~c", "known"]}}
    )
    plan = compile_plan(document, EnginePolicy(), {})
    assert required_dynamic(plan) == ("cart", "env", "a/b~c", "known")
    problems = missing_dynamic(plan, {"known": None, "more": 1})
    assert [problem.path for problem in problems] == ["/dynamic/cart", "/dynamic/env", "/dynamic/a~1b~0c"]
    assert [problem.message for problem in problems][1] == "the step juicer:Promote needs a value for 'env'"


def test_the_list_of_names_stays_in_the_step_s_parameters() -> None:
    plan = compile_plan(simple({"juicer:Promote": {"dynamic": ["cart"], "x": 1}}), EnginePolicy(), {})
    assert plan.steps[0].spec.parameters == {"dynamic": ["cart"], "x": 1}


def test_checks_and_actions_may_want_values_too() -> None:
    around = EnginePolicy([check(dynamic=["one"])], [action(dynamic=["two"])])
    assert required_dynamic(compile_plan(simple("noop:A"), around, {})) == ("one", "two")


def test_what_is_no_list_of_names_asks_for_nothing() -> None:
    plan = compile_plan(simple({"noop:A": {"dynamic": "cart"}}, {"noop:B": {"dynamic": [1]}}), EnginePolicy(), {})
    assert required_dynamic(plan) == ()
    assert missing_dynamic(plan, {}) == []


# -- forms of a step -------------------------------------------------------------------------------


def test_notify_is_taken_out_of_the_arguments() -> None:
    step = {"noop:A": {"x": 1, "notify": {"started": {"irc": ["PHB", "#team"]}}}}
    [planned] = compile_plan(simple(step), EnginePolicy(), {}).steps
    assert planned.spec.parameters == {"x": 1}
    assert planned.spec.notify == {"started": {"irc": ("PHB", "#team")}}


def test_a_step_may_have_a_key_and_no_arguments() -> None:
    [planned] = compile_plan(simple({"noop:A": None}), EnginePolicy(), {}).steps
    assert planned.spec.parameters == {}


def test_the_document_is_left_as_it_was() -> None:
    document = simple({"noop:A": {"notify": {"started": {"irc": ["x"]}}}})
    compile_document(document, EnginePolicy(), {})
    assert document == simple({"noop:A": {"notify": {"started": {"irc": ["x"]}}}})


def test_step_entries_name_every_step_with_its_pointer() -> None:
    document = playbook(sequence("noop:A", preflight=("noop:P",)), sequence({"noop:B": {"x": 1}, "timeout": 1}))
    assert list(p.step_entries(document)) == [
        ("/execution/0/preflight/0", "noop:P", {}),
        ("/execution/0/steps/0", "noop:A", {}),
        ("/execution/1/steps/0", "noop:B", {"x": 1}),
    ]


def test_step_entries_leave_out_what_is_no_step() -> None:
    odd = {"execution": [5, {"steps": "noop:A"}, {"steps": [7, "noop", {"noop:A": 1}, {}, "noop:B"]}]}
    assert [path for path, _, _ in p.step_entries(odd)] == ["/execution/2/steps/4"]
    assert list(p.step_entries({"execution": {"steps": ["noop:A"]}})) == []


# -- bad documents ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "path"),
    [
        ("noop", ""),
        ("noop:A:B", ""),
        ("noop:A\n", ""),
        ("nöop:A", ""),
        (7, ""),
        (None, ""),
        ({}, ""),
        ({"timeout": 3}, ""),
        ({"noop:A": {}, "noop:B": {}}, ""),
        ({1: {}}, ""),
        ({"noop:A": []}, ""),
        ({"noop:A": False}, ""),
        ({"noop:A": "x"}, ""),
        ({"noop:A": {}, "timeout": "soon"}, "/timeout"),
        ({"noop:A": {}, "timeout": None}, "/timeout"),
        ({"noop:A": {}, "timeout": True}, "/timeout"),
        ({"noop:A": {}, "timeout": 0}, "/timeout"),
        ({"noop:A": {}, "timeout": float("inf")}, "/timeout"),
        ({"noop:A": {}, "timeout": float("nan")}, "/timeout"),
        ({"noop:A": {}, "idempotent": "yes"}, "/idempotent"),
        ({"noop:A": {}, "retries": -1}, "/retries"),
        ({"noop:A": {}, "retries": 1.5}, "/retries"),
        ({"noop:A": {}, "retries": 101}, "/retries"),
        ({"noop:A": {"notify": ["x"]}}, "/noop:A/notify"),
        ({"noop:A": {"notify": {"started": "x"}}}, "/noop:A/notify/started"),
        ({"noop:A": {"notify": {"started": {"irc": "x"}}}}, "/noop:A/notify/started/irc"),
        ({"noop:A": {"notify": {"started": {"irc": [1]}}}}, "/noop:A/notify/started/irc"),
    ],
)
def test_a_step_that_is_none_is_refused_and_pointed_at(step: Any, path: str) -> None:
    assert _refusal(simple("noop:Fine", step)) == [f"/execution/0/steps/1{path}"]


def test_all_problems_of_a_playbook_come_at_once() -> None:
    document = {
        "execution": [
            {"hosts": [], "steps": ["noop:A"], "preflight": [1]},
            {"hosts": ["a", "", 3], "steps": "noop:A", "preflight": None},
            "noop:A",
        ]
    }
    assert _refusal(document) == [
        "/execution/0/hosts",
        "/execution/0/preflight/0",
        "/execution/1/hosts/1",
        "/execution/1/hosts/2",
        "/execution/1/preflight",
        "/execution/1/steps",
        "/execution/2",
    ]


@pytest.mark.parametrize("document", [{}, {"execution": []}, {"execution": {}}, {"execution": None}, [], None, 3])
def test_a_playbook_without_sequences_is_refused(document: Any) -> None:
    assert _refusal(document) == ["/execution"]


_keys = st.sampled_from(["execution", "hosts", "steps", "preflight", "noop:A", "timeout", "retries", "notify", "x"])
_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 200) | st.floats() | st.sampled_from(["noop:A", "a", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(_keys, _anything, max_size=3) | _anything, _anything, _anything)
def test_no_document_does_more_than_be_refused(document: Any, one: Any, other: Any) -> None:
    for candidate in (
        document,
        simple(one, other),
        {"execution": [{"hosts": one, "steps": [other], "preflight": one}]},
    ):
        try:
            plan = compile_plan(candidate, EnginePolicy(), {})
        except BadDocument as error:
            assert str(error)
        else:
            assert plan.steps
            assert all(step.spec.timeout > 0 and step.spec.retries >= 0 for step in plan.steps)


def test_what_people_call_steps_and_stages_is_in_the_plan() -> None:
    named = sequence({"noop:A": {}, "name": "Link it", "timeout": 5}, "noop:B", hosts=("w1",))
    document = playbook({**named, "description": "Roll out"}, sequence("noop:C", hosts=("w1",)))
    plan = compile_plan(document, EnginePolicy(), {})
    assert [step.spec.label for step in plan.steps] == ["Link it", "", ""]
    assert plan.steps[0].spec.parameters == {}
    assert plan.stages == ("Roll out", "")


def test_a_plan_without_descriptions_is_stored_as_it_always_was() -> None:
    assert "stages" not in compile_document(playbook(sequence("noop:A", hosts=("w1",))), EnginePolicy(), {})


def test_a_playbook_says_how_much_output_its_steps_may_have_else_the_settings_do() -> None:
    around = EnginePolicy(output_quota=5000)
    assert compile_plan(simple("noop:A"), around, {}).output_quota == 5000
    assert compile_plan({**simple("noop:A"), "output_quota": 2048}, around, {}).output_quota == 2048


def test_a_plan_with_the_usual_quota_is_as_it_always_was() -> None:
    assert "output_quota" not in compile_document(simple("noop:A"), EnginePolicy(), {})


@pytest.mark.parametrize("size", [0, 1023, 1024**3 + 1, True, 2048.0, "2048"])
def test_an_output_quota_out_of_bounds_is_refused(size: Any) -> None:
    with pytest.raises(BadDocument) as refused:
        compile_document({**simple("noop:A"), "output_quota": size}, EnginePolicy(), {})
    assert [problem.path for problem in refused.value.problems] == ["/output_quota"]
