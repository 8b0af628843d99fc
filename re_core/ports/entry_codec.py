"""Entries of all kinds of aggregates as documents, and back (docs/decisions/0021). Must not know any store.

An entry of a deployment is spelled as it always was. One of another kind names its kind, and has a format that engines which
know of no kinds refuse; an engine that does not know this kind refuses it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.deployment.records import (
    DEPLOYMENT,
    Entry,
    Void,
    entry_from_document,
    entry_id,
    entry_to_document,
)
from re_core.errors import NewerFormat, StoreRefused

#: the format of entries that name their kind
KINDS_FORMAT = 4

#: what the entries of every kind may have
_COMMON: Mapping[str, type[Any]] = {"void": Void}


class EntryCodec:
    """Immutable; any thread."""

    def __init__(self, *kinds: type[Any]) -> None:
        """`kinds` beside deployments: each has `kind`, its name, and `records`, stored name -> type of record (a NamedTuple)."""
        self._types = {one.kind: {**_COMMON, **one.records} for one in kinds}
        self._names = {kind: {type: name for name, type in types.items()} for kind, types in self._types.items()}

    def to_document(self, entry: Entry) -> dict[str, Any]:
        """The stored form, without its id. Raises StoreRefused for an entry of a kind that is not registered."""
        if entry.kind == DEPLOYMENT:
            return entry_to_document(entry)
        names = self._names.get(entry.kind)
        if names is None:
            raise StoreRefused(f"the entry {entry.id} cannot be stored: its kind {entry.kind!r} is not registered")
        records = [{"kind": names[type(record)], **_fields(record)} for record in entry.records]
        return {"v": KINDS_FORMAT, "kind": entry.kind, "at": entry.at, "writer": entry.writer, "records": records}

    def from_document(self, key: str, number: int, document: Mapping[str, Any]) -> Entry:
        """The entry. Raises NewerFormat for a kind, a format, a record or a field that this engine does not know,
        StoreRefused for a damaged one."""
        kind = document.get("kind", DEPLOYMENT)
        if kind == DEPLOYMENT:
            return entry_from_document(key, number, document)
        where = f"journal entry {entry_id(key, number)}"
        if not isinstance(kind, str):
            raise StoreRefused(f"{where} is damaged: its kind is not a string")
        types = self._types.get(kind)
        if types is None:
            raise NewerFormat(
                f"{where} is of the kind {kind!r:.60}, which this engine does not know; upgrade this engine"
            )
        try:
            if document["v"] > KINDS_FORMAT:
                raise NewerFormat(f"{where} has format {document['v']!r}, this engine reads {KINDS_FORMAT}; upgrade it")
            records: tuple[Any, ...] = tuple(_record(types, one, where) for one in document["records"])
            return Entry(key, number, document["at"], document["writer"], records, kind)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise StoreRefused(f"{where} is damaged") from None


#: what a process reads that registers no kinds
DEPLOYMENTS_ONLY = EntryCodec()


class OtherKind(NewerFormat):
    """The journal is of another kind than its reader; this engine knows that kind."""


def foreign(entry: Entry) -> OtherKind:
    """For a reader of the journal of another kind than it takes it for."""
    return OtherKind(f"the journal of {entry.deployment} is that of a {entry.kind}; this command cannot read it")


def _fields(record: Any) -> dict[str, Any]:
    """Those that differ from their default."""
    defaults = record._field_defaults
    pairs = zip(record._fields, record, strict=True)
    return {name: value for name, value in pairs if name not in defaults or value != defaults[name]}


def _record(types: Mapping[str, type[Any]], document: Mapping[str, Any], where: str) -> Any:
    fields = dict(document)
    name = fields.pop("kind")
    kind = types.get(name)
    if kind is None:
        raise NewerFormat(f"{where} has a record of unknown kind {name!r:.60}; upgrade this engine")
    known: tuple[str, ...] = kind._fields
    if unknown := sorted(set(fields).difference(known)):
        raise NewerFormat(f"{where} has a record {name!r} with an unknown {unknown[0][:40]!r}; upgrade this engine")
    return kind(**fields)
