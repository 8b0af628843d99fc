"""The HTTP exchange of a step. Must not know sockets."""

from __future__ import annotations

import threading

from re_core.runtime import http_exchange
from re_core.runtime.http_exchange import Answer, Denied, ExchangeFailed, Question, Way
from re_workers.outcomes import Failed
from re_workers.steps.repeating import Hopeless


def ask(question: Question, way: Way, timeout: float, give_up: threading.Event) -> Answer:
    """As http_exchange.ask. Raises Failed, also where the step was stopped; Hopeless where the address is denied."""
    try:
        return http_exchange.ask(question, way, timeout, give_up)
    except Denied as error:
        raise Hopeless(str(error)) from None
    except ExchangeFailed as error:
        raise Failed(str(error)) from None
