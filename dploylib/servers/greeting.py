"""A publisher that greets: a subscriber learns that its subscription counts, so it may cause what it wants to hear of.

A PUB sends to those whose subscriptions have arrived, and does not say which have. An XPUB is shown each subscription, and
answers it with an empty envelope under the subscription's id. Subscribers that do not wait for it read it like any other message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq

from dploylib.servers.server import SocketDescription, default_options
from dploylib.transport import Envelope

#: mimetype of a greeting
GREETING_MIMETYPE = "application/x-dploylib-subscribed"
#: bytes of the longest subscription that is greeted
LONGEST_SUBSCRIPTION = 255

_SUBSCRIBED = b"\1"


class PublisherDescription(SocketDescription):
    """An XPUB that shows every subscription, and the handler that greets."""

    def handler(self, server: Any) -> Callable[[Any], object]:
        """See SocketDescription."""
        return _greet


def publish(name: str) -> SocketDescription:
    """A bound socket that publishes, and greets its subscribers: `self.sockets.<name>.send_envelope(…)`."""
    options = [*default_options(), ("xpub_verbose", 1)]
    return PublisherDescription(name, "xpub", "bind", default_options=options)


def _greet(socket: Any) -> None:
    try:
        frames = socket.zmq_socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return
    # peers may send anything upstream; an end of a subscription begins with another byte
    if len(frames) == 1 and frames[0][:1] == _SUBSCRIBED and len(frames[0]) <= 1 + LONGEST_SUBSCRIPTION:
        id = frames[0][1:].decode("utf-8", "surrogateescape")
        socket.send_envelope(Envelope.new(GREETING_MIMETYPE, b"", id=id))
