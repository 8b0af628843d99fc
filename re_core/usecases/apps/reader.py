"""Apps as their journals say, for the center and for front doors. Must not know who asks."""

from __future__ import annotations

from re_core import ports
from re_core.apps.checkpoint import from_document
from re_core.apps.names import KIND, app_key
from re_core.apps.state import State, begin, fold
from re_core.usecases.journal_reader import JournalReader, Reading
from re_core.wire.messages import JOURNAL_GREW


class AppReader:
    """Thread-safe. The states that it gives are shared: who gets one must not change it. Raises StoreUnavailable, StoreRefused."""

    def __init__(self, bus: ports.Bus, store: ports.Journal) -> None:
        #: by key, for those that follow an app
        self.journals = JournalReader(bus, store, Reading(KIND, begin, fold, from_document, (JOURNAL_GREW,)))

    def state(self, id: str) -> State:
        """The app as it was read last while it is followed, else as its journal has it; that of `begin` where there is none."""
        return self.journals.known(app_key(id))

    def fresh(self, id: str) -> State:
        """The app as its journal has it now."""
        return self.journals.state(app_key(id))

    def wait(self, id: str, entry: int, timeout: float) -> State | None:
        """The app as soon as it has an entry with a number above `entry`; None after `timeout` seconds, or closed."""
        return self.journals.wait(app_key(id), entry, timeout)

    def close(self) -> None:
        """All that wait return."""
        self.journals.close()
