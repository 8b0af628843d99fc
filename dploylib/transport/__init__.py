"""The transport: contexts, sockets, envelopes and the loop that polls them."""

from dploylib.errors import MalformedEnvelope, ReceiveTimeout, SendTimeout
from dploylib.transport.envelope import (
    ENVELOPE_SCHEMA,
    JSON_MIMETYPE,
    MINIMUM_ENVELOPE_LEN,
    TEXT_MIMETYPE,
    Envelope,
)
from dploylib.transport.poll import PollLoop
from dploylib.transport.received import DataNotDeserializable, MalformedBody, ReceivedData
from dploylib.transport.wrapper import Context, Socket, clean_option_value, get_zmq_constant

__all__ = [
    "ENVELOPE_SCHEMA",
    "JSON_MIMETYPE",
    "MINIMUM_ENVELOPE_LEN",
    "TEXT_MIMETYPE",
    "Context",
    "DataNotDeserializable",
    "Envelope",
    "MalformedBody",
    "MalformedEnvelope",
    "PollLoop",
    "ReceiveTimeout",
    "ReceivedData",
    "SendTimeout",
    "Socket",
    "clean_option_value",
    "get_zmq_constant",
]
