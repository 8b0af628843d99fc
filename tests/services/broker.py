"""RabbitMQ as a test sees it: virtual hosts of its own, and what lies in their queues.

Must not know how the broker was started: it may be anybody's, reached by its URLs alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from uuid import uuid4

import httpx2
import pika

from re_client.transport import tls
from tests.services.lending import lent
from tests.services.unavailable import Unavailable

#: Names the broker's management API where it is not on its usual port of the same host.
API_VARIABLE = "RE_TEST_AMQP_API"
#: The port of the management API unless told otherwise.
API_PORT = 15672
#: Seconds the management API may take for one answer.
API_TIMEOUT = 60.0
#: What the management API answers while an alarm is in effect.
ALARM = 503
#: The queue that has the broker's copies.
_TRACE = "trace"


class Queue(NamedTuple):
    """What lies in one queue."""

    #: Messages that the next consumer gets, counted by the queue itself.
    ready: int
    #: Messages that consumers hold, as the broker last told its statistics: up to a second old.
    unacked: int


class Message(NamedTuple):
    """One message as the broker has it. That of a trace has the key `publish.<exchange>` or `deliver.<queue>`."""

    key: str
    #: its properties and headers, as Python shows them
    properties: bytes
    body: bytes


class RabbitMQ:
    """A broker. `url` is `amqp://user:password@host:port` without a virtual host, `api` its management API."""

    def __init__(self, url: str, api: str) -> None:
        self.url = url
        self.api = api

    def vhost(self) -> AbstractContextManager[str]:
        """The AMQP URL of a fresh virtual host, which is deleted with all in it when the block ends."""
        return lent(self.new_vhost, self.delete_vhost)

    def new_vhost(self) -> str:
        """The AMQP URL of a fresh virtual host; whoever makes it may do everything there."""
        name = f"t{uuid4().hex}"
        self._ask("PUT", _path("vhosts", name))
        return f"{self.url}/{name}"

    def delete_vhost(self, url: str) -> None:
        """Delete the virtual host of that URL: its connections are closed, its messages are gone."""
        self._ask("DELETE", _path("vhosts", vhost_of(url)))

    @contextmanager
    def user(self, url: str, name: str, rights: Mapping[str, str]) -> Iterator[str]:
        """The URL of a virtual host for a user that may do no more there; `rights` as of `POST /api/v1/worker-credentials`."""
        name, password = f"{name}-{uuid4().hex}", uuid4().hex
        where = vhost_of(url), name
        topics = {"exchange": rights["exchange"], "write": rights["topic_write"], "read": rights["topic_read"]}
        self._send("PUT", _path("users", name), {"password": password, "tags": ""}).raise_for_status()
        try:
            plain = {key: rights[key] for key in ("configure", "write", "read")}
            self._send("PUT", _path("permissions", *where), plain).raise_for_status()
            self._send("PUT", _path("topic-permissions", *where), topics).raise_for_status()
            parts = urlsplit(url)
            yield urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))
        finally:
            self._ask("DELETE", _path("users", name))

    def queues(self, url: str) -> dict[str, Queue]:
        """All queues of a virtual host by name, except those that one connection has for itself."""
        listed = self._ask("GET", _path("queues", vhost_of(url)))
        shared = {queue["name"]: queue for queue in listed if not queue.get("exclusive")}
        with _channel(url) as channel:
            return {
                name: Queue(
                    channel.queue_declare(name, passive=True).method.message_count,
                    queue.get("messages_unacknowledged", 0),
                )
                for name, queue in shared.items()
            }

    def unconsumed(self, url: str) -> set[str]:
        """Names of those that no consumer has, as the queues themselves count them."""
        names = self.queues(url)
        with _channel(url) as channel:
            return {name for name in names if not channel.queue_declare(name, passive=True).method.consumer_count}

    def queue_names(self, url: str) -> set[str]:
        """Names of all queues of a virtual host, where some may go while they are asked for."""
        return {queue["name"] for queue in self._ask("GET", _path("queues", vhost_of(url)))}

    @contextmanager
    def traced(self, url: str) -> Iterator[Callable[[], list[Message]]]:
        """While the block lasts the broker copies all that is published to the virtual host, and all that its queues deliver.

        What it yields gives what came since it was last called.
        """
        self._send("PUT", _path("vhosts", vhost_of(url)), {"tracing": True}).raise_for_status()
        with _channel(url) as channel:
            channel.queue_declare(_TRACE)
            channel.queue_bind(_TRACE, "amq.rabbitmq.trace", "#")
        try:
            yield lambda: self.drained(url, _TRACE)
        finally:
            self._send("PUT", _path("vhosts", vhost_of(url)), {"tracing": False}).raise_for_status()

    def drained(self, url: str, queue: str) -> list[Message]:
        """Take what is ready in a queue now."""
        found: list[Message] = []
        with _channel(url) as channel:
            ready = channel.queue_declare(queue, passive=True).method.message_count
            # a queue with a single active consumer answers no basic.get
            while len(found) < ready:
                way, properties, body = next(channel.consume(queue, auto_ack=True))
                found.append(Message(way.routing_key, repr(vars(properties)).encode(), body))
        return found

    def purge(self, url: str, queue: str) -> None:
        """Throw away what is ready in a queue."""
        self._ask("DELETE", _path("queues", vhost_of(url), queue, "contents"))

    def delete_queue(self, url: str, queue: str) -> None:
        """Delete a queue with all in it."""
        self._ask("DELETE", _path("queues", vhost_of(url), queue))

    def connections(self, url: str) -> list[str]:
        """The names of the connections to the virtual host of that URL that the management API has heard of."""
        return [connection["name"] for connection in self._ask("GET", _path("vhosts", vhost_of(url), "connections"))]

    def close_connection(self, name: str) -> None:
        """Close a connection from the broker's side."""
        self._ask("DELETE", _path("connections", name))

    def alarmed(self) -> bool:
        """Whether the broker blocks publishers because memory or disk runs out."""
        return self._send("GET", "health/checks/alarms").status_code == ALARM

    def check(self) -> None:
        """Raise Unavailable unless the management API answers."""
        try:
            self._ask("GET", "whoami")
        except httpx2.HTTPError as error:
            raise Unavailable(f"no management API at {self.api} ({error}); name it in {API_VARIABLE}") from error

    def _ask(self, method: str, path: str) -> Any:
        answer = self._send(method, path).raise_for_status()
        return answer.json() if method == "GET" else None

    def _send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> httpx2.Response:
        parts = urlsplit(self.url)
        user = unquote(parts.username or "guest"), unquote(parts.password or "guest")
        # A proxy of the machine has no business between the tests and their own server.
        verify = tls(urlsplit(self.api).scheme)
        with httpx2.Client(auth=user, timeout=API_TIMEOUT, trust_env=False, verify=verify) as client:
            return client.request(method, f"{self.api}/api/{path}", json=body)


def named(url: str) -> RabbitMQ:
    """The broker of an `amqp://` URL, whose own virtual host is left alone. Raises Unavailable."""
    parts = urlsplit(url)
    if parts.scheme != "amqp" or not parts.hostname:
        raise ValueError(f"RE_TEST_AMQP_URL is amqp://user:password@host:port, not {url!r}")
    api = os.environ.get(API_VARIABLE) or f"http://{parts.hostname}:{API_PORT}"
    broker = RabbitMQ(urlunsplit((parts.scheme, parts.netloc, "", "", "")), api.rstrip("/"))
    broker.check()
    return broker


def vhost_of(url: str) -> str:
    """The name of the virtual host in an AMQP URL."""
    return unquote(urlsplit(url).path[1:])


def _path(*names: str) -> str:
    """A path of the management API; a name may hold any character."""
    return "/".join(quote(name, safe="") for name in names)


@contextmanager
def _channel(url: str) -> Iterator[Any]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        connection.close()
