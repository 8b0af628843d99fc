"""Workers as their authors write them: what is published, what is checked, what is refused when the class is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from re_workers import Change, Context, Failed, Worker, step
from re_workers.testing import plan, run


class Greet(Worker):
    """Greets people."""

    @step(idempotent=True, retries=2, timeout=60)
    def Hello(self, ctx: Context, name: str, times: int = 1, loud: bool | None = None) -> object:
        """Says hello,
        as often as wanted.

        Nobody reads this.
        """
        for _ in range(times):
            ctx.output(f"Hello {name}")
        return {"said": times}

    @step
    def Bye(self, ctx: Context) -> None:
        raise Failed("nobody leaves", data=[1])


class Echo(Worker):
    """Any name, any parameter."""

    command = "repeat"

    @step(name="*", quick=True)
    def anything(self, ctx: Context, **parameters: Any) -> object:
        return {"subcommand": ctx.subcommand, **parameters}


def test_what_a_worker_offers_is_its_steps_with_their_schemas() -> None:
    offers = Greet().offers()
    assert offers["greet:Hello"] == {
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "times": {"type": "integer", "default": 1},
                "loud": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
            },
            "additionalProperties": False,
            "required": ["name"],
        },
        "summary": "Says hello, as often as wanted.",
        "idempotent": True,
        "retries": 2,
        "timeout": 60,
    }
    assert set(offers) == {"greet:Hello", "greet:Bye"}
    for offer in (*offers.values(), *Echo().offers().values()):
        jsonschema.Draft202012Validator.check_schema(offer["parameters"])


def test_a_step_runs_with_its_parameters() -> None:
    result = run(Greet(), "greet:Hello", {"name": "Ann", "times": 2})
    assert (result.status, result.data, result.output) == ("completed", {"said": 2}, ["Hello Ann", "Hello Ann"])


def test_a_step_that_raises_failed_fails_with_its_words_and_data() -> None:
    result = run(Greet(), "greet:Bye")
    assert (result.status, result.data, result.message) == ("failed", [1], "nobody leaves")


def test_the_step_for_any_name_takes_what_no_other_has() -> None:
    assert run(Echo(), "repeat:Twice", {"a": 1}).data == {"subcommand": "Twice", "a": 1}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "the parameter 'name' is missing: a string"),
        ({"nmae": "x"}, "unknown parameter 'nmae' (did you mean 'name'?); the parameter 'name' is missing: a string"),
        ({"name": "x", "zzz": 1}, "unknown parameter 'zzz' (there are name, times, loud)"),
        ({"name": 7}, "the parameter 'name' is wrong: expected a string, found a number"),
    ],
)
def test_parameters_that_do_not_fit_fail_the_step_before_it_runs(parameters: dict[str, Any], message: str) -> None:
    result = run(Greet(), "greet:Hello", parameters)
    assert (result.status, result.message, result.output) == ("failed", message, [])


def test_the_messages_own_keys_are_no_parameters() -> None:
    given = {"name": "x", "command": "greet", "subcommand": "Hello", "hosts": ["a"], "dynamic": []}
    assert run(Greet(), "greet:Hello", given).status == "completed"


def test_a_named_dynamic_value_stands_for_a_missing_parameter() -> None:
    given = {"dynamic": ["name", "other"]}
    assert run(Greet(), "greet:Hello", given, dynamic={"name": "Ann", "other": 1}).output == ["Hello Ann"]
    assert run(Greet(), "greet:Hello", {}, dynamic={"name": "Ann"}).status == "failed"
    assert run(Greet(), "greet:Hello", given, dynamic={"name": 1}).message == (
        "the parameter 'name' is wrong: expected a string, found a number"
    )


def test_an_unknown_step_is_answered_with_a_suggestion() -> None:
    assert run(Greet(), "greet:hello").message == "greet has no step 'hello' (did you mean 'Hello'?)"
    assert run(Greet(), "greet:Dance").message == "greet has no step 'Dance' (there are Bye, Hello)"


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), SystemExit(3), KeyboardInterrupt()])
def test_any_exception_is_a_failure_and_no_traceback_reaches_people(error: BaseException) -> None:
    class Broken(Worker):
        @step
        def Run(self, ctx: Context) -> None:
            raise error

    result = run(Broken(), "broken:Run")
    assert result.status == "failed"
    assert result.message is not None
    assert result.message.startswith(type(error).__name__)
    assert "Traceback" not in result.message


def test_a_context_tells_a_step_where_it_is() -> None:
    class Look(Worker):
        @step
        def Around(self, ctx: Context) -> object:
            ctx.notify("irc", ["#team"], "look", "around", "completed")
            return [ctx.group, list(ctx.hosts), dict(ctx.dynamic), ctx.deployment, ctx.step, ctx.attempt]

    result = run(Look(), "look:Around", hosts=["a", "b"], dynamic={"cart": 1}, group="g")
    assert result.data == ["g", ["a", "b"], {"cart": 1}, "test", 0, 1]
    [(transport, notification)] = result.notifications
    assert (transport, notification.slug, notification.target) == ("irc", "look", ("#team",))


def test_a_cancelled_step_stops_waiting() -> None:
    class Wait(Worker):
        @step
        def Long(self, ctx: Context) -> None:
            ctx.wait(3600)

    result = run(Wait(), "wait:Long", cancelled=True)
    assert (result.status, result.message) == ("failed", "cancelled")


def test_a_notification_that_no_notifier_would_take_fails_the_step() -> None:
    class Shout(Worker):
        @step
        def Run(self, ctx: Context) -> None:
            ctx.notify("irc", ["#team"], "x" * 81, "", "failed")

    assert run(Shout(), "shout:Run").message == "expected at most 80 characters, found 81"


def test_a_worker_inherits_the_steps_of_its_base() -> None:
    class Politely(Greet):
        @step
        def Bye(self, ctx: Context) -> None:
            ctx.output("Bye")

    assert set(Politely().offers()) == {"politely:Hello", "politely:Bye"}
    assert run(Politely(), "politely:Bye").output == ["Bye"]


def _reserved() -> None:
    class Bad(Worker):
        @step
        def Run(self, ctx: Context, hosts: list[str]) -> None: ...


def _untyped() -> None:
    class Bad(Worker):
        @step
        def Run(self, ctx: Context, what) -> None: ...  # type: ignore[no-untyped-def]


def _impossible() -> None:
    class Bad(Worker):
        @step
        def Run(self, ctx: Context, what: set[int]) -> None: ...


def _positional() -> None:
    class Bad(Worker):
        @step
        def Run(self, ctx: Context, *what: str) -> None: ...


def _contextless() -> None:
    class Bad(Worker):
        @step
        def Run(self) -> None: ...


def _coroutine() -> None:
    class Bad(Worker):
        @step(quick=True)
        async def Run(self, ctx: Context) -> None: ...


def _otherwise_planned() -> None:
    class Bad(Worker):
        @step
        def Run(self, ctx: Context, name: str) -> None: ...

        @Run.plan
        def _(self, ctx: Context, nam: str) -> Change:
            return Change("no")


def _crowdless() -> None:
    class Bad(Worker):
        @step(concurrency=0)
        def Run(self, ctx: Context) -> None: ...


def _unnameable() -> None:
    class Bad(Worker):
        @step(name="two words")
        def Run(self, ctx: Context) -> None: ...


def _left_over() -> None:
    class Bad(Worker):
        @step
        def Run(self, ctx: Context) -> None: ...

        for _one in (Run,):
            pass


def _unspeakable() -> None:
    class Bad(Worker):
        command = "a:b"


def _negative() -> None:
    step(retries=-1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_reserved, "bad:Run: 'hosts' is a key of the step message; use the context"),
        (_untyped, "bad:Run: the parameter 'what' has no type"),
        (_impossible, "bad:Run: the parameter 'what': "),
        (_positional, "bad:Run: parameters are passed by name; 'what' cannot be"),
        (_contextless, "bad:Run: a step takes self, the context"),
        (_coroutine, "bad:Run: a coroutine waits, so it cannot be quick"),
        (_otherwise_planned, "bad:Run: its plan has other parameters than the step"),
        (_crowdless, "concurrency must be 1 or more"),
        (_unnameable, "bad:two words: a step's name is one word"),
        (_left_over, "bad:_one: the name of a step does not begin with `_`"),
        (_unspeakable, "the command 'a:b' is not one word"),
        (_negative, "retries must be 0 or more"),
    ],
)
def test_a_wrong_worker_is_refused_when_its_class_is_made(make: Callable[[], None], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert message in str(caught.value)


def test_a_step_of_another_worker_cannot_be_run() -> None:
    with pytest.raises(ValueError, match="not one of greet's steps"):
        run(Greet(), "noop:Run")


class Planned(Worker):
    @step
    def Set(self, ctx: Context, value: int) -> None:
        ctx.output(f"set to {value}")

    @Set.plan
    def _(self, ctx: Context, value: int) -> Change:
        return Change("no" if value == 3 else "yes", f"+{value}\n", "it is 3")


def test_a_plan_stands_beside_its_method_with_the_same_parameters() -> None:
    assert plan(Planned(), "planned:Set", {"value": 3}) == ("no", "+3\n", "it is 3")
    assert plan(Planned(), "planned:Set", {"value": 4}).will == "yes"
    assert run(Planned(), "planned:Set", {"value": 4}).output == ["set to 4"]
    with pytest.raises(ValueError, match="has no plan"):
        plan(Greet(), "greet:Bye")
