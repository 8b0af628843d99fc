"""The log of the connections: one warning per outage, one line at its end. Must not know pika's objects.

It also classifies errors of pika by the text of the broker's reply: waiting helps, or an operator must act first.
"""

from __future__ import annotations

import logging
import time

_log = logging.getLogger(__name__)

#: text of the broker's (or TLS's) refusal -> what to do about it
REFUSALS = {
    "ACCESS_REFUSED": "the broker does not know the user and password of RE_BUS_URL: correct them, or add the user to the broker",
    "vhost": "the virtual host of RE_BUS_URL does not exist, or the user may not use it: create it "
    "(rabbitmqctl add_vhost, set_permissions), or correct the URL",
    "CERTIFICATE_VERIFY_FAILED": "this machine does not trust the broker's certificate: "
    "RE_BUS_CA_FILE names the authorities to trust, and the host in RE_BUS_URL must be in the certificate",
    "WRONG_VERSION_NUMBER": "the port of RE_BUS_URL does not speak TLS: amqps:// needs the broker's TLS port, usually 5671",
}


def causes(error: BaseException) -> list[str]:
    """What pika's nested exceptions say, outermost first."""
    causes_found: list[str] = []
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        causes_found.append(f"{type(one).__name__}: {one}")
        waiting += [getattr(one, "exception", None), *getattr(one, "exceptions", ()), *one.args, one.__cause__]
    return causes_found


def refusal(error: BaseException) -> str:
    """What an operator must do first; empty where waiting may help."""
    text = " ".join(causes(error))
    if "vhost" in text and ("is down" in text or "limit" in text):
        return ""
    return next((advice for word, advice in REFUSALS.items() if word in text), "")


def reason(error: BaseException) -> str:
    """The innermost cause, for people."""
    return causes(error)[-1].replace("\n", " ")[:300]


class OutageLog:
    """Of all connections of one bus. Only the I/O thread writes."""

    def __init__(self, places: str) -> None:
        """`places` names the broker's addresses."""
        self._places = places
        self._down: dict[str, str] = {}
        self._since = 0.0
        self._warned = False

    def down(self, name: str, why: str) -> None:
        """A connection could not be made, or has ended."""
        if not self._down:
            self._since = time.monotonic()
        self._down[name] = why
        if not self._warned:
            self._warned = True
            _log.warning(
                "RabbitMQ at %s cannot be reached: %s. The engine tries again, and then publishes again everything that was not "
                "confirmed. Check that RabbitMQ runs and that RE_BUS_URL is correct",
                self._places,
                why,
                extra={"action": "bus_away"},
            )

    def up(self, name: str) -> None:
        """A connection is there."""
        if self._down.pop(name, None) is None or self._down or not self._warned:
            return
        self._warned = False
        away = time.monotonic() - self._since
        _log.info("RabbitMQ is back after %.1f s", away, extra={"action": "bus_back"})
