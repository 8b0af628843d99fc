"""Which queues are to be empty when everything has ended."""

from __future__ import annotations

from tests.chaos.cluster_under_test import outstanding
from tests.services.broker import Queue


def test_what_lies_in_the_control_queue_of_a_dead_process_is_not_waited_for() -> None:
    name = "re.control.w1.forest.forest/flux@1"
    assert outstanding({name: Queue(1, 0)}, {name}) == {}


def test_everything_else_that_lies_in_a_queue_is_waited_for() -> None:
    queues = {
        "re.control.w1.forest": Queue(1, 0),
        "re.control.w2.forest": Queue(0, 1),
        "worker.forest.forest/flux@1": Queue(1, 0),
        "re.reply.3": Queue(2, 0),
        "output": Queue(0, 5),
    }
    unconsumed = {"re.control.w2.forest", "worker.forest.forest/flux@1"}
    assert outstanding({**queues, "notify.irc": Queue(0, 0)}, unconsumed) == queues
