"""Broker and store die, stop, stand still and refuse, while deployments run: all that was accepted ends as promised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.campaign import Campaign
from tests.chaos.cluster_under_test import ClusterUnderTest
from tests.chaos.parts import everything, servers
from tests.services.mongodb import MongoServer
from tests.services.rabbitmq import RabbitServer


@pytest.fixture
def rig(tmp_path: Path, own_rabbitmq: RabbitServer, own_mongodb: MongoServer) -> Iterator[ClusterUnderTest]:
    """Two of each part, on servers that may be killed."""
    url, database = own_rabbitmq.new_vhost(), own_mongodb.new_database()
    rig = ClusterUnderTest(tmp_path / "rig", own_rabbitmq, url, database, own_mongodb, rests=2, cores=2, workers=2)
    with rig.cluster:
        rig.start()
        yield rig


@pytest.mark.long
@pytest.mark.timeout(600)
def test_broker_and_store_may_die_and_stand_still(rig: ClusterUnderTest, seed: int) -> None:
    with Campaign(rig, seed) as campaign:
        for part in servers(rig):
            campaign.strike([part], 1)
        report = campaign.end()
    assert report.problems == []
    assert report.counts["lost steps"] == 0
    assert len(rig.faults) == len(servers(rig)), rig.faults


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_everything_may_break_for_long(rig: ClusterUnderTest, seed: int) -> None:
    with Campaign(rig, seed) as campaign:
        campaign.strike(everything(rig), 100)
        report = campaign.end()
    unexpected = [one for one in report.problems if not one.startswith("dead letter notify.console: unroutable")]
    assert unexpected == []
