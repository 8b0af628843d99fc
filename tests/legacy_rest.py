"""A front end of 2014, played on the wire as it was then. Must not know our packages: it is a stranger to them.

For each request it opens a connection and declares a queue that the server names and that is not its own alone; it
publishes `job.create` to the topic exchange with `reply_to` and without an id, waits for one answer, and goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pika

#: seconds that it waits for an answer
PATIENCE = 20.0


class LegacyAnswer(NamedTuple):
    """What came back."""

    #: `{"id": …}`
    body: Any
    headers: dict[str, Any]
    correlation_id: str | None


class LegacyRest:
    """One request at a time."""

    def __init__(self, url: str, exchange: str = "re") -> None:
        """`url` names broker and virtual host."""
        self._url, self._exchange = url, exchange

    def deploy(self, group: str, playbook: str, dynamic: dict[str, Any] | None = None) -> LegacyAnswer | None:
        """Ask for a deployment as it was asked for; None where no answer came."""
        document: dict[str, Any] = {"group": group, "playbook_id": playbook}
        if dynamic is not None:
            document["dynamic"] = dynamic
        return self.ask(json.dumps({**document, "user_id": "jdoe", "source_ip": "10.1.2.3"}).encode())

    def ask(self, body: bytes, times: int = 1) -> LegacyAnswer | None:
        """Send this body, so many times to one reply queue, and wait for the first answer."""
        answers = self.ask_all(body, times, 1)
        return answers[0] if answers else None

    def ask_all(self, body: bytes, times: int, wanted: int) -> list[LegacyAnswer]:
        """The same, and wait for so many answers."""
        with self._channel() as channel:
            queue = channel.queue_declare("").method.queue
            for _ in range(times):
                channel.basic_publish(self._exchange, "job.create", body, pika.BasicProperties(reply_to=queue))
            answers = []
            for method, properties, answer in channel.consume(queue, inactivity_timeout=PATIENCE):
                if method is None:
                    break
                channel.basic_ack(method.delivery_tag)
                answers.append(LegacyAnswer(json.loads(answer), properties.headers or {}, properties.correlation_id))
                if len(answers) == wanted:
                    break
            channel.queue_delete(queue)
            return answers

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            yield connection.channel()
        finally:
            connection.close()
