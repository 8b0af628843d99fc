"""A worker that is asked what a step would change: on a thread of its own, in bounds, and without secrets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from re_core.errors import BadMessage
from re_core.ports import Delivery
from re_core.wire import foresight
from re_core.wire.messages import HOST, Message, encode
from re_core.wire.redaction import Redaction
from re_workers import Change, Context, Failed, Worker, step
from re_workers.foreseeing import AT_ONCE, Foresight
from re_workers.testing import ScriptedHost


class Sets(Worker):
    @step
    def Value(self, ctx: Context, value: str) -> None:
        raise AssertionError("a plan runs nothing")

    @Value.plan
    def _(self, ctx: Context, value: str) -> Change:
        if value == "bad":
            raise Failed("there is no place for it")
        if value == "wait":
            ctx.wait(60)
        if value == "shop-1":
            ctx.look_at_artifact(value)
        now = ctx.host.run("show").out.strip()
        return Change("no" if now == value else "yes", f"-{now}\n+{value}\n", f"on {ctx.host.name}")

    @step
    def Silent(self, ctx: Context) -> None: ...


def _message(subcommand: str = "Value", reply_to: str = "back", **parameters: Any) -> Delivery:
    said = {"command": "sets", "subcommand": subcommand, "hosts": ["web1"], **parameters}
    body = encode({"parameters": said, "group": "ours", "dynamic": {}, "notify": {}})
    headers = {HOST: '{"web1": {}}'}
    return Delivery(Message("control", body, "q1", reply_to=reply_to, headers=headers), "control", False, 1)


@pytest.fixture
def worker() -> Worker:
    made = Sets()
    host = ScriptedHost({"show": "hunter2"})
    setattr(made, "reach", lambda *which: host)  # noqa: B010  # for mypy it is a method
    return made


def _asked(worker: Worker, delivery: Delivery, redaction: Redaction | None = None) -> foresight.Foreseen:
    plans = Foresight(worker, lambda look: look(), lambda: None, redaction or Redaction())
    plans.begin(delivery, "w1")
    (answer,) = plans.answers()
    assert (answer.key, answer.id, answer.direct) == ("back", "q1/answer", True)
    return foresight.parse(answer.body)


def test_it_says_what_would_change_without_what_is_redacted(worker: Worker) -> None:
    redaction = Redaction([re.compile("hunter2")])
    assert _asked(worker, _message(value="b"), redaction) == ("yes", "-[redacted]\n+b\n", "on web1")
    assert _asked(worker, _message(value="hunter2")).will == "no"


@pytest.mark.parametrize(
    ("delivery", "why"),
    [
        (_message(value="bad"), "now it would fail: there is no place for it"),
        (_message(value="shop-1"), "it takes an artifact, which is given to steps of deployments only"),
        (_message(), "'value' is missing"),
        (_message(value={"secret": "ours/db"}), "refers to secrets"),
        (_message("Silent"), "the step does not say"),
        (_message("Nothing"), "no step 'Nothing'"),
    ],
)
def test_what_cannot_be_known_says_why(worker: Worker, delivery: Delivery, why: str) -> None:
    found = _asked(worker, delivery)
    assert (found.will, why in found.why) == ("unknown", True), found


def test_a_plan_that_fails_is_in_the_log_with_its_step_its_host_and_why(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    _asked(worker, _message(value="bad"), Redaction([re.compile("place")]))
    assert "the plan of sets:Value on web1 failed: Failed: there is no [redacted] for it" in caplog.text
    assert _asked(worker, _message(value="shop-1")).why.startswith("it takes an artifact")


def test_a_host_that_does_not_answer_is_given_up(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_workers.foreseeing.LIMIT", 0.01)
    assert "has not answered" in _asked(worker, _message(value="wait")).why


def test_a_worker_looks_at_so_many_steps_at_once(worker: Worker) -> None:
    looks: list[Callable[[], None]] = []
    plans = Foresight(worker, looks.append, lambda: None, Redaction())
    for _ in range(AT_ONCE + 1):
        plans.begin(_message(value="b"), "w1")
    assert "ask again" in foresight.parse(plans.answers()[0].body).why
    looks[0]()
    assert [foresight.parse(one.body).will for one in plans.answers()] == ["yes"]


def test_a_question_that_is_none_is_refused(worker: Worker) -> None:
    plans = Foresight(worker, lambda look: look(), lambda: None, Redaction())
    with pytest.raises(BadMessage, match="no queue"):
        plans.begin(_message(reply_to="", value="b"), "w1")


@pytest.mark.parametrize("body", [b"[]", b'{"will": "maybe"}', b'{"will": "no", "diff": 1}'])
def test_an_answer_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage):
        foresight.parse(body)
