"""What a notification is about: taken from the state, written into a header, read again."""

from __future__ import annotations

import pytest

from re_core.deployment import events as e
from re_core.playbook.compiler import EnginePolicy
from re_core.playbook.notice_routes import read_routes
from re_core.sequencer.encoding import messages_of
from re_core.wire.notice_facts import ABOUT, LINES, MOST, NO_FACTS, Facts, StepFacts, read, write
from tests.factories import START, Run, simple

EVERY = EnginePolicy(notify={phase: {"email": ("a@example.com",)} for phase in ("started", "completed", "failed")})


def facts_told(run: Run) -> list[Facts]:
    """Those of the notifications of a run, in order, as a notifier reads them."""
    effects = [effect for effect in run.effects if isinstance(effect, e.Notify)]
    return [read(messages_of(run.state, [effect])[0].headers[ABOUT]) for effect in effects]


def test_the_end_of_a_deployment_says_who_what_where_how_long_and_which_step_failed() -> None:
    run = Run(simple("noop:A", "noop:B"), EVERY)
    run.do(0)
    run.claim(1)
    run.now += 2500
    run.fail(1, "exit code 3", data={"code": 3, "output": ["one", "two"]})
    found = facts_told(run)[-1]
    assert found == Facts(
        deployment="d1",
        group="inception",
        playbook="Simple playbook",
        revision=1,
        user="pat",
        outcome="failed",
        at=START + 2500,
        took=2500,
        hosts=("web01",),
        host_count=1,
        step=StepFacts(1, "noop:B on web01", "web01", "failed", "exit code 3", ("one", "two")),
    )


def test_a_start_has_no_duration_and_no_step() -> None:
    first = facts_told(Run(simple("noop:A"), EVERY))[0]
    assert (first.outcome, first.took, first.step) == ("started", None, None)


def test_a_notification_of_a_step_is_about_that_step() -> None:
    run = Run(simple("noop:A", {"noop:B": {"notify": {"completed": {"irc": ["#x"]}}}}))
    run.do(0)
    run.claim(1)
    run.now += 700
    run.complete(1)
    (found,) = facts_told(run)
    assert (found.outcome, found.took) == ("completed", 700)
    assert found.step is not None and (found.step.number, found.step.name) == (1, "noop:B on web01")


def test_what_is_written_is_read_again() -> None:
    facts = Facts(
        "d", "g", "p", 2, "u", "failed", 5, 0, ("a", "b"), 7, "x=1", StepFacts(3, "s", "h", "lost", "m", ("l",))
    )
    assert read(write(facts)) == facts
    assert read(write(NO_FACTS)) == NO_FACTS


def test_a_header_is_bounded_whatever_the_texts_are() -> None:
    long = "\N{SNOWMAN}" * 5000
    step = StepFacts(1, long, long, "failed", long, (long,) * 50)
    written = write(Facts(long, long, long, 1, long, "failed", 1, 1, (long,) * 50, 50, long, step))
    assert len(written.encode()) <= MOST
    assert read(written).deployment.startswith("\N{SNOWMAN}")
    lines = read(write(Facts("d", step=StepFacts(1, "s", lines=tuple(map(str, range(50))))))).step
    assert lines is not None and lines.lines == tuple(str(number) for number in range(50 - LINES, 50))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "{" + '"a":{' * 3000,
        "x" * (MOST + 1),
        '{"deployment": 3, "took": -1, "hosts": [1]}',
    ],
)
def test_a_header_that_is_none_is_as_if_there_were_none(text: str) -> None:
    assert read(text) == NO_FACTS


def test_rules_add_targets_to_what_every_deployment_notifies() -> None:
    rules = [
        {
            "group": "inception",
            "outcome": "failed",
            "to": {"apprise": ["oncall"], "email": ["a@example.com", "b@x.org"]},
        },
        {"group": ["other", "third"], "to": {"irc": ["#never"]}},
        {"playbook": "Simple*", "outcome": ["completed"], "to": {"webhook": ["audit"]}},
    ]
    run = Run(simple("noop:A"), EVERY._replace(routes=read_routes(rules)))
    assert run.plan.notify == {
        "started": {"email": ("a@example.com",)},
        "completed": {"email": ("a@example.com",), "webhook": ("audit",)},
        "failed": {"email": ("a@example.com", "b@x.org"), "apprise": ("oncall",)},
    }


def test_a_rule_for_an_environment_covers_what_has_a_step_of_it_and_a_daily_one_nothing_at_once() -> None:
    rules = [
        {"environment": ["prod", "live-*"], "outcome": "failed", "to": {"irc": ["#prod"]}},
        {"environment": "prod", "daily": "07:00", "to": {"email": ["team@example.com"]}},
    ]
    policy = EnginePolicy(routes=read_routes(rules))
    wanted = {"failed": {"irc": ("#prod",)}}
    for environment, told in (("prod", wanted), ("live-eu", wanted), ("staging", {}), ("", {})):
        document = simple("noop:A")
        document["execution"].append({"hosts": ["b"], "steps": ["noop:B"], "environment": environment})
        if not environment:
            del document["execution"][-1]["environment"]
        assert Run(document, policy).plan.notify == told


def test_a_rule_without_conditions_is_for_every_deployment_and_every_outcome() -> None:
    run = Run(simple("noop:A"), EnginePolicy(routes=read_routes([{"to": {"irc": ["#all"]}}])))
    assert run.plan.notify == {phase: {"irc": ("#all",)} for phase in ("started", "completed", "failed")}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("x", "rule 1: expected an object"),
        ({"to": {}}, "rule 1: to: expected transports"),
        ({"to": {"email": []}}, "rule 1: to: email: expected a list"),
        ({"to": {"email": ["a\nb"]}}, "rule 1: to: email"),
        ({"groups": "x", "to": {"email": ["a"]}}, "did you mean 'group'"),
        ({"outcome": "lost", "to": {"email": ["a"]}}, "rule 1: outcome: expected started, completed, failed"),
        ({"group": 3, "to": {"email": ["a"]}}, "rule 1: group: expected a name"),
        ({"daily": 420, "to": {"email": ["a"]}}, "rule 1: daily: expected a time of the day in quotation marks"),
        ({"daily": "24:00", "to": {"email": ["a"]}}, "rule 1: daily: expected a time"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_its_number(rule: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_routes([rule])
