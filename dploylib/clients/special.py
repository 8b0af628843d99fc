"""The client of a job: it observes the job's broadcast before it asks for it, so it misses nothing. Must not know any job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from dploylib.clients import subscription
from dploylib.clients.base import BaseRequestClient, ListeningHandler, StopListening, stop_listening
from dploylib.errors import ReceiveTimeout
from dploylib.servers.greeting import GREETING_MIMETYPE
from dploylib.transport import DataNotDeserializable, ReceivedData

#: types of a broadcast, and the types of its body under each
BROADCAST_TYPES = {"output": ("line", "raw"), "status": ("info", "error", "completed")}
#: types of a status after which nothing comes
TERMINAL = ("error", "completed")


class BroadcastMessage:
    """A line of output, or a status, of a job (the JSON Schema `dploy-broadcast-message`)."""

    def __init__(self, type: str, body_type: str, data: str | None = None) -> None:
        """Raises ValueError for types that there are not."""
        if body_type not in BROADCAST_TYPES.get(type, ()):
            raise ValueError(f"there is no broadcast of type {type!r} with a body of type {body_type!r}")
        self.type = type
        self.body_type = body_type
        self.data = data

    @property
    def terminal(self) -> bool:
        """Whether it is the last one of its job."""
        return self.type == "status" and self.body_type in TERMINAL

    def serialize(self) -> dict[str, Any]:
        """As it travels."""
        body = {"type": self.body_type} if self.data is None else {"type": self.body_type, "data": self.data}
        return {"type": self.type, "body": body}

    @classmethod
    def deserialize(cls, data: Any) -> BroadcastMessage:
        """The reverse of serialize; further keys are ignored. Raises DataNotDeserializable."""
        try:
            body = data["body"]
            message = cls(data["type"], body["type"], body.get("data"))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataNotDeserializable(f"no broadcast message: {error}") from error
        if message.data is not None and not isinstance(message.data, str):
            raise DataNotDeserializable("no broadcast message: its data is no text")
        return message


class ObservableServiceClient(BaseRequestClient):
    """Subscribes to an id, asks, and then observes what is published under that id.

    `observed` deserializes what is published. A prefix of an id is another id: its messages are left out.
    """

    observed: Any = BroadcastMessage

    def __init__(self, request_uri: str, observe_uri: str, observe_id: str, context: Any) -> None:
        super().__init__(request_uri, context)
        self._observe_uri = observe_uri
        self._observe_id = observe_id
        self._observe_socket: Any = None
        self._first: list[Any] = []
        #: whether the publisher said that the subscription counts (servers.publish); if not, first messages may be missed
        self.certain = False

    def connect(self) -> None:
        """Subscribe, wait for the connection and for the publisher's greeting, and connect for the request.

        A publisher that does not greet costs a quarter of a second. Raises ReceiveTimeout after `timeout` milliseconds without a
        connection.
        """
        if self._observe_socket is None:
            self._observe()
        super().connect()

    def request(self, obj: Any, **options: Any) -> ReceivedData:
        """As BaseRequestClient.request; the id of the request is the observed one unless another is given."""
        return super().request(obj, **{"id": self._observe_id, **options})

    def observe(self, handler: ListeningHandler) -> None:
        """Call the handler with each message under the id, as `handler(socket, received, stop)`, until it calls `stop`.

        Raises what the handler raises, and ReceiveTimeout if nothing comes under the id within `timeout` milliseconds.
        """
        try:
            while True:
                handler(self._observe_socket, ReceivedData(self._next(), self.observed), stop_listening)
        except StopListening:
            return

    def messages(self) -> Iterator[BroadcastMessage]:
        """The messages of the job, up to its terminal status. Raises ReceiveTimeout, DataNotDeserializable."""
        while True:
            message = ReceivedData(self._next(), self.observed).obj
            yield message
            if message.terminal:
                return

    def close(self) -> None:
        """See BaseClient."""
        super().close()
        if self._observe_socket is not None:
            self._observe_socket.close(0)
            self._observe_socket = None

    def _observe(self) -> None:
        socket = self._socket(self._context, "sub")
        try:
            socket.set_option("subscribe", self._observe_id)
            subscription.connect(socket, self._observe_uri, self.timeout)
            envelope = subscription.first(socket)
        except BaseException:
            socket.close(0)
            raise
        self.certain = envelope is not None and envelope.mimetype == GREETING_MIMETYPE
        self._first = [] if envelope is None or self.certain else [envelope]
        self._observe_socket = socket

    def _next(self) -> Any:
        end = None if self.timeout is None else time.monotonic() + self.timeout / 1000
        while True:
            envelope = self._first.pop() if self._first else self._received(end)
            if envelope.id == self._observe_id and envelope.mimetype != GREETING_MIMETYPE:
                return envelope

    def _received(self, end: float | None) -> Any:
        if end is None:
            return self._observe_socket.receive_envelope()
        left = int((end - time.monotonic()) * 1000)
        if left < 0:
            raise ReceiveTimeout(f"nothing under {self._observe_id!r} within {self.timeout} ms")
        return self._observe_socket.receive_envelope(timeout=left)
