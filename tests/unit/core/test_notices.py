"""Who is told what: a step's `notify` per phase, and PHASE_NOTIFICATION for the deployment as a whole."""

from __future__ import annotations

import json
import re

from re_core.deployment import events as e
from re_core.deployment.notifications import deployment_notices
from re_core.playbook.compiler import EnginePolicy
from re_core.sequencer.encoding import messages_of
from re_core.wire.redaction import Redaction
from tests.factories import Run, action, simple

ALL = {phase: {"irc": ["#team"]} for phase in ("started", "completed", "failed")}
GLOBAL = EnginePolicy(notify={phase: {"email": ("a@example.com",)} for phase in ("started", "completed", "failed")})


def _notices(run: Run) -> list[e.Notify]:
    return [effect for effect in run.effects if isinstance(effect, e.Notify)]


def test_a_step_tells_of_its_start_and_of_its_end() -> None:
    run = Run(simple({"noop:A": {"notify": ALL}}))
    run.do(0)
    assert run.told() == [("started", "irc"), ("completed", "irc")]
    first = _notices(run)[0]
    assert first.target == ("#team",)
    assert first.message == "noop:A on web01 started in deployment d1 of inception / Simple playbook."
    assert first.about == "0/1"


def test_a_failure_is_told_with_its_reason() -> None:
    run = Run(simple({"noop:A": {"notify": {"failed": {"irc": ["#team"], "console": ["x"]}}}}))
    run.claim(0)
    run.fail(0, "disk full")
    assert run.told() == [("failed", "irc"), ("failed", "console")]
    assert _notices(run)[0].message.endswith(". disk full")


def test_a_step_that_is_repeated_tells_of_its_first_start_and_of_its_last_failure_only() -> None:
    run = Run(simple({"noop:A": {"notify": ALL}, "retries": 2}))
    for _ in range(3):
        run.claim(0)
        run.fail(0)
    assert run.told() == [("started", "irc"), ("failed", "irc")]


def test_a_step_that_timed_out_or_was_lost_or_stopped_tells_of_a_failure() -> None:
    for end in ("time", "loss", "cancel"):
        run = Run(simple({"noop:A": {"notify": {"failed": {"irc": ["#team"]}}}}))
        run.claim(0)
        if end == "time":
            run.wait(3600)
            assert run.told() == []
            run.fail(0)
        elif end == "loss":
            run.gone()
        else:
            run.cancel()
            run.fail(0)
        assert run.told() == [("failed", "irc")], end


def test_a_copy_of_a_word_tells_nobody_anything() -> None:
    run = Run(simple({"noop:A": {"notify": ALL}}, "noop:B"))
    run.claim(0), run.claim(0)
    run.complete(0), run.complete(0)
    assert run.told() == [("started", "irc"), ("completed", "irc")]


def test_the_settings_are_told_of_the_start_and_the_end_of_the_deployment() -> None:
    run = Run(simple("noop:A"), GLOBAL)
    assert run.told() == [("started", "email")]
    assert _notices(run)[0].message == "Deployment d1 of inception / Simple playbook started by pat."
    run.do(0)
    assert run.told() == [("started", "email"), ("completed", "email")]
    assert _notices(run)[-1].message == "Deployment d1 of inception / Simple playbook completed."


def test_the_end_of_a_failed_or_cancelled_deployment_is_told_as_failed_with_its_reason() -> None:
    failed = Run(simple("noop:A"), GLOBAL)
    failed.fail(0, "disk full")
    assert failed.told()[-1] == ("failed", "email")
    assert _notices(failed)[-1].message.endswith("failed: noop:A on web01 failed: disk full")
    cancelled = Run(simple("noop:A"), GLOBAL)
    cancelled.cancel()
    assert cancelled.told()[-1] == ("failed", "email")
    assert _notices(cancelled)[-1].message.endswith("cancelled: cancelled by ann")


def test_a_slug_is_never_longer_than_80_characters() -> None:
    run = Run(simple({f"{'x' * 90}:A": {"notify": ALL}}))
    run.claim(0)
    [notice] = _notices(run)
    assert len(notice.slug) == 80
    assert notice.slug.endswith("…")


