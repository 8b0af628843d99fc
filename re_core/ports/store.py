"""The store: one small Protocol per concern, and all of them as one. Must not know any technology."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from re_core.deployment.records import Entry
from re_core.model import DeploymentStatus
from re_core.ports.apps import AppRows
from re_core.ports.artifacts import Artifacts
from re_core.ports.credentials import CredentialRows
from re_core.ports.feed import Feed
from re_core.ports.hosts import HostRows
from re_core.ports.notifications import Notifications
from re_core.ports.pipelines import Pipelines
from re_core.ports.runners import Releases, Runners
from re_core.ports.secrets import SecretRows
from re_core.rows import DeadLetter, OutputChunk, OutputLine, PlaybookHead, StoredPlaybook, Token, View, WorkerRecord
from re_core.wire.messages import Message

#: characters of lines from which on a page of output is not made longer
OUTPUT_PAGE = 2 * 1024 * 1024


class Appended(Enum):
    """What became of one entry."""

    #: it is in the journal, by this insert or by an earlier one of the same writer whose answer was lost
    STORED = "stored"
    #: another core's entry has that number; the caller's state is stale
    LOST = "lost"


class Page(NamedTuple):
    """Some rows, newest first, and where to go on; None at the end."""

    rows: list[View]
    next: str | None


class ViewFilter(NamedTuple):
    """Which deployments to list. Empty means all."""

    #: None means all; an empty tuple is no group, and finds nothing
    groups: tuple[str, ...] | None = None
    playbook_id: str = ""
    statuses: tuple[DeploymentStatus, ...] = ()
    user: str = ""
    #: milliseconds since the epoch; only those created at or after it
    since: int = 0


class KeyRecord(NamedTuple):
    """Which deployment an idempotency key stands for, and the digest of the body that it came with."""

    key: str
    deployment: str
    digest: str


#: revisions of one playbook that a store keeps: deployments have the plan of theirs in the journal
MOST_REVISIONS = 1000


class Append(NamedTuple):
    """One entry, and what shall be committed with it."""

    entry: Entry
    #: the deployment's new row of the list; None where it need not be written now
    view: View | None = None
    #: (queue, message): what the bus keeps in the store
    mail: tuple[tuple[str, Message], ...] = ()
    #: its entry has an event for followers of the feed
    fed: bool = False


class Lock(NamedTuple):
    """The holder of a lock, and since when."""

    key: str
    deployment: str
    #: milliseconds since the epoch
    at: int


class Journal(Protocol):
    """Append-only entries. What was answered STORED survives the death of the process and of the machine."""

    #: whether views and mail are committed in the transaction of the append
    transactional: bool

    def append(self, batch: Sequence[Append]) -> list[Appended]:
        """Insert the entries, each whole or not at all, and say of each whether it is there; one fsync for all.

        A lost entry disturbs no other, and its view and mail are not written. The view row of a new deployment
        (entry 1) is there before its entry is. A transactional store commits all of it together; another may
        ignore mail, writes the views of later entries only when `write_views` brings them, and has the entries in the feed
        only when `add_to_feed` brings them.
        """
        ...

    def entries(self, deployment: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        """The entries with a number above `after`, in order, `limit` at most; empty for an unknown deployment.

        A journal can be larger than memory should be: read a whole one page by page (ports.every_entry).
        """
        ...


class Views(Protocol):
    """The list of deployments, behind the journal or beside it; and the rows of other kinds, which say when each is due."""

    def write_views(self, views: Sequence[View]) -> None:
        """Replace rows; an older summary (lower `entry`) never replaces a newer one."""
        ...

    def views(self, wanted: ViewFilter, limit: int, cursor: str = "") -> Page:
        """Of deployments (a row without a group is of another kind of aggregate), newest first.

        Raises BadDocument for a cursor that is not one.
        """
        ...

    def active(self) -> list[str]:
        """Ids of the deployments that have not ended, oldest first."""
        ...

    def claimed(self, workers: Collection[str]) -> dict[str, list[str]]:
        """Deployments that have not ended -> those of the workers by which their row says that a step is claimed, in order.

        All of them where the row does not say. Costs nothing for deployments without a claimed step.
        """
        ...

    def due(self, now: int, limit: int) -> list[str]:
        """Ids of deployments whose `due` is not after `now`, longest due first."""
        ...


class IdempotencyKeys(Protocol):
    """Idempotency keys."""

    def claim(self, claim: KeyRecord) -> KeyRecord:
        """Insert it unless its key is there; the one that stands now, one's own or the winner's."""
        ...

    def standing_claim(self, key: str) -> KeyRecord | None:
        """What stands there; nothing is claimed."""
        ...

    def claim_all(self, claims: Sequence[KeyRecord]) -> list[KeyRecord]:
        """As `claim` for each, in this order, in one go; of two with one key the first comes first.

        A claim may reach the disk only with what is written next: alone it leads to nothing, and what it leads to comes
        after it.
        """
        ...


class Locks(Protocol):
    """One deployment at a time for each key. A hold lasts until it is released or taken over; it knows no time."""

    def acquire(self, key: str, deployment: str, at: int) -> Lock:
        """Acquire it unless it is held; the lock that stands now, the caller's own (an earlier one too) or the holder's."""
        ...

    def compare_and_swap(self, key: str, held: Lock, deployment: str, at: int) -> Lock:
        """As `acquire`, but exactly `held` does not stand in the way; of several callers that replace the same lock one wins."""
        ...

    def release(self, key: str, deployment: str) -> bool:
        """Let go of it; False where that deployment does not hold it."""
        ...


class Playbooks(Protocol):
    """Playbooks with all their revisions."""

    def playbook(self, id: str, revision: int | None = None) -> StoredPlaybook | None:
        """The newest revision, or that one; None where there is none (a deleted playbook keeps its old revisions)."""
        ...

    def playbooks(self, group: str | None = None, name: str | None = None) -> list[StoredPlaybook]:
        """Newest revisions of all that are not deleted, newest playbook first."""
        ...

    def playbook_heads(self, group: str | None = None, name: str | None = None) -> list[PlaybookHead]:
        """As `playbooks`; no document is loaded."""
        ...

    def has_playbooks(self, group: str) -> bool:
        """Whether the group has one that is not deleted; costs as much for ten thousand as for one."""
        ...

    def revisions(self, id: str) -> list[StoredPlaybook]:
        """All revisions, newest first."""
        ...

    def save_playbook(self, playbook: StoredPlaybook) -> bool:
        """Store a revision; False where that revision is there already (another caller was faster).

        Of a playbook the newest MOST_REVISIONS are kept.
        """
        ...

    def delete_playbook(self, id: str, revision: int) -> bool:
        """Delete it if `revision` is still the newest; False where it is not."""
        ...


class Output(Protocol):
    """What steps printed."""

    def add_output(self, chunks: Sequence[OutputChunk]) -> None:
        """Store chunks, in one commit; one whose id is there already is left as it is."""
        ...

    def stored_output(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids whose chunk is stored."""
        ...

    def output_ids(self, beginning: str) -> list[str]:
        """Ids of stored chunks that begin with this text, which ends with a slash; in no order."""
        ...

    def last_line(self, deployment: str) -> int:
        """Number of the last stored line; 0 where there is none."""
        ...

    def output(self, deployment: str, after: int = 0, limit: int = 1000, step: int | None = None) -> list[OutputLine]:
        """Lines with a number above `after`, in order: up to `limit`, fewer where they have OUTPUT_PAGE characters by then.

        An empty list says that there are none.
        """
        ...


