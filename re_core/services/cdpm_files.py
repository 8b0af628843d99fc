"""The own cdpm.yml of the nodes that this core looks after: read when it starts, and again from time to time.

Must not know what follows from a file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from re_core import ports
from re_core.cdpm.ids import pipeline_key
from re_core.errors import BusUnavailable, CallerError, NoAnswer, OperatorError, StoreUnavailable, TransientError
from re_core.ports import Bus
from re_core.rows import PipelineRow
from re_core.services.cdpm_holders import Holders
from re_core.usecases.cdpm.own_file import read_own_file
from re_core.usecases.cdpm.peers import Peers
from re_core.usecases.cdpm.reader import PipelineReader

#: seconds between two reads of one file: that of peers is believed for as long (key_book.FRESH)
AGAIN = 600.0

#: seconds after which a file is read again that could not be, or that had no key of the node's
RETRY = 60.0

#: seconds that the core gets to answer
TIMEOUT = 10.0

_log = logging.getLogger(__name__)


class _Store(ports.Pipelines, Protocol):
    """The part of a store that is needed."""


class OwnFiles:
    """One thread, but for `troubles`."""

    def __init__(
        self,
        bus: Bus,
        store: _Store,
        peers: Peers,
        reader: PipelineReader,
        holders: Holders,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus, self._store, self._peers, self._reader = bus, store, peers, reader
        self._holders, self._time = holders, monotonic
        #: pipeline -> when its file is read next
        self._next: dict[str, float] = {}
        #: pipeline -> why it is not ready; replaced as a whole
        self.troubles: dict[str, str] = {}

    def turn(self) -> int:
        """Read those whose time it is. Returns how many. Raises StoreUnavailable, BusUnavailable, NoAnswer."""
        mine = {row.id: row for row in self._store.pipelines() if self._is_mine(pipeline_key(row.id))}
        self._next = {id: at for id, at in self._next.items() if id in mine}
        self.troubles = {id: why for id, why in self.troubles.items() if id in mine}
        due = [row for id, row in mine.items() if self._time() >= self._next.get(id, float("-inf"))]
        for row in due:
            why = self._read(row)
            self._say(row, why)
            self._next[row.id] = self._time() + (RETRY if why else AGAIN)
        return len(due)

    def _is_mine(self, key: str) -> bool:
        if not self._holders.holds(key):
            return False
        state = self._reader.known(key)
        return state.ended is None and state.registered > 0

    def _read(self, row: PipelineRow) -> str:
        """Why the node is not ready; empty where it is."""
        try:
            read_own_file(self._bus, self._peers, row.id, row.source, TIMEOUT)
        except (BusUnavailable, StoreUnavailable, NoAnswer):
            raise  # of no node
        except (CallerError, TransientError, OperatorError) as error:
            return str(error)
        return ""

    def _say(self, row: PipelineRow, why: str) -> None:
        if why and why != self.troubles.get(row.id):
            _log.warning("%s/%s is not ready: %s", row.group, row.name, why, extra={"action": "cdpm_not_ready"})
        elif not why and row.id in self.troubles:
            _log.info("%s/%s is ready", row.group, row.name, extra={"action": "cdpm_ready"})
        others = {id: text for id, text in self.troubles.items() if id != row.id}
        self.troubles = {**others, row.id: why} if why else others
