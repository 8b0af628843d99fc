"""The journal's entries, and the stored form of their records. Pure; must not know what a record leads to.

The records themselves are in re_core/deployment/record_types.py, and are had from here. Which format a kind or a field came with
stands in `SINCE`.

An entry is one document: all records of one advance of one deployment, so that no history can get a hole
(docs/decisions/0001). Its id, `<deployment>:<ordinal>`, decides between two writers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from re_core.deployment.host_rows import OF_HOSTS
from re_core.deployment.numbering import ordinal
from re_core.deployment.record_types import (
    KINDS as KINDS,
)
from re_core.deployment.record_types import (
    Accepted as Accepted,
)
from re_core.deployment.record_types import (
    Adopted as Adopted,
)
from re_core.deployment.record_types import (
    BlockClosed as BlockClosed,
)
from re_core.deployment.record_types import (
    BlockDraining as BlockDraining,
)
from re_core.deployment.record_types import (
    CancelRequested as CancelRequested,
)
from re_core.deployment.record_types import (
    Completed as Completed,
)
from re_core.deployment.record_types import (
    Dispatched as Dispatched,
)
from re_core.deployment.record_types import (
    Ended as Ended,
)
from re_core.deployment.record_types import (
    Failed as Failed,
)
from re_core.deployment.record_types import (
    Fenced as Fenced,
)
from re_core.deployment.record_types import (
    Halted as Halted,
)
from re_core.deployment.record_types import (
    Handed as Handed,
)
from re_core.deployment.record_types import (
    Late as Late,
)
from re_core.deployment.record_types import (
    Lost as Lost,
)
from re_core.deployment.record_types import (
    Moved as Moved,
)
from re_core.deployment.record_types import (
    Orphaned as Orphaned,
)
from re_core.deployment.record_types import (
    Record as Record,
)
from re_core.deployment.record_types import (
    ResolutionRequested as ResolutionRequested,
)
from re_core.deployment.record_types import (
    Resolved as Resolved,
)
from re_core.deployment.record_types import (
    Retried as Retried,
)
from re_core.deployment.record_types import (
    Settled as Settled,
)
from re_core.deployment.record_types import (
    Skipped as Skipped,
)
from re_core.deployment.record_types import (
    Started as Started,
)
from re_core.deployment.record_types import (
    StopRequested as StopRequested,
)
from re_core.deployment.record_types import (
    TakenBack as TakenBack,
)
from re_core.deployment.record_types import (
    TimedOut as TimedOut,
)
from re_core.deployment.record_types import (
    Void as Void,
)
from re_core.deployment.record_types import (
    Withdrawn as Withdrawn,
)
from re_core.errors import NewerFormat, StoreRefused

#: newest format of an entry that this engine reads; a core refuses newer ones, so that a rolling upgrade is safe
FORMAT = 7

#: bytes of JSON of one step's data that the journal keeps; the rest is cut, marked
MAX_DATA = 256 * 1024


#: record type -> field -> format that it came with, under "" that of the kind itself; what is not named came with format 1
SINCE: Mapping[type[Any], Mapping[str, int]] = {
    Accepted: {"exclusive": 2},
    Dispatched: {"since": 4},
    Started: {"begun": 4, "deployment": 4, "recorded": 7},
    Moved: {"": 6, "message": 7},
    Orphaned: {"": 7},
    Completed: {"begun": 4, "deployment": 4},
    Failed: {"status": 4, "begun": 4, "deployment": 4},
    StopRequested: {"": 3},
    TimedOut: {"data": 3, "cut": 3, "said": 3},
    Lost: {"begun": 4},
    Fenced: {"begun": 4},
    Handed: {"": 2},
    ResolutionRequested: {"": 2, "deployment": 4},
    Settled: {"": 6},
    Resolved: {"": 2, "status": 4, "message": 4, "deployment": 4},
    Retried: {"": 2, "again": 4, "deployment": 4},
    Withdrawn: {"status": 4},
    Halted: {"deployment": 4},
    BlockDraining: {"": 5},
    BlockClosed: {"": 5},
    CancelRequested: {"deployment": 4},
    Adopted: {"": 3},
    TakenBack: {"": 3, "deployment": 4},
    Void: {"": 2},
}
#: since which format a record says what follows from it
_FOLLOWS = 4
#: since which format the plan is a tree of nodes, and a block drains where the playbook was halted
_NODES = 5
#: since which format a plan keeps what the inventory says of its hosts
_HOSTS = 7
#: the records that do: what follows from an older one was a rule of its time (re_core/deployment/upcasts.py)
_SAY_WHAT_FOLLOWS = frozenset(kind for kind, fields in SINCE.items() if _FOLLOWS in fields.values())
#: the records that may need a format after that
_SAY_LATER = frozenset({Accepted, *(kind for kind, fields in SINCE.items() if max(fields.values()) > _FOLLOWS)})
#: ranges of step numbers: record type -> field
_RANGES = {Skipped: "ranges", Retried: "again"}
_NAMES = {kind: name for name, kind in KINDS.items()}
#: type of record -> what each field is by default; what has no default equals no value
_USUAL = {kind: tuple(kind._field_defaults.get(name, object()) for name in kind._fields) for kind in _NAMES}


#: the kind of aggregate whose entries do not name it
DEPLOYMENT = "deployment"


class Entry(NamedTuple):
    """One document of the journal."""

    deployment: str
    #: from 1, no gaps
    number: int
    at: int
    #: which core wrote it, and in which turn: distinguishes its own insert from another core's
    writer: str
    records: tuple[Record, ...]
    #: of the aggregate whose journal it is in
    kind: str = DEPLOYMENT
    #: format by which its records are to be understood: that of now, or the older one of an entry that says less
    format: int = FORMAT

    @property
    def id(self) -> str:
        return entry_id(self.deployment, self.number)


def entry_id(deployment: str, number: int) -> str:
    """The unique key of an entry."""
    return f"{deployment}:{ordinal(number)}"


def never_began(entries: Sequence[Entry]) -> bool:
    """Whether these are all there will ever be of an id under which nothing began."""
    return bool(entries) and entries[0].number == 1 and isinstance(entries[0].records[0], Void)


def was_taken_back(entries: Sequence[Entry]) -> bool:
    """Whether it was written after its caller had stopped waiting, and nothing of it began."""
    return any(isinstance(record, TakenBack) for entry in entries for record in entry.records)


def kind_of(record: Record) -> str:
    """The stored name of the record's type."""
    return _NAMES[type(record)]