class Registry(Protocol):
    """Which workers live."""

    def register(self, worker: WorkerRecord) -> None:
        """Replace what is known of it."""
        ...

    def workers(self, seen_since: int = 0) -> list[WorkerRecord]:
        """Those seen at or after that time."""
        ...

    def forget_workers(self, seen_before: int) -> None:
        """Drop those not seen since."""
        ...


class DeadLetters(Protocol):
    """Undeliverable messages."""

    def store_letter(self, letter: DeadLetter) -> None:
        """Keep it; an id that is there is left as it is."""
        ...

    def dead_letters(self, limit: int, before: str = "") -> list[DeadLetter]:
        """Newest first, ids below `before`."""
        ...

    def count_dead_letters(self) -> int:
        """How many there are."""
        ...

    def dead_letter(self, id: str) -> DeadLetter | None:
        """One, whole."""
        ...

    def drop_dead_letter(self, id: str) -> bool:
        """False where it is not there."""
        ...

    def drop_oldest_dead_letters(self, most: int) -> int:
        """Keep the newest `most`; how many of the others were dropped."""
        ...


class Tokens(Protocol):
    """The tokens that authenticate callers."""

    def add_token(self, token: Token) -> None:
        """Store it; replaces one with the same digest."""
        ...

    def token(self, digest: str) -> Token | None:
        """The token with this digest."""
        ...

    def tokens(self) -> list[Token]:
        """All, oldest first."""
        ...

    def revoke_token(self, digest: str) -> bool:
        """False where it is not there."""
        ...

    def use_token(self, digest: str, at: int) -> None:
        """Write its last use down, unless a later one is known; a token that is not there stays away."""
        ...


