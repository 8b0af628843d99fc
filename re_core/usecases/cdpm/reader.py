"""Pipelines as their journals say, for those who serve peers, and the documents of their releases. Must not know peers."""

from __future__ import annotations

import threading

from re_core import ports
from re_core.cdpm.checkpoint import from_document
from re_core.cdpm.ids import KIND
from re_core.cdpm.records import Released
from re_core.cdpm.state import State, begin, fold
from re_core.cdpm.values import ReleaseRef
from re_core.errors import NotFound
from re_core.usecases.journal_reader import MOST_IDLE, JournalReader, Reading
from re_core.wire import strict_json

__all__ = ["MOST_IDLE", "PipelineReader"]

#: documents of releases that are remembered
MOST_DOCUMENTS = 64


class PipelineReader(JournalReader[State]):
    """See JournalReader."""

    def __init__(self, bus: ports.Bus, store: ports.Journal) -> None:
        super().__init__(bus, store, Reading(KIND, begin, fold, from_document))
        self._reading_documents = threading.Lock()
        self._documents: dict[tuple[str, ReleaseRef], bytes] = {}

    def document(self, key: str, ref: ReleaseRef) -> bytes:
        """The message of that release. Raises NotFound, StoreUnavailable, StoreRefused."""
        name = key, ref
        if (found := self._documents.get(name)) is not None:
            return found
        for entry in self._store.entries(key, ref.entry - 1, 1):
            for record in entry.records:
                if isinstance(record, Released) and record.n == ref.n:
                    document = strict_json.dumps(record.document).encode()
                    with self._reading_documents:
                        while len(self._documents) >= MOST_DOCUMENTS:
                            self._documents.pop(next(iter(self._documents)))
                        self._documents[name] = document
                    return document
        raise NotFound(f"release {ref.n} is not in entry {ref.entry} of {key}")