def record_to_document(record: Record) -> dict[str, Any]:
    """The stored form: `kind` and the fields that differ from their default."""
    fields = zip(record._fields, record, _USUAL[type(record)], strict=True)
    return {"kind": _NAMES[type(record)], **{name: value for name, value, usual in fields if value != usual}}


def record_from_document(document: Mapping[str, Any]) -> Record:
    """The record. Raises NewerFormat for a kind or a field that this version does not know, StoreRefused for a damaged one."""
    try:
        fields = dict(document)
        name = fields.pop("kind")
        kind = KINDS.get(name)
    except (KeyError, TypeError, ValueError):
        raise StoreRefused(f"the journal has a record without a kind: {str(document)[:200]}") from None
    if kind is None and isinstance(name, str):
        raise NewerFormat(f"the journal has a record of unknown kind {name[:40]!r}; upgrade this engine")
    if kind is None:
        raise StoreRefused(f"the journal has a record without a kind: {str(document)[:200]}")
    if unknown := sorted(set(fields).difference(kind._fields)):
        raise NewerFormat(f"the journal has a record {name!r} with an unknown {unknown[0][:40]!r}; upgrade this engine")
    try:
        ranges = _RANGES.get(kind, "")
        if ranges in fields:
            fields[ranges] = tuple((first, last) for first, last in fields[ranges])
        record: Record = kind(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreRefused(f"the journal has a record that this version cannot read: {error}") from None
    return record


def entry_to_document(entry: Entry) -> dict[str, Any]:
    """The stored form, without its id."""
    return {
        "v": _format_of(entry),
        "at": entry.at,
        "writer": entry.writer,
        "records": [record_to_document(record) for record in entry.records],
    }


def _format_of(entry: Entry) -> int:
    """The oldest format that says all of it, so that older cores can go on where they understand what stands there."""
    if entry.format < FORMAT:
        return entry.format
    if all(map(_is_said_alike, entry.records)):
        return max(map(_format_of_record, entry.records), default=1)
    later = [record for record in entry.records if type(record) in _SAY_LATER]
    return max([_FOLLOWS, *map(_format_of_record, later)])


def _format_of_record(record: Record) -> int:
    """Of what it says beside what follows."""
    if isinstance(record, Accepted) and any(name in record.plan for name in OF_HOSTS):
        return _HOSTS
    if isinstance(record, Accepted) and record.plan.get("v") not in (None, 1):
        return _NODES
    if isinstance(record, Accepted) and record.plan.get("on_lost", "fail") != "fail":
        return 2
    since = SINCE.get(type(record), {})
    used = (name for name in since if not name or getattr(record, name) != record._field_defaults[name])
    return max((since[name] for name in used), default=1)


def _is_said_alike(record: Record) -> bool:
    """Whether it means the same in every format that has it: also a step's first dispatch, which has one consequence only."""
    if type(record) not in _SAY_WHAT_FOLLOWS:
        return True
    return isinstance(record, Dispatched) and record.attempt == 1 and not record.since


def _is_alike_since(version: int) -> Callable[[Record], bool]:
    """Whether a record of that format means the same today."""
    return _is_said_alike if version < _FOLLOWS else lambda record: not isinstance(record, Halted)


def entry_from_document(deployment: str, number: int, document: Mapping[str, Any]) -> Entry:
    """The entry. Raises StoreRefused where a newer engine wrote it, or where it is damaged."""
    version = document.get("v")
    if not isinstance(version, int) or version < 1:
        raise StoreRefused(f"journal entry {entry_id(deployment, number)} is damaged: it has no format")
    if version > FORMAT:
        raise NewerFormat(
            f"journal entry {entry_id(deployment, number)} has format {version!r}, this engine reads {FORMAT}; "
            "upgrade this engine"
        )
    try:
        records = tuple(record_from_document(record) for record in document["records"])
        is_current = version >= _NODES or all(map(_is_alike_since(version), records))
        return Entry(
            deployment, number, document["at"], document["writer"], records, format=FORMAT if is_current else version
        )
    except (KeyError, TypeError):
        raise StoreRefused(f"journal entry {entry_id(deployment, number)} is damaged") from None
