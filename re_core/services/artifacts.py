"""Answers workers that ask for artifacts, or store one. Must not know who may (re_core/usecases/artifact_release.py)."""

from __future__ import annotations

import logging

from re_core.deployment.senders import OPEN
from re_core.errors import BadMessage, CallerError, DamagedArtifact, Refused
from re_core.ports import UNOBSERVED, Bus, Observer
from re_core.sequencer.guard import take_each
from re_core.services.artifact_pushes import ArtifactPushes
from re_core.usecases.artifact_pushing import Bounds
from re_core.usecases.artifact_release import Given, Lacking, Shelf, give
from re_core.usecases.granted import NotReleased, NotRunning
from re_core.usecases.worker_proofs import WorkerProofs
from re_core.wire import artifact_messages as m
from re_core.wire.answer_queue import check_answer_queue
from re_core.wire.messages import APP, Message
from re_core.wire.proof import ARTIFACTS

#: deliveries of one turn, and that one core holds at once
BATCH = 4

_log = logging.getLogger(__name__)


class ArtifactAnswers:
    """One thread."""

    def __init__(
        self,
        bus: Bus,
        here: Shelf,
        identity: str,
        bounds: Bounds = Bounds(),  # noqa: B008  # it is immutable
        proofs: WorkerProofs | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """`identity` names this start of the core. `bounds`: how much artifacts may have.

        `proofs`: knows which worker asks; without it all are part of this process.
        """
        self._bus, self._here = bus, here
        self._proofs, self._observer = proofs, observer
        mine = m.pieces_queue(identity)
        self._pushes = ArtifactPushes(here, bounds, mine)
        self._subscription = bus.subscribe((m.ARTIFACTS, mine), BATCH)

    def turn(self, timeout: float) -> int:
        """One batch. Raises StoreUnavailable or BusUnavailable after it gave the deliveries back."""
        return take_each(self._subscription, BATCH, timeout, self._answer)

    def wake(self) -> None:
        """See Subscription.wake: for any thread."""
        self._subscription.wake()

    def close(self) -> None:
        """Stop consuming."""
        self._subscription.close()
        self._pushes.close()

    def _answer(self, message: Message) -> None:
        check_answer_queue(message.reply_to)
        kind, body = self._given(message)
        headers = {m.ANSWER: kind}
        id = f"{message.id}/answer"
        said = Message(message.reply_to, body, id, message.id, "", headers, APP, direct=True, once=True)
        self._bus.publish([said])

    def _given(self, message: Message) -> Given:
        """A refusal is answered too: the step must not wait for what never comes."""
        try:
            if m.PUSH in message.headers:
                return self._pushes.take(message.headers, message.body)
            request = m.parse_request(message.body)
            sender = OPEN if self._proofs is None else self._proofs.sender(message, ARTIFACTS)
            if sender.fault:
                self._observer.unproven("artifact")
            return self._pushes.begin(request, sender) if request.ask == "push" else give(self._here, request, sender)
        except NotRunning as error:
            return Given(m.NOT_YET, str(error).encode())
        except (NotReleased, BadMessage, CallerError, Refused, DamagedArtifact, Lacking) as error:
            _log.warning("an artifact is refused: %s", error, extra={"action": "artifact_refused"})
            return Given(m.PROBLEM, str(error).encode())
