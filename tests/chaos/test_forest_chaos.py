"""Gateways for forest runners, runners and cores die and stand still while releases run: what a runner was answered OK to stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.forest_campaign import ForestCampaign
from tests.chaos.forest_under_test import ForestUnderTest
from tests.services.broker import RabbitMQ
from tests.services.documents import MongoDB


@pytest.fixture
def rig(tmp_path: Path, rabbitmq: RabbitMQ, mongodb: MongoDB) -> Iterator[ForestUnderTest]:
    with rabbitmq.vhost() as url, mongodb.database() as database:
        rig = ForestUnderTest(tmp_path / "rig", rabbitmq, url, database)
        with rig.cluster:
            rig.start()
            yield rig


@pytest.mark.long
@pytest.mark.timeout(300)
def test_gateways_runners_and_cores_may_die_and_no_completion_is_forgotten(rig: ForestUnderTest, seed: int) -> None:
    with ForestCampaign(rig, seed, post=1) as campaign:
        for members in (rig.gateways, rig.runners, rig.cluster.cores):
            campaign.strike([rig.kill(members)], 1)
        report = campaign.end()
    assert report.problems == []
    assert report.counts["answered OK"] > 0
    assert len(rig.faults) == 3, rig.faults
