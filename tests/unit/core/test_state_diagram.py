"""The diagram in the docs is the one that the machine draws."""

from __future__ import annotations

from re_core.model import DeploymentStatus, StepStatus
from tools.state_diagram import TARGET, document, explore


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == document(), "out of date: run make docs-diagram"


def test_every_status_can_be_reached_in_it() -> None:
    deployment, step = explore()
    assert {after for _, after in deployment} == set(DeploymentStatus) - {DeploymentStatus.ACCEPTED}
    assert {after for _, after in step} == set(StepStatus)


def test_it_shows_how_a_dispatch_that_nobody_begins_ends() -> None:
    assert explore()[1]["dispatched", "timed_out"] == {"timer"}
