"""The bus on RabbitMQ, by pika (docs/decisions/0008)."""

from re_core.adapters.amqp.bus import AmqpBus

__all__ = ["AmqpBus"]