class Ids(NamedTuple):
    """Some ids, and where to go on; None at the end."""

    ids: list[str]
    next: str | None


class Survey(NamedTuple):
    """What there is in the store."""

    #: which kind of store, for people
    kind: str
    layout: int
    #: what is counted -> how many there are
    counts: Mapping[str, int]
    #: what is wrong, and what to do about it
    problems: tuple[str, ...]


class Maintenance(Protocol):
    """Maintenance of the store. None of it is on the way of a deployment."""

    def journals(self, limit: int, cursor: str = "") -> Ids:
        """Up to `limit` ids of deployments that have entries, each at least once, in the order of the store."""
        ...

    def rows(self, ids: Sequence[str]) -> list[View]:
        """Their rows of the list, those that are there, in any order."""
        ...

    def drop_views(self, ids: Sequence[str]) -> None:
        """Drop their rows of the list; the journals stay."""
        ...

    def ended(self, before: int, limit: int) -> list[str]:
        """Ids of deployments whose row says that they ended before that time, the oldest first.

        Rows of other kinds, which have no group, are left out: they would stand before the deployments for ever.
        """
        ...

    def ended_of(self, kind: str, before: int, limit: int) -> list[str]:
        """Keys of aggregates of another kind (`<kind>/<id>`) whose row says that they ended before that time, the oldest first."""
        ...

    def forget(self, deployments: Sequence[str]) -> None:
        """Delete all that is kept of them: output, idempotency keys, locks, releases, journal, and at last the row of the list.

        Where a store has no transaction for it, the first entry goes before the others, so that what is left of a
        journal when it is cut off reads as damaged and never as a deployment under way; calling it again goes on.
        """
        ...

    def old_claims(self, before: str, limit: int, after: KeyRecord | None = None) -> list[KeyRecord]:
        """Idempotency keys that stand for an id below `before`, in the order of ids and keys, those behind `after`."""
        ...

    def drop_claims(self, claims: Sequence[KeyRecord]) -> None:
        """Delete those that still stand for the same id."""
        ...

    def old_dead_letters(self, before: int, limit: int) -> list[str]:
        """Ids of those that were buried before that time, the oldest first."""
        ...

    def survey(self) -> Survey:
        """Look at all that is not a journal: layout, numbers, documents that are not ours, damage."""
        ...


class Store(
    Journal,
    Views,
    Feed,
    IdempotencyKeys,
    Locks,
    Playbooks,
    Output,
    Registry,
    DeadLetters,
    Notifications,
    Tokens,
    Runners,
    Releases,
    Artifacts,
    Pipelines,
    AppRows,
    SecretRows,
    HostRows,
    CredentialRows,
    Maintenance,
    Protocol,
):
    """All of it on one server. Thread-safe. Not fork-safe: open it in the process that uses it."""

    def ping(self) -> None:
        """Raises StoreUnavailable where it does not answer."""
        ...

    def close(self) -> None:
        """Twice is the same as once."""
        ...
