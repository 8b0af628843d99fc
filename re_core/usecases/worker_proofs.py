"""Who has sent a worker's message, by its signature and the credentials of the store. Must not know what is done with that.

Rows are read again every two seconds while signed messages come, so a credential that was revoked is refused by every core two seconds
later at the latest, and a new one is known within a fraction of one.
"""

from __future__ import annotations

from re_core.deployment.senders import Protection, Sender
from re_core.ports import Clock, CredentialRows
from re_core.rows import WorkerCredential
from re_core.wire.messages import WORKER, Message
from re_core.wire.proof import CREDENTIAL, credential_of, is_proven

#: milliseconds for which the rows serve; and for which a name that is not among them is believed to be missing
FRESH, MISSING = 2_000, 200


class WorkerProofs:
    """One thread at a time."""

    def __init__(self, rows: CredentialRows, clock: Clock, protection: Protection) -> None:
        self.protection = protection
        self._store, self._clock = rows, clock
        self._nothing = Sender(protection=protection)
        self._rows: dict[str, WorkerCredential] = {}
        self._read_at: int | None = None

    def sender(self, message: Message, purpose: str) -> Sender:
        """What the message shows. A mistake is in what it returns, and never raised. Raises StoreUnavailable."""
        name, worker = message.headers.get(CREDENTIAL, ""), message.headers.get(WORKER, "")
        claimed = credential_of(worker)
        if not name and not claimed:
            return self._nothing
        if not name:
            return self._fault(f"the worker {worker:.80} has not signed what it says")
        if claimed != name:
            return self._fault(f"the worker {worker:.80} shows the credential {name:.80}, which is not its own")
        row = self._row(name)
        if row is None:
            return self._fault(f"there is no credential {name:.80} (rectl worker add)")
        try:
            if not is_proven(message, purpose, row.public):
                return self._fault(f"the signature is not that of the credential {name}")
        except ImportError as error:
            return self._fault(f"this core has no {error.name}: pip install release-engine[secrets]")
        return Sender(row, protection=self.protection)

    def _fault(self, why: str) -> Sender:
        return self._nothing._replace(fault=why)

    def _row(self, name: str) -> WorkerCredential | None:
        now = self._clock.now()
        age = None if self._read_at is None else now - self._read_at
        if age is None or not 0 <= age < (FRESH if name in self._rows else MISSING):
            self._rows = {row.name: row for row in self._store.credentials()}
            self._read_at = now
        return self._rows.get(name)
