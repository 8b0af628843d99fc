"""The benchmark of clusters runs; what a step costs in messages and documents is as promised, whatever the machine."""

from __future__ import annotations

import pytest

from benchmarks import cluster
from benchmarks.servers import Servers
from tests.services.broker import RabbitMQ
from tests.services.documents import MongoDB

#: messages of a step: dispatch, started and outcome; and the grant, where there is one
REPEATABLE, GRANTED = 3, 4

#: documents of a step, with its share of its deployment's
DOCUMENTS = 3


@pytest.mark.parametrize(("repeatable", "messages"), [(True, REPEATABLE), (False, GRANTED)])
def test_a_step_costs_few_messages_and_documents(
    rabbitmq: RabbitMQ, mongodb: MongoDB, repeatable: bool, messages: int
) -> None:
    row = cluster.run(Servers(rabbitmq, mongodb), cores=1, in_flight=5, total=10, repeatable=repeatable, rounds=1)
    assert row["step_messages_per_step"] <= messages
    assert row["documents_per_step"] <= DOCUMENTS
    assert row["reads_per_deployment"] == 0, "the only core read what it should have remembered"
    assert row["steps_per_second"] > 0
    assert row["bare"]["steps_per_second"] > 0
