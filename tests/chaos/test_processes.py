"""Processes die and stand still, and queues vanish, while deployments run: all that was accepted ends as promised."""

from __future__ import annotations

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.conftest import MakeRig
from tests.chaos.parts import PARTS, processes


@pytest.mark.long
@pytest.mark.timeout(300)
def test_processes_that_are_killed_and_frozen_lose_nothing(new_rig: MakeRig, seed: int) -> None:
    rig = new_rig(rests=2, cores=2, workers=2)
    with Campaign(rig, seed) as campaign:
        campaign.strike(processes(rig), 10)
        report = campaign.end()
    assert report.problems == []
    assert sum(rig.faults.values()) == 10, rig.faults


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_only_core_may_die_and_no_step_is_lost(new_rig: MakeRig, seed: int) -> None:
    rig = new_rig()
    with Campaign(rig, seed) as campaign:
        campaign.strike(PARTS["core"](rig), 6)
        report = campaign.end()
    assert report.problems == []
    assert report.counts["lost steps"] == 0
    assert rig.faults["kill core"] == 6


@pytest.mark.long
@pytest.mark.timeout(300)
def test_queues_may_be_emptied_and_deleted_under_way(new_rig: MakeRig, seed: int) -> None:
    """What lay in them is lost, but for what the journals know: notifications are dead letters at best."""
    rig = new_rig(cores=2, workers=2)
    with Campaign(rig, seed) as campaign:
        campaign.strike([rig.purge_queues, rig.delete_queues], 6)
        report = campaign.end()
    unexpected = [one for one in report.problems if not one.startswith("dead letter notify.console: unroutable")]
    assert unexpected == []
    assert report.counts["lost steps"] == 0
    assert sum(rig.faults.values()) == 6, rig.faults
