"""What a group may use, by what the settings list and which tokens there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from re_core.playbook.command_rules import CommandRules
from re_core.playbook.compiler import step_entries
from re_core.rows import Token

ADMIN = Token("a", "root", None, True, 0)
WEB = Token("b", "ann", ("web",), False, 0)
#: may not make tokens, so that it must not be able to become one that may
PIPELINE = Token("c", "pipeline", None, False, 0)
#: makes no tokens, though it says so: it does not reach all groups
HALF = Token("d", "bob", ("web",), True, 0)

DOCUMENT = {"execution": [{"preflight": ["own:Look"], "steps": ["noop:A", {"command:Run": {"cmd": "x"}}]}]}
OWN, RUN = "/execution/0/preflight/0", "/execution/0/steps/1"


def _refused(group: str, tokens: Sequence[Token], listed: Mapping[str, Sequence[str]]) -> list[str]:
    rules = CommandRules(listed).with_tokens(tokens)
    return [problem.path for problem in rules.problems(group, step_entries(DOCUMENT))]


@pytest.mark.parametrize("tokens", [[], [ADMIN], [ADMIN, ADMIN]])
def test_where_only_administrators_have_tokens_every_group_may_use_everything(tokens: list[Token]) -> None:
    assert _refused("web", tokens, {}) == []


@pytest.mark.parametrize("token", [WEB, PIPELINE, HALF])
def test_a_group_that_others_reach_may_use_what_runs_nothing_on_the_machine(token: Token) -> None:
    assert _refused("web", [ADMIN, token], {}) == [OWN, RUN]


def test_a_group_that_only_administrators_reach_is_as_before() -> None:
    assert _refused("ops", [ADMIN, WEB], {}) == []
    assert _refused("ops", [ADMIN, WEB], {"web": ["noop"]}) == []
    assert _refused("ops", [ADMIN, PIPELINE], {}) == [OWN, RUN]


@pytest.mark.parametrize(
    ("listed", "refused"),
    [
        ({"web": ["*"]}, []),
        ({"web": ["command", "noop"]}, [OWN]),
        ({"web": ["command:Run", "noop:A", "own:Look"]}, []),
        ({"web": ["command:Other", "noop"]}, [OWN, RUN]),
        ({"web": []}, [OWN, "/execution/0/steps/0", RUN]),
        ({"*": ["command", "noop", "own"]}, []),
        ({"web": ["noop"], "*": ["*"]}, [OWN, RUN]),
        ({"other": ["*"]}, [OWN, RUN]),
    ],
)
def test_the_settings_say_what_a_group_may_use(listed: Mapping[str, Sequence[str]], refused: list[str]) -> None:
    assert _refused("web", [ADMIN, WEB], listed) == refused


def test_what_is_listed_counts_for_groups_of_administrators_too() -> None:
    assert _refused("ops", [ADMIN], {"ops": ["noop"]}) == [OWN, RUN]


def test_a_refusal_names_group_step_and_setting() -> None:
    rules = CommandRules({}).with_tokens([WEB])
    told = rules.problems("web", step_entries(DOCUMENT))[1].message
    assert told == (
        "the group 'web' may not use 'command:Run': the setting group_commands does not list 'command' for it; "
        "it may use apprise, console, email, httprequest, irc, noop, sleep, webhook"
    )


@pytest.mark.parametrize(
    ("listed", "depends"),
    [({}, True), ({"web": ["*"]}, False), ({"*": ["command", "noop", "own"]}, False), ({"ops": ["*"]}, True)],
)
def test_tokens_matter_only_where_they_could_forbid_something(
    listed: Mapping[str, Sequence[str]], depends: bool
) -> None:
    assert CommandRules(listed).depends("web", step_entries(DOCUMENT)) is depends
    assert not CommandRules({}).depends("web", [("/x", "noop:A", {})])
