"""Secrets of the engine's own store, asked for over the bus. Must not know who may have one.

The question carries a key that is made for it alone, and the answer is closed for that key: no queue holds a value. It is asked on
the thread of the step, after its grant.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from ulid import ULID

from re_core.backoff import Backoff
from re_core.errors import BadMessage, BusUnavailable
from re_core.ports import Bus
from re_core.wire import secret_messages as s
from re_core.wire.messages import SECRETS, Message
from re_core.wire.sealed_box import BoxKey
from re_workers.outgoing import APP
from re_workers.secrets.providers import SecretFailed
from re_workers.secrets.resolver import Asking

#: seconds that one question waits for its answer, and after which it is not asked again
ANSWER, PATIENCE = 5.0, 30.0


class EngineSecrets:
    """See resolver.EngineStore. Any thread."""

    def __init__(self, bus: Bus, identity: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`identity`: the worker process's id."""
        self._bus, self._identity, self._monotonic = bus, identity, monotonic

    def ask(self, names: Sequence[str], asking: Asking) -> Mapping[str, str]:
        """See resolver.EngineStore."""
        try:
            key = BoxKey()
        except ImportError as error:
            raise SecretFailed(f"{error.name} is missing: pip install release-engine[secrets]") from None
        request = s.SecretRequest(asking.attempt, asking.token, self._identity, tuple(names), key.public)
        try:
            sealed, problem = s.parse_answer(self._answered(request))
            if problem:
                raise SecretFailed(problem)
            return s.values(key.open(sealed, request.about), names)
        except BadMessage as error:
            raise SecretFailed(f"the engine's answer cannot be used: {error}") from None

    def _answered(self, request: s.SecretRequest) -> bytes:
        """The body of the answer; asked again with the same key, for a core may have died over it. Raises SecretFailed."""
        end, backoff, why = self._monotonic() + PATIENCE, Backoff(0.2, 2.0), "none came"
        while True:
            message = Message(SECRETS, request.body(), f"secrets/{ULID()}", app_id=APP, direct=True)
            try:
                answer = self._bus.request(message, ANSWER)
                if answer is not None:
                    return answer.body
            except BusUnavailable as error:
                why = str(error)
            if self._monotonic() >= end:
                raise SecretFailed(
                    f"no core has answered the question for secrets: {why}; is one older than its workers?"
                )
            time.sleep(backoff.next())
