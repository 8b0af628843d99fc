"""A notifier of 2014, played on the wire as it was then. Must not know our packages: it is a stranger to them.

It declares nothing and consumes `worker.<transport>`, to which its operator binds `notify.<transport>`. It acks, answers
`started` to `reply_to`, sends what it was given, answers `completed`. Without a `reply_to` it ends there: the key of what
it publishes is then no text.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

import pika
from pika.exceptions import AMQPError

#: seconds that it gets to end
END = 10.0


class LegacyNotifier:
    """One process of 2014, on a thread."""

    def __init__(self, url: str, transport: str) -> None:
        """`url` names broker and virtual host. Raises ChannelClosedByBroker where its queue is missing."""
        #: what it sent
        self.told: list[dict[str, Any]] = []
        #: it could not answer, and is gone
        self.died = threading.Event()
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.basic_consume(f"worker.{transport}", self._process)
        self._thread = threading.Thread(target=self._run, name=f"legacy {transport}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Be gone."""
        if self._thread.is_alive():
            with suppress(AMQPError):
                self._connection.add_callback_threadsafe(self._channel.stop_consuming)
            self._thread.join(END)

    def _run(self) -> None:
        with suppress(AMQPError):
            self._channel.start_consuming()
        if self._connection.is_open:
            self._connection.close()

    def _process(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        if properties.reply_to is None:
            self.died.set()
            channel.stop_consuming()
            return
        common = pika.BasicProperties(
            correlation_id=str(properties.correlation_id), app_id=type(self).__name__, reply_to="log"
        )
        channel.basic_publish("", properties.reply_to, json.dumps({"status": "started"}).encode(), common)
        self.told.append(json.loads(body))
        channel.basic_publish("", properties.reply_to, json.dumps({"status": "completed"}).encode(), common)
