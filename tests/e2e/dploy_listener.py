"""A client of the center that listens to broadcasts, with dploylib. Must not know who causes them."""

from __future__ import annotations

import json
import queue
import threading
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dploylib.clients.base import BaseRequestClient
from dploylib.errors import ReceiveTimeout
from dploylib.transport import Context, Socket, curve

#: milliseconds between two looks at the ids that are to be heard
_TICK = 100

#: milliseconds in which the center must answer
_ANSWER = 30_000

#: types of a status after which nothing comes
ENDS = ("completed", "error")


class _Question:
    """See BaseRequestClient.request."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def serialize(self) -> Mapping[str, Any]:
        return self._document


class Listener:
    """Hears all ids that it was given, through every restart of the center."""

    def __init__(self, keys: Path, out: str, history: str) -> None:
        """`keys`: the engine's directory of keys; `out` and `history`: addresses of the center's sockets."""
        center, own = (curve.read_file(keys / f"{name}.key_secret") for name in ("center", "client"))
        self._curve = curve.client(center.public, own)
        self._out, self._history = out, history
        self._context = Context.new()
        self._wanted: queue.Queue[str] = queue.Queue()
        self._heard: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._thread.start()

    def hear(self, id: str) -> None:
        """From now on."""
        self._wanted.put(id)

    def ends_heard(self, id: str) -> list[dict[str, Any]]:
        """What was said last of it, as often as it was said."""
        return [one for one in self._heard.get(id, ()) if is_end(one)]

    def lines_heard(self, id: str) -> list[str]:
        """All that was said of it, as text."""
        return [str(one["body"].get("data", "")) for one in self._heard.get(id, ())]

    def history(self, id: str) -> list[dict[str, Any]]:
        """All messages of it, from the center. Raises ReceiveTimeout, RequestFailed."""
        client = BaseRequestClient(self._history, self._context)
        client.curve, client.timeout = self._curve, _ANSWER
        found: list[dict[str, Any]] = []
        with client:
            client.connect()
            while True:
                after = found[-1]["seq"] if found else 0
                answer = client.request(_Question({"broadcast_id": id, "after": after, "limit": 500}))
                page = json.loads(answer.envelope.data)
                found.extend(page["messages"])
                if page["over"] or not page["messages"]:
                    return found

    def close(self) -> None:
        """Hear no more."""
        self._stopping.set()
        self._thread.join()
        self._context.term(_ANSWER)

    def _listen(self) -> None:
        options = [("linger", 0), *self._curve.options(self._context, "")]
        with Socket.connect_new("sub", self._out, options, self._context) as socket:
            while not self._stopping.is_set():
                while not self._wanted.empty():
                    socket.set_option("subscribe", self._wanted.get())
                try:
                    envelope = socket.receive_envelope(timeout=_TICK)
                except ReceiveTimeout:
                    continue
                self._heard[envelope.id].append(json.loads(envelope.data))


def is_end(message: Mapping[str, Any]) -> bool:
    """Whether nothing comes after it."""
    return message["type"] == "status" and message["body"]["type"] in ENDS
