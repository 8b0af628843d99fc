"""The HTTP exchange of a step. Must not know sockets."""

from __future__ import annotations

import threading

from re_core.runtime import http_exchange
from re_core.runtime.http_exchange import Answer, ExchangeFailed, Question, Way
from re_workers.outcomes import Failed


def ask(question: Question, way: Way, timeout: float, give_up: threading.Event) -> Answer:
    """As http_exchange.ask. Raises Failed, also where the step was stopped."""
    try:
        return http_exchange.ask(question, way, timeout, give_up)
    except ExchangeFailed as error:
        raise Failed(str(error)) from None
