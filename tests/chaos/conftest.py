"""Rigs for tests, on servers that all share or on some of one's own; and the seed, which RE_TEST_SEED replays."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.cluster_under_test import ClusterUnderTest
from tests.services.broker import RabbitMQ
from tests.services.documents import MongoDB

MakeRig = Callable[..., ClusterUnderTest]


@pytest.fixture
def seed() -> int:
    """Decides what is done, when, to which playbooks."""
    return int(os.environ.get("RE_TEST_SEED") or random.SystemRandom().randrange(2**32))


@pytest.fixture
def new_rig(tmp_path: Path, rabbitmq: RabbitMQ, mongodb: MongoDB) -> Iterator[MakeRig]:
    """Makes the test's rig, which takes what Rig takes, and starts it."""
    with ExitStack() as stack:

        def make(**wanted: object) -> ClusterUnderTest:
            url = stack.enter_context(rabbitmq.vhost())
            database = stack.enter_context(mongodb.database())
            rig = ClusterUnderTest(tmp_path / "rig", rabbitmq, url, database, **wanted)  # type: ignore[arg-type]
            stack.enter_context(rig.cluster)
            rig.start()
            return rig

        yield make
