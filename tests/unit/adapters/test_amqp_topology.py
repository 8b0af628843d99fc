"""Which messages need not outlive the broker."""

from __future__ import annotations

import pytest

from re_core.adapters.amqp.topology import is_fleeting
from re_core.wire.messages import Message


@pytest.mark.parametrize(
    "message",
    [
        Message("re.control.w1.noop", b"{}", "d1/1/1/go/t", direct=True, expires=30_000),
        Message("heartbeat", b"{}", "w1/heartbeat/1", expires=30_000),
    ],
    ids=["grant", "heartbeat"],
)
def test_what_expires_with_a_connection_is_not_worth_a_disk(message: Message) -> None:
    assert is_fleeting(message)


@pytest.mark.parametrize(
    "message",
    [
        Message("re.control.w1.noop", b"{}", "d1/1/1/cancel", direct=True),
        Message("job.create", b"{}", "d1", expires=10_000),
        Message("re.reply.3", b"{}", "r1", direct=True, expires=10_000),
        Message("worker.noop", b"{}", "d1/1/1", expires=3_600_000),
        Message("re.control.looks-like-one", b"{}", "d1/1/1", expires=30_000),
    ],
    ids=["cancel", "request", "operator request", "step", "topic"],
)
def test_everything_else_is(message: Message) -> None:
    assert not is_fleeting(message)
