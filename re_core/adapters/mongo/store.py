"""The store as one object, made of one part per concern. Must not know any collection."""

from __future__ import annotations

from re_core.adapters.mongo.apps import AppsPart
from re_core.adapters.mongo.artifacts import ArtifactsPart
from re_core.adapters.mongo.credentials import CredentialsPart
from re_core.adapters.mongo.database import Database
from re_core.adapters.mongo.dead_letters import DeadLettersPart
from re_core.adapters.mongo.feed import FeedPart
from re_core.adapters.mongo.hosts import HostsPart
from re_core.adapters.mongo.layout import prepare
from re_core.adapters.mongo.locks import LocksPart
from re_core.adapters.mongo.maintenance import MaintenancePart
from re_core.adapters.mongo.notifications import NotificationsPart
from re_core.adapters.mongo.output import OutputPart
from re_core.adapters.mongo.pipelines import PipelinesPart
from re_core.adapters.mongo.playbooks import PlaybooksPart
from re_core.adapters.mongo.registry import RegistryPart
from re_core.adapters.mongo.releases import ReleasesPart
from re_core.adapters.mongo.requests import RequestsPart
from re_core.adapters.mongo.runners import RunnersPart
from re_core.adapters.mongo.secrets import SecretsPart
from re_core.adapters.mongo.self_check import check_server
from re_core.adapters.mongo.tokens import TokensPart
from re_core.adapters.mongo.views import ViewsPart
from re_core.ports import DEPLOYMENTS_ONLY, EntryCodec


class MongoStore(
    FeedPart,
    ViewsPart,
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
):
    """See ports.Store. Thread-safe. Not fork-safe: open it in the process that uses it."""

    def __init__(self, url: str, codec: EntryCodec = DEPLOYMENTS_ONLY) -> None:
        """Connect, check the server, and make the database one of the newest layout.

        Raises BadSettings for a URL that is none, StoreUnavailable where no server answers within 5 s (try again: the
        processes may be started in any order), StoreRefused where an operator must act.
        """
        self._codec = codec
        self._database = Database(url)
        try:
            prepare(self._database)
            check_server(self._database)
            self._begin_feed()
        except BaseException:
            self._database.close()
            raise

    def ping(self) -> None:
        """See ports.Store."""
        self._database.ping()

    def close(self) -> None:
        """See ports.Store."""
        self._database.close()