def test_an_action_is_told_by_its_name() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action(notify={"completed": {"irc": ["#team"]}})]))
    run.do(0, 1)
    assert _notices(run)[-1].message.startswith("action 'do Tidy' (noop:Tidy) completed in deployment d1")


def test_an_action_without_a_name_is_told_by_its_step() -> None:
    nameless = {"COMMAND": "noop", "SUBCOMMAND": "Tidy"}
    run = Run(simple("noop:A"), EnginePolicy(actions=[nameless]))
    run.do(0)
    run.fail(1)
    assert run.state.reason == "action noop:Tidy failed: the worker gave no reason"


def test_a_step_is_called_what_the_playbook_calls_it() -> None:
    run = Run(simple({"noop:A": {"notify": ALL}, "name": "Link the version"}))
    run.claim(0)
    assert _notices(run)[0].message.startswith("'Link the version' (noop:A) on web01 started in deployment d1")


def test_people_hear_with_what_a_deployment_was_started() -> None:
    state = Run(simple({"noop:A": {"dynamic": ["version"]}}), GLOBAL).state
    state.accepted = state.accepted._replace(revision=3, dynamic={"version": "1.4.2", "password": "x", "note": "k=v"})
    (notice,) = deployment_notices(state)
    (sent,) = messages_of(state, [notice], Redaction([re.compile("k=.")]))
    assert json.loads(sent.body)["message"] == (
        "Deployment d1 of inception / Simple playbook started by pat. "
        "(revision 3, version=1.4.2, password=[redacted], note=[redacted])"
    )


def test_a_notice_of_a_step_does_not_repeat_the_values() -> None:
    run = Run(simple({"noop:A": {"notify": ALL}}))
    run.claim(0)
    (sent,) = messages_of(run.state, _notices(run))
    assert "revision" not in json.loads(sent.body)["message"]


def _subjects(run: Run, redaction: Redaction = Redaction()) -> list[str]:  # noqa: B008  # it is immutable
    effects = [effect for effect in run.effects if isinstance(effect, e.Notify)]
    return [json.loads(message.body)["slug"] for message in messages_of(run.state, effects, redaction)]


def test_a_subject_says_first_how_it_ended_then_of_what_and_with_which_values() -> None:
    book = simple({"noop:A": {"dynamic": ["version"]}})
    failed = Run(book, GLOBAL, dynamic={"version": "1.4.2"})
    failed.fail(0)
    assert _subjects(failed) == [
        "started: inception/Simple playbook, version=1.4.2",
        "failed: inception/Simple playbook, version=1.4.2",
    ]
    cancelled = Run(simple("noop:A"), GLOBAL)
    cancelled.cancel()
    assert _subjects(cancelled)[-1] == "cancelled: inception/Simple playbook"
    completed = Run(simple("noop:A"), GLOBAL)
    completed.do(0)
    assert _subjects(completed)[-1] == "completed: inception/Simple playbook"


def test_a_subject_keeps_how_it_ended_when_the_name_is_long_and_leaves_out_values_that_are() -> None:
    long = Run(simple("noop:A"), GLOBAL, playbook="x" * 200)
    long.fail(0)
    last = _subjects(long)[-1]
    assert last.startswith("failed: inception/xxx")
    assert (len(last), last[-1]) == (80, "…")
    for value in ("y" * 60, "two\nlines"):
        many = Run(simple({"noop:A": {"dynamic": ["version"]}}), GLOBAL, dynamic={"version": value})
        assert _subjects(many) == ["started: inception/Simple playbook"]


def test_a_subject_shows_no_value_that_is_redacted() -> None:
    run = Run(simple({"noop:A": {"dynamic": ["key"]}}), GLOBAL, dynamic={"key": "hunter2"})
    (subject,) = _subjects(run, Redaction([re.compile("hunter2")]))
    assert "hunter2" not in subject


def test_the_subject_of_a_steps_notice_says_how_the_step_ended() -> None:
    run = Run(simple({"noop:A": {"notify": ALL}}))
    run.do(0)
    assert _subjects(run) == [
        "started: noop:A on web01 in inception/Simple playbook",
        "completed: noop:A on web01 in inception/Simple playbook",
    ]
