"""Whether a worker runs the attempt for which it asks something of the store. Must not know what it asks for."""

from __future__ import annotations

import hmac

from re_core import ports
from re_core.deployment.senders import OPEN, Sender, claim_refusal
from re_core.deployment.state import State
from re_core.errors import ReleaseEngineError
from re_core.model import StepStatus
from re_core.wire.messages import parse_attempt
from re_core.wire.proof import credential_of


class NotReleased(ReleaseEngineError):
    """The worker does not get what it asks for."""

    reason = "not-released"


class NotRunning(NotReleased):
    """As far as the journal knows the attempt does not run: it has ended, or its start is not written yet."""

    reason = "not-running"


def granted(
    journal: ports.Journal, attempt_id: str, token: str, worker: str, sender: Sender = OPEN
) -> tuple[State, int]:
    """The deployment, and the number of the step, of an attempt that this worker runs by this claim. Raises NotReleased, BadMessage.

    `sender`: who has signed the question. What would not be granted to it now gets nothing; nor does another one than the claimant.
    """
    attempt = parse_attempt(attempt_id)
    state = ports.read_state(journal, attempt.deployment)
    if state is None or not attempt.step < len(state.plan.steps):
        raise NotReleased(f"there is no attempt {attempt_id[:100]!r}")
    step = state.step(attempt.step)
    if step.attempt != attempt.attempt or step.status is not StepStatus.STARTED:
        raise NotRunning(f"the attempt {attempt_id[:100]} does not run")
    if not hmac.compare_digest(step.token.encode(), token.encode()) or step.worker != worker:
        raise NotReleased(f"the attempt {attempt_id[:100]} was granted to another worker")
    if why := claim_refusal(sender, state.plan.steps[attempt.step].spec):
        raise NotReleased(why)
    if credential_of(step.worker) != sender.name:
        raise NotReleased(f"the attempt {attempt_id[:100]} was granted to another worker")
    return state, attempt.step
