"""The ports: what the core needs of the outside. The docstrings are the contract; tests/contract holds adapters to it.

Must not know any technology. Errors: a store raises StoreUnavailable (wait) or StoreRefused (an operator must act),
a bus BusUnavailable.
"""

from re_core.ports.apps import AppRows
from re_core.ports.artifacts import LISTED, PIECE, ArtifactFilter, Artifacts, StoredArtifact
from re_core.ports.bus import Bus, Delivery, Mailbox, Published, Subscription
from re_core.ports.clock import Clock
from re_core.ports.credentials import CredentialRows
from re_core.ports.entry_codec import DEPLOYMENTS_ONLY, EntryCodec, OtherKind, foreign
from re_core.ports.feed import EntryRef, Feed, FeedPage, FeedRange
from re_core.ports.hosts import HostRows
from re_core.ports.notifications import Notifications, NotifiedFilter
from re_core.ports.observer import (
    UNOBSERVED,
    LinkFigures,
    Observer,
    Several,
    StepRun,
    ThreadFigures,
    ZoneFigures,
)
from re_core.ports.pipelines import Pipelines
from re_core.ports.reading import every_entry, read_state
from re_core.ports.runners import Releases, Runners
from re_core.ports.secrets import SecretRows
from re_core.ports.store import (
    MOST_REVISIONS,
    OUTPUT_PAGE,
    Append,
    Appended,
    DeadLetters,
    IdempotencyKeys,
    Ids,
    Journal,
    KeyRecord,
    Lock,
    Locks,
    Maintenance,
    Output,
    Page,
    Playbooks,
    Registry,
    Store,
    Survey,
    Tokens,
    ViewFilter,
    Views,
)

__all__ = [
    "DEPLOYMENTS_ONLY",
    "LISTED",
    "MOST_REVISIONS",
    "OUTPUT_PAGE",
    "PIECE",
    "UNOBSERVED",
    "AppRows",
    "Append",
    "Appended",
    "ArtifactFilter",
    "Artifacts",
    "Bus",
    "Clock",
    "CredentialRows",
    "DeadLetters",
    "Delivery",
    "EntryCodec",
    "EntryRef",
    "Feed",
    "FeedPage",
    "FeedRange",
    "HostRows",
    "IdempotencyKeys",
    "Ids",
    "Journal",
    "KeyRecord",
    "LinkFigures",
    "Lock",
    "Locks",
    "Mailbox",
    "Maintenance",
    "Notifications",
    "NotifiedFilter",
    "Observer",
    "OtherKind",
    "Output",
    "Page",
    "Pipelines",
    "Playbooks",
    "Published",
    "Registry",
    "Releases",
    "Runners",
    "SecretRows",
    "Several",
    "StepRun",
    "Store",
    "StoredArtifact",
    "Subscription",
    "Survey",
    "ThreadFigures",
    "Tokens",
    "ViewFilter",
    "Views",
    "ZoneFigures",
    "every_entry",
    "foreign",
    "read_state",
]
