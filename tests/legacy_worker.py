"""A worker of 2014, played on the wire as it was then. Must not know our packages: it is a stranger to them.

What it does, and does not do (docs/wire-format.md, Peers of 2014):

- It declares nothing. Where its queue is missing, the broker closes its channel, and it stays connected and deaf.
- It consumes `worker.<command>` without a prefetch, and acks before it works.
- It sends no heartbeat, no header, no message id; nothing of what it publishes is persistent or confirmed.
- Every message that it sends has its own `app_id`, and `reply_to: log`, a queue that need not exist; replies too.
- Its replies go through the default exchange to `reply_to`, with nothing of the step but the correlation id.
- It prints to the exchange `re` with the key `output`, and announces to the queue `notify.<transport>`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

#: seconds that it gets to end
END = 10.0

#: the exchange whose name it knows by heart
EXCHANGE = "re"


class LegacyStep(NamedTuple):
    """One step message, and what its worker can say while it works."""

    #: the whole body
    body: dict[str, Any]
    correlation_id: str
    reply_to: str
    #: exchange, routing key, document
    publish: Callable[[str, str, dict[str, Any]], None]

    @property
    def parameters(self) -> dict[str, Any]:
        parameters = self.body["parameters"]
        assert isinstance(parameters, dict)
        return parameters

    def output(self, text: str) -> None:
        """One or many lines for the deployment's log."""
        self.publish(EXCHANGE, "output", {"message": text})

    def announce(self, transport: str, slug: str, message: str, phase: str, target: list[str]) -> None:
        """A notification."""
        document = {"slug": slug, "message": message, "phase": phase, "target": target}
        self.publish("", f"notify.{transport}", document)

    def reply(self, **document: Any) -> None:
        """Whatever it likes to answer; `work` need not, since what it returns is its outcome."""
        self.publish("", self.reply_to, document)


#: does the step; what it returns is the last reply: {"status": "completed", "data": …}; None: it never says
Work = Callable[[LegacyStep], dict[str, Any] | None]


def succeed(step: LegacyStep) -> dict[str, Any]:
    """The least that a worker can do."""
    return {"status": "completed"}


class LegacyWorker:
    """One worker process of 2014, on a thread. `close` is its kill: it hands nothing back, since it has acked everything."""

    def __init__(self, url: str, command: str, work: Work = succeed) -> None:
        """`url` names broker and virtual host."""
        self._queue = f"worker.{command}"
        self._work = work
        #: every step message that it got
        self.steps: list[LegacyStep] = []
        #: its queue was missing; it hears nothing for the rest of its life
        self.deaf = threading.Event()
        #: it consumes
        self.listens = threading.Event()
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"legacy {self._queue}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Be gone."""
        if self._thread.is_alive():
            self._closing = True
            with suppress(AMQPError):  # it may have gone by itself
                self._connection.add_callback_threadsafe(self._channel.stop_consuming)
            self._thread.join(END)

    def _run(self) -> None:
        try:
            self._channel.basic_consume(self._queue, self._process)
            self.listens.set()
            self._channel.start_consuming()
        except ChannelClosedByBroker:
            self.deaf.set()
            while not self._closing:
                self._connection.process_data_events(0.02)
        except AMQPError:
            return
        if self._connection.is_open:
            self._connection.close()

    def _process(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        channel.basic_ack(method.delivery_tag)
        common = pika.BasicProperties(
            correlation_id=str(properties.correlation_id), app_id=type(self).__name__, reply_to="log"
        )

        def publish(exchange: str, key: str, document: dict[str, Any]) -> None:
            channel.basic_publish(exchange, key, json.dumps(document).encode(), common)

        step = LegacyStep(json.loads(body), properties.correlation_id, properties.reply_to, publish)
        self.steps.append(step)
        step.reply(status="started")
        outcome = self._work(step)
        if outcome is not None:
            step.reply(**outcome)
