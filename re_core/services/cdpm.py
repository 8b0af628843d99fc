"""What a core does for its pipelines beside the sequencer: links to dependencies, facts on deployments, the nodes' own files.

Must not know which adapters there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from re_core.ports import Bus, Clock, LinkFigures, Store
from re_core.ports.peering import Peering
from re_core.services.cdpm_files import OwnFiles
from re_core.services.cdpm_holders import Holders
from re_core.services.cdpm_links import Links
from re_core.services.cdpm_talk import Surroundings, Timing
from re_core.services.cdpm_watch import Watcher
from re_core.services.polling import PollingThread
from re_core.usecases.cdpm.peers import Peers
from re_core.usecases.cdpm.reader import PipelineReader
from re_core.usecases.cdpm.refusals import Refusals

#: seconds between two looks at which links there shall be and which files are due, and that the watcher waits for a hint
LOOK = 1.0


class PipelineServices:
    """Three threads, and one for each link."""

    def __init__(
        self,
        peering: Peering,
        bus: Bus,
        store: Store,
        clock: Clock,
        core: str,
        alone: bool,
        window: int,
        refused: Callable[[str], None],
        on_fatal: Callable[[Exception], None],
    ) -> None:
        """`core`: id of this start of the core; `alone`: there is no other. `window`: milliseconds, see Peers. `refused` is called with
        the code of each message that is refused. Starts nothing."""
        peers = Peers(peering, store, clock, window)
        self._reader = PipelineReader(bus, store)
        self._holders = holders = Holders(store, core, alone)
        around = Surroundings(bus, peering, peers, self._reader, Refusals(refused), Timing())
        self._links = Links(around, store, holders, clock)
        self._watcher = Watcher(bus, store, self._reader, holders)
        self._files = OwnFiles(bus, store, peers, self._reader, holders)
        self._linking = PollingThread("cdpm-links", self._link, on_fatal)
        self._watching = PollingThread("cdpm-watch", lambda: self._watcher.turn(LOOK), on_fatal)
        self._reading = PollingThread("cdpm-files", self._read, on_fatal)

    @property
    def threads(self) -> tuple[PollingThread, ...]:
        """To be started, asked whether they are alive, and stopped."""
        return self._linking, self._watching, self._reading

    @property
    def troubles(self) -> Mapping[str, str]:
        """Pipeline -> why it is not ready, of those that this core looks after."""
        return self._files.troubles

    def figures(self) -> LinkFigures:
        """For metrics."""
        return self._links.figures()

    def request_stop(self) -> None:
        """Let what waits go on, so that the threads end."""
        self._watcher.wake()

    def close(self) -> None:
        """After the threads have ended: the links end, and other cores take them over."""
        self._watcher.close()
        self._links.close()
        self._reader.close()

    def _link(self) -> Any:
        count = self._links.turn()
        self._linking.pause(LOOK)
        return count

    def _read(self) -> Any:
        count = self._files.turn()
        self._reading.pause(LOOK)
        return count
