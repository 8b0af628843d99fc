"""The store as one object, made of one part per concern. Must not know any table."""

from __future__ import annotations

import os

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.sqlite.apps import AppsPart
from re_core.adapters.sqlite.artifact_files import ArtifactFiles
from re_core.adapters.sqlite.artifacts import ArtifactsPart
from re_core.adapters.sqlite.credentials import CredentialsPart
from re_core.adapters.sqlite.database import Database
from re_core.adapters.sqlite.dead_letters import DeadLettersPart
from re_core.adapters.sqlite.feed import FeedPart
from re_core.adapters.sqlite.hosts import HostsPart
from re_core.adapters.sqlite.journal import JournalPart
from re_core.adapters.sqlite.locks import LocksPart
from re_core.adapters.sqlite.mailbox import MailboxPart
from re_core.adapters.sqlite.maintenance import MaintenancePart
from re_core.adapters.sqlite.notifications import NotificationsPart
from re_core.adapters.sqlite.output import OutputPart
from re_core.adapters.sqlite.pipelines import PipelinesPart
from re_core.adapters.sqlite.playbooks import PlaybooksPart
from re_core.adapters.sqlite.registry import RegistryPart
from re_core.adapters.sqlite.releases import ReleasesPart
from re_core.adapters.sqlite.requests import RequestsPart
from re_core.adapters.sqlite.runners import RunnersPart
from re_core.adapters.sqlite.secrets import SecretsPart
from re_core.adapters.sqlite.tokens import TokensPart
from re_core.adapters.sqlite.views import ViewsPart
from re_core.ports import DEPLOYMENTS_ONLY, Clock, EntryCodec

#: seconds that a write waits for another process's lock
_WAIT = 5.0


class SqliteStore(
    JournalPart,
    ViewsPart,
    FeedPart,
    RequestsPart,
    LocksPart,
    PlaybooksPart,
    OutputPart,
    RegistryPart,
    DeadLettersPart,
    NotificationsPart,
    TokensPart,
    RunnersPart,
    ReleasesPart,
    ArtifactsPart,
    PipelinesPart,
    AppsPart,
    SecretsPart,
    HostsPart,
    CredentialsPart,
    MaintenancePart,
    MailboxPart,
):
    """See ports.Store and ports.Mailbox. Thread-safe. Not fork-safe: open it in the process that uses it."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        clock: Clock | None = None,
        wait: float = _WAIT,
        codec: EntryCodec = DEPLOYMENTS_ONLY,
    ) -> None:
        """Open the file, or create it (mode 0600); its directory must be there.

        Raises StoreRefused for a file that is damaged, read-only, of a newer version or another program's, and leaves
        it as it was; StoreUnavailable for one that is locked longer than `wait` seconds, or on a full disk.
        """
        self._database = Database(os.fspath(path), wait)
        self._files = ArtifactFiles(os.fspath(path))
        self._codec = codec
        self._clock = clock or SystemClock()

    def ping(self) -> None:
        """See ports.Store."""
        self._database.row("SELECT 1 FROM journal LIMIT 1")

    def close(self) -> None:
        """See ports.Store."""
        self._database.close()
