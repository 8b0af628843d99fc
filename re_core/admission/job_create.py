"""job.create to a new deployment, or to the reason why not. Must not know the order of a batch."""

from __future__ import annotations

import logging
from typing import NamedTuple

from re_core.admission.acceptance import Acceptance, Admission
from re_core.admission.replies import Rejection, creation_answer
from re_core.errors import BadDocument, BadMessage, CallerError, Expired, Problems, Refused, ReleaseEngineError
from re_core.ports import Delivery
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.strict_json import dumps

#: problems that a refusal carries in its headers
_LISTED = 50

_log = logging.getLogger(__name__)


class Creation(NamedTuple):
    """A request that may become a deployment: its message, and what was admitted."""

    delivery: Delivery
    admission: Admission

    @property
    def message(self) -> Message:
        return self.delivery.message

    def yes(self) -> list[Message]:
        """The acceptance for the caller, if it waits for one."""
        if not self.message.reply_to:
            return []
        return [creation_answer(self.message, self.admission.deployment)]


def admit(acceptance: Acceptance, delivery: Delivery) -> tuple[Creation | None, Rejection]:
    """The creation, or None and the refusal. Raises StoreUnavailable."""
    message = delivery.message
    try:
        return Creation(delivery, acceptance.admit(message)), Rejection([])
    except BadMessage as error:
        text = f"{error.path}: {error}" if error.path else str(error)
        return None, Rejection(refusal(message, error.reason, text, error), error.reason, text)
    except CallerError as error:
        _log.info(
            "a deployment was refused: %s",
            error,
            extra={"action": "refuse_deployment", "deployment_id": message.id, "user_id": message.headers.get(m.USER)},
        )
        return None, Rejection(refusal(message, error.reason, str(error), error))
    except ReleaseEngineError:
        raise
    except Exception as error:
        return None, unusable(message, error)


def unusable(message: Message, error: Exception) -> Rejection:
    """An error of the engine, or of a newer format, affects this request only: a dead letter, and a refusal."""
    _log.error("the core failed on a request", exc_info=error, extra={"action": "event_error"})
    reason = error.reason if isinstance(error, ReleaseEngineError) else "error"
    detail = f"{type(error).__name__}: {error}"
    return Rejection(refusal(message, "refused", f"the core failed on this request: {detail}"), reason, detail)


def gave_up(message: Message) -> Rejection:
    """The refusal of a request whose deployment never began, or was taken back: the journal says that it cannot begin."""
    return Rejection(refusal(message, Expired.reason, str(Expired())))


def refusal(message: Message, reason: str, detail: str, error: CallerError | None = None) -> list[Message]:
    """The refusal for the caller, if it waits for one. Headers are text without line breaks."""
    if not message.reply_to:
        return []
    headers = {m.REASON: reason, m.DETAIL: " ".join(detail.split())[:1000]}
    if isinstance(error, Refused) and error.deployment:
        headers[m.HOLDER] = error.deployment
    if isinstance(error, BadDocument):
        listed = Problems(error.problems[:_LISTED], max(0, len(error.problems) - _LISTED)).listed()
        problems = [{"path": problem.path, "message": problem.message} for problem in listed]
        headers[m.PROBLEMS] = dumps(problems)
    return [creation_answer(message, None, headers)]
