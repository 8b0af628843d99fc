"""A gateway of forest runners, whole: built and run by a process of its own or by `rectl up`. Must not know settings.

To the engine it is a worker (worker.py), to runners it is RunnerService (service.py). What it knows of releases is in the store, so
that any gateway goes on with what another one has begun.
"""

from __future__ import annotations

import threading
import time as system_time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Protocol

from ulid import ULID

from re_core import ports
from re_core.errors import BadSettings, ReleaseEngineError
from re_core.ports import UNOBSERVED, Bus, Clock, Observer
from re_core.usecases.artifacts import record_use
from re_core.wire.proof import SigningKey
from re_core.wire.redaction import Redaction
from re_gateways.forest.admission import Admission
from re_gateways.forest.calls import Calls
from re_gateways.forest.direct_lines import DirectLines
from re_gateways.forest.enrolment import Enrolment
from re_gateways.forest.execution import ReleaseExecution
from re_gateways.forest.logs import Logs
from re_gateways.forest.options import Options
from re_gateways.forest.ownership import LOOK, UNSEEN, Ownership
from re_gateways.forest.peers import Peers
from re_gateways.forest.progress import ReleasesInProgress
from re_gateways.forest.release_contents import ReleaseContents
from re_gateways.forest.release_rows import ReleaseRows
from re_gateways.forest.server import PULSE, Server
from re_gateways.forest.service import Service, ask
from re_gateways.forest.sessions import Sessions
from re_gateways.forest.strangers import Strangers
from re_gateways.forest.streams import Ask, Streams, end
from re_gateways.forest.worker import Forest
from re_workers.host import WorkerHost

#: threads on which calls of runners wait for the store
THREADS = 16

#: seconds between two sendings of lines that no running step prints
FLUSH = 0.25

#: calls of all connections at once, per session
CALLS = 5

#: seconds of a stop that are kept for completions that are being stored, and for the server
LAST = 4.0


class Store(ports.Runners, ports.Releases, ports.Journal, ports.Views, ports.Artifacts, Protocol):
    """What a gateway needs of a store."""


class Pace(NamedTuple):
    """The clock of a gateway, and how often its threads look at it. Tests have another one."""

    #: seconds of a steady clock
    time: Callable[[], float] = system_time.monotonic
    #: seconds of real time between two looks at a release, at the rows, and at the event loop
    tick: float = 0.5
    look: float = LOOK
    pulse: float = PULSE


