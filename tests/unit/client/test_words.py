"""What is said of a deployment that a person has to do something about."""

from __future__ import annotations

import shlex

from re_client import words
from re_core.api.answers import Deployment, Step
from tests.unit.client.documents import deployment, step

LINKS = {"retry": "/api/v1/deployments/01DEPLOYMENT/retry"}


def _failed(*steps: Step, **more: object) -> Deployment:
    return deployment("failed", *steps, links=LINKS, **more)


def test_a_failed_deployment_can_go_on() -> None:
    assert words.todo(_failed(step(0, "failed"))) == ["continue from the failed steps:  rectl retry 01DEPLOYMENT"]


def test_a_host_that_was_not_reached_may_need_another_inventory_which_a_retry_does_not_read() -> None:
    begin, advice = words.todo(_failed(step(0, "failed", data={"kind": "login", "host": "web1"})))
    assert begin == "continue from the failed steps:  rectl retry 01DEPLOYMENT"
    assert "deploy again" in advice
    assert (
        len(words.todo(_failed(step(0, "failed", data={"kind": "host-key"}), step(1, "completed", data="login")))) == 1
    )


def test_what_cannot_be_retried_has_nothing_to_do() -> None:
    assert words.todo(deployment("failed", step(0, "lost"))) == []
    assert words.todo(deployment("running", step(0, "started"))) == []
    assert words.unclear(deployment("cancelled", step(0, "lost"))) == []


def test_a_lost_step_is_asked_about_in_commands_to_paste() -> None:
    steps = [
        step(0, "completed"),
        step(3, "lost", name="service:Restart", host="web01"),
        step(9, "lost", kind="action"),
    ]
    assert words.todo(_failed(*steps)) == [
        "step 3 service:Restart on web01 is lost: its outcome is unknown. Find it out, then:",
        "  rectl retry 01DEPLOYMENT --lost succeeded  # the step was carried out",
        "  rectl retry 01DEPLOYMENT --lost rerun      # it was not, or running it twice does no harm",
    ]


def test_a_waiting_deployment_asks_about_every_step_on_its_own() -> None:
    waiting = deployment("waiting", step(1, "lost", asks=True), step(2, "lost", asks=True), step(3, "lost"))
    told = words.todo(waiting)
    assert [line for line in told if not line.startswith(" ")] == [
        f"step {number} noop:Do on foo.example.com is lost: its outcome is unknown. Find it out, then:"
        for number in (1, 2)
    ]
    assert told[1:4] == [
        "  rectl resolve 01DEPLOYMENT 1 succeeded  # the step was carried out",
        "  rectl resolve 01DEPLOYMENT 1 rerun      # it was not, or running it twice does no harm",
        "  rectl resolve 01DEPLOYMENT 1 failed     # let the deployment fail",
    ]


def test_no_command_says_more_than_one_thing_to_a_shell() -> None:
    """Whoever pastes a line must not have ruled by accident."""
    waiting = deployment("waiting", step(1, "lost", asks=True, name="a|b;c"), id="01D\x1b[1m")
    for line in (*words.todo(waiting), *words.todo(_failed(step(1, "lost")))):
        if line.lstrip().startswith("rectl"):
            assert len(shlex.split(line, comments=True)) == 5
            assert not set(line) & set("|;&$`<>\x1b")


def test_a_document_of_an_older_engine_has_nobody_asking() -> None:
    older = step(0, "lost")
    del older["asks"]  # type: ignore[misc]
    assert words.todo(deployment("running", older)) == []
