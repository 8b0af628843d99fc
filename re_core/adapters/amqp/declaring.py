"""Procedures that declare exchanges and queues, each once, and leave what differs as it is. Must not know their callers.

A declaration that equals what is there changes nothing; one that differs closes the channel, and the queue is used
as it is. So is one that this user may not declare but another has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from re_core.adapters.amqp.rpc_channel import Ask, Procedure
from re_core.adapters.amqp.topology import DEAD_EXCHANGE, QueueDeclaration, Topology, difference
from re_core.errors import BusRefused

#: AMQP reply codes: not for this user, not there, declared otherwise
ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED = 403, 404, 406

_log = logging.getLogger(__name__)


def exchanges(topology: Topology) -> Procedure:
    """Declare both. Raises BusRefused where one of that name is of another kind."""
    yield from _exchange(topology.exchange, "topic")
    yield from _exchange(DEAD_EXCHANGE, "fanout")


def queue(topology: Topology, wanted: QueueDeclaration, reported: set[str]) -> Procedure:
    """Declare and bind. `reported`: queues whose difference was logged already."""
    try:
        yield partial(_declare, wanted.name, wanted.arguments)
    except ChannelClosedByBroker as refused:
        yield from _as_it_is(wanted, refused, reported)
    for exchange, key in ((topology.exchange, wanted.key), (wanted.exchange, "")):
        if exchange and key is not None:
            yield from _bind(wanted.name, exchange, key)


def consumers(name: str) -> Procedure:
    """How many consume a queue; 0 where there is none."""
    try:
        answer = yield lambda channel, done: channel.queue_declare(name, passive=True, callback=done)
    except ChannelClosedByBroker as refused:
        if refused.reply_code == NOT_FOUND:
            return 0
        raise
    return answer.consumer_count


def removal(name: str) -> Procedure:
    """Delete a queue; one that is not there counts as deleted."""
    yield lambda channel, done: channel.queue_delete(name, callback=done)


def _as_it_is(wanted: QueueDeclaration, refused: ChannelClosedByBroker, reported: set[str]) -> Procedure:
    name = wanted.name
    if refused.reply_code not in (ACCESS_REFUSED, PRECONDITION_FAILED):
        raise refused
    yield from _is_there(
        f"queue {name}", refused, lambda channel, done: channel.queue_declare(name, passive=True, callback=done)
    )
    if refused.reply_code == PRECONDITION_FAILED and name not in reported:
        reported.add(name)
        costs = yield from _differences(wanted, refused)
        _log.warning(
            "the queue %s exists with other arguments and is used unchanged. The consequence: %s. To correct it, "
            "delete it while it is empty (%s)",
            name,
            "; ".join(costs) or "nothing",
            refused.reply_text,
            extra={"action": "queue_used_as_it_is"},
        )


def _differences(wanted: QueueDeclaration, refused: ChannelClosedByBroker) -> Procedure:
    """The broker names one difference at a time: ask with that one adapted, until it has no more to say."""
    costs: list[str] = []
    seen: set[str] = set()
    arguments = wanted.arguments
    while True:
        found = difference(refused.reply_text)
        if found.argument in seen:
            return costs
        seen.add(found.argument)
        costs += [found.cost] if found.cost else []
        arguments = found.adapted(arguments)
        try:
            yield partial(_declare, wanted.name, arguments)
        except ChannelClosedByBroker as again:
            refused = again
        else:
            return costs


def _declare(name: str, arguments: dict[str, Any], channel: Channel, done: Callable[[Any], None]) -> None:
    channel.queue_declare(name, durable=True, arguments=arguments, callback=done)


def _exchange(name: str, kind: str) -> Procedure:
    try:
        yield lambda channel, done: channel.exchange_declare(name, kind, durable=True, callback=done)
    except ChannelClosedByBroker as refused:
        if refused.reply_code == PRECONDITION_FAILED:
            raise BusRefused(
                f"the exchange {name!r} exists, but is not a durable {kind} exchange ({refused.reply_text}): "
                "delete it if no other program uses it, or name another one in RE_EXCHANGE"
            ) from refused
        yield from _is_there(
            f"exchange {name!r}",
            refused,
            lambda channel, done: channel.exchange_declare(name, passive=True, callback=done),
        )


def _is_there(what: str, refused: ChannelClosedByBroker, look: Ask) -> Procedure:
    """Another process may have declared what this user may not. Raises BusRefused where none has."""
    try:
        yield look
    except ChannelClosedByBroker as missing:
        raise BusRefused(
            f"RabbitMQ refuses the {what}, and no other process has declared it: {refused.reply_text}; "
            "give the user of RE_BUS_URL the permission `configure` for it"
        ) from missing


def _bind(name: str, exchange: str, key: str) -> Procedure:
    try:
        yield lambda channel, done: channel.queue_bind(name, exchange, key, callback=done)
    except ChannelClosedByBroker as refused:
        # another user has bound it; else its messages are unroutable, and their senders report that
        _log.warning(
            "the queue %s cannot be bound to %s: %s", name, exchange, refused.reply_text, extra={"action": "not_bound"}
        )