class Gateway:
    """One. `start` and `stop` are called once each."""

    def __init__(
        self,
        options: Options,
        bus: Bus,
        store: Store,
        clock: Clock,
        redaction: Redaction | None = None,
        observer: Observer = UNOBSERVED,
        alone: bool = False,
        pace: Pace = Pace(),  # noqa: B008  # it is immutable
        credential: SigningKey | None = None,
    ) -> None:
        """`alone`: no other gateway uses this store, so that what earlier ones left is this one's at once. Raises BadSettings.

        `credential`: by what it shows the core who it is.
        """
        self.id = str(ULID())
        self._store, self._time, redaction = store, pace.time, redaction or Redaction()
        self._port = 0
        self._sessions = Sessions(pace.time, self._changed)
        self._in_progress = ReleasesInProgress()
        enrolment = Enrolment(store, clock, self._sessions, self.id, pace.time)
        rows = ReleaseRows(store, clock, self.id, enrolment.is_revoked)
        contents = ReleaseContents(store)

        execution = self._made_execution(rows, contents, redaction, clock, pace)
        self._ownership = Ownership(
            store, rows, self._sessions, self._in_progress, enrolment, pace.time, alone, pace.look
        )
        self._worker = Forest(execution, self._sessions, self._ownership.settled, self._ownership.refused)
        self._host: WorkerHost | None = None
        self._make_host = partial(
            WorkerHost,
            bus,
            clock,
            [self._worker],
            redaction=redaction,
            identity=self.id,
            observer=observer,
            credential=credential,
        )
        self._pool = ThreadPoolExecutor(THREADS, "forest.store")
        self._server = Server(options.listen, options.most_sessions * CALLS + 100, pace.time, pace.pulse)
        self._direct = DirectLines(bus, self.id, redaction)
        calls = Calls(
            rows,
            self._sessions,
            self._in_progress,
            contents,
            redaction,
            self._direct.add,
            self._ownership.late,
            clock.now,
            pace.time,
        )
        asking = partial(ask, pool=self._pool)
        self._strangers = Strangers(self._sessions.knows)
        self._streams = self._made_streams(options, Admission(store, options.unknown, pace.time), asking, calls)
        most = 2 * options.most_sessions
        logs = Logs(calls, self._in_progress, self._sessions, self._direct, most, self._strangers, asking, pace.time)
        self._service = Service(calls, self._streams, logs, self._strangers, asking, self._heard)
        self._stopping = threading.Event()
        self._flushing = threading.Thread(target=self._flush, name="forest.lines", daemon=True)

    def _made_execution(
        self, rows: ReleaseRows, contents: ReleaseContents, redaction: Redaction, clock: Clock, pace: Pace
    ) -> ReleaseExecution:
        def note_use(group: str, name: str, deployment: str) -> object:
            return record_use(self._store, group, name, deployment, clock.now())

        known = rows, self._sessions, self._in_progress, contents
        return ReleaseExecution(*known, note_use, redaction.text, pace.time, self._calm, pace.tick)

    def _made_streams(self, options: Options, admission: Admission, asking: Ask, calls: Calls) -> Streams:
        return Streams(
            self._sessions,
            admission,
            _peers(options),
            self._strangers,
            options.most_sessions,
            asking,
            calls.acknowledge,
            self._ownership.entered,
            self._ownership.left,
            self._time,
        )

    def bind(self) -> int:
        """Listen, and serve runners; the port. Raises BadSettings where it cannot, BusUnavailable.

        Its queue exists from then on: a core that starts behind it finds where to send the steps that wait for a runner.
        """
        if not self._port:
            self._port = self._server.start(self._service.handlers())
        if self._host is None:
            self._host = self._make_host()
        return self._port

    def spared(self) -> list[str]:
        """Attempts that are not lost although their process has ended: this gateway goes on with them. Raises StoreUnavailable."""
        return self._ownership.spared()

    def start(self) -> None:
        """Take steps, and go on with those of gateways that are gone. Raises BadSettings, StoreUnavailable, BusUnavailable."""
        self.bind()
        self._ownership.beat()  # it lives, before it has a release
        assert self._host is not None  # noqa: S101  # bind made it
        self._host.start()
        self._ownership.start(self._host)
        self._flushing.start()

    def stop(self, seconds: float) -> None:
        """Take no more; leave what runs to other gateways, or to this one after its restart. Also where it did not start."""
        self._streams.stopping = True
        if self._host is not None:
            self._host.stop(max(1.0, seconds - LAST))
        self._stopping.set()
        if self._flushing.is_alive():
            self._flushing.join()
        for session in self._sessions.all():
            end(session, "the gateway is stopping")
        if self._port:
            self._server.stop(lambda: self._service.settle(LAST / 2))
        self._ownership.stop()
        self._direct.flush()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def running(self) -> list[str]:
        """The attempts that it works at."""
        return [] if self._host is None else self._host.running()

    def ready(self) -> Mapping[str, str]:
        """What it needs -> why that is not there; empty where it is."""
        return {"forest": self.trouble()}

    def trouble(self) -> str:
        """Why runners cannot be served now; empty where they can."""
        if not self._port:
            return "it does not listen yet"
        if not self._server.alive:
            return "its event loop has ended"
        try:
            self._store.gateways()
        except ReleaseEngineError as error:
            return str(error)
        return ""

    def alive(self) -> bool:
        """Whether its threads run."""
        return not self._port or self._server.alive

    def _calm(self) -> float:
        """Since when what arrives has been read at once; now, while the gateway cannot show that it lives."""
        now = self._time()
        return now if now - self._ownership.seen > UNSEEN else self._server.calm()

    def _changed(self) -> None:
        """A runner has come, gone or become free."""
        self._worker.changed()
        for progress in self._in_progress.all():
            if progress.row.status == "waiting":
                progress.wake.set()

    def _heard(self, peer: str) -> None:
        session = self._sessions.of_peer(peer)
        if session is not None:
            self._sessions.heard(session)

    def _flush(self) -> None:
        while not self._stopping.wait(FLUSH):
            self._direct.flush()


def _peers(options: Options) -> Peers:
    try:
        return Peers(options.peers)
    except ValueError as error:
        raise BadSettings(f"the networks of runners: {error}") from None
