"""What center and zone say to each other: orders, words to one app, questions, reports. Pure; must not know sockets.

A zone answers an order at once and works on; the center looks at it with `Ask`, and the zone pushes nothing. Bodies are JSON of at
most 1 MiB. Every `parse_*` raises BadWire, with a JSON pointer, for anything that is not in the format, and checks names, versions
and digests before a path is made of them. An order without the key `order` is the plain ZoneDeployOrder of the message schemas.
"""

from __future__ import annotations

from re_dploy.wire.fields import BadWire
from re_dploy.wire.names import OVER, SWITCHED, cargo_mimetype, cargo_size, cargo_uri, digest_of
from re_dploy.wire.orders import (
    Answer,
    CargoAsk,
    Control,
    Limits,
    Order,
    Stop,
    StopAnswer,
    parse_answer,
    parse_cargo_ask,
    parse_control,
    parse_order,
    parse_stop,
    parse_stop_answer,
)
from re_dploy.wire.reports import (
    AppReport,
    Ask,
    LogPiece,
    LogText,
    OrderReport,
    PsRow,
    Report,
    parse_ask,
    parse_report,
)

__all__ = [
    "OVER",
    "SWITCHED",
    "Answer",
    "AppReport",
    "Ask",
    "BadWire",
    "CargoAsk",
    "Control",
    "Limits",
    "LogPiece",
    "LogText",
    "Order",
    "OrderReport",
    "PsRow",
    "Report",
    "Stop",
    "StopAnswer",
    "cargo_mimetype",
    "cargo_size",
    "cargo_uri",
    "digest_of",
    "parse_answer",
    "parse_ask",
    "parse_cargo_ask",
    "parse_control",
    "parse_order",
    "parse_report",
    "parse_stop",
    "parse_stop_answer",
]
