"""The life of a process of its own: it waits for what it needs, works, says whether it is ready, and ends in order.

Must not know what it does in between. TERM, INT and HUP mean "end": nothing new is begun, what is under way gets
RE_STOP_TIMEOUT seconds. A second one ends it at once. The exit code is 0 after a stop signal, CANNOT where
an operator must act (starting it again does not help), BROKEN after a bug of the engine (starting it again does).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType
from typing import NoReturn, Protocol, TypeVar

from re_core import connections
from re_core.backoff import Backoff
from re_core.errors import BadSettings, BusUnavailable, OperatorError, ReleaseEngineError, TransientError
from re_core.ports import Bus, Store
from re_core.runtime import interpreter, logs
from re_core.runtime.prctl import conceal
from re_core.runtime.settings import Settings, load
from re_core.runtime.supervision import SupervisorNotifier

#: exit codes
DONE, BROKEN, CANNOT = 0, 1, 2

#: seconds between two tries of what it waits for at its start: the first pause, and the longest
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0

#: seconds between two looks at what it needs, and at whether it still works
LOOK = 1.0

#: seconds that one try to reach the bus takes
CONNECT = 10.0

#: what ends it
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Service(Protocol):
    """What a process runs."""

    def ready(self) -> Mapping[str, str]:
        """Name of what it needs -> empty where that can be reached, else why not. May take a while."""
        ...

    def alive(self) -> bool:
        """Whether all of it still works, at once."""
        ...

    def stop(self, seconds: float) -> None:
        """Begin nothing more, finish in that time what can be, requeue the rest."""
        ...


class Patience:
    """Tries until what is away comes back. Says once, in the log, what is waited for."""

    def __init__(self, name: str, what: str, on_wait: Callable[[TransientError], None]) -> None:
        """`name` is the program's, `what` it waits for; `on_wait` is called with the reason before every pause."""
        self._name, self._what, self._on_wait = name, what, on_wait

    def until(self, attempt: Callable[[], _T]) -> _T:
        """What `attempt` returns, once it raises no TransientError."""
        backoff, said = Backoff(FIRST_PAUSE, LONGEST_PAUSE), ""
        while True:
            try:
                return attempt()
            except TransientError as error:
                if error.reason != said:
                    said = error.reason
                    self._log_change(error)
                self._on_wait(error)
                time.sleep(backoff.next())

    def _log_change(self, error: TransientError) -> None:
        text = "%s waits for %s: %s; it continues as soon as that is available"
        _log.warning(text, self._name, self._what, error, extra={"action": "wait"})


class Process:
    """One process. To be used by its main thread, but for `fatal`."""

    def __init__(self, name: str, settings: Settings, notifier: SupervisorNotifier) -> None:
        """`name` is the program's."""
        self._name, self._notifier, self._grace = name, notifier, settings.stop_timeout
        self._ending = False
        self._begun = False
        self._refused = False
        self._bell = os.pipe()
        os.set_blocking(self._bell[1], False)

    def run(self, begin: Callable[[], Service]) -> int:
        """Wait until `begin` raises no TransientError, then work until a stop signal; the exit code."""
        for number in ENDS:
            # a process that was started under nohup shall outlive the terminal
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_end)
        part = Patience(self._name, "bus and store", lambda error: self._notifier.waits(str(error))).until(begin)
        self._begun = True
        interpreter.settle()
        stopped = threading.Event()
        looks = threading.Thread(target=self._look, args=(part, stopped), name="readiness", daemon=True)
        looks.start()
        self._work(part)
        self._log_change("is stopping", "stop")
        stopped.set()
        looks.join(LOOK)  # it may wait for a server that does not answer
        self._notifier.stops()
        part.stop(self._grace)
        self._log_change("has stopped", "stopped")
        return CANNOT if self._refused else DONE

    def fatal(self, error: Exception) -> None:
        """A part cannot go on; from any thread. A bug of the engine ends the process as a crash would."""
        if not isinstance(error, OperatorError):
            leave(BROKEN)
        self._refused = self._ending = True
        self._ring()

    def _work(self, part: Service) -> None:
        """Returns after a stop signal."""
        beat = LOOK if self._notifier.watchdog is None else min(LOOK, self._notifier.watchdog / 3)
        while not self._ending:
            if not part.alive() and not self._ending:  # where it died of a refusal, that was logged before
                _log.critical("a thread of %s has died", self._name, extra={"action": "bug"})
                leave(BROKEN)
            self._notifier.lives()
            select.select([self._bell[0]], [], [], beat)

    def _look(self, part: Service, stopped: threading.Event) -> None:
        """On its own thread, because a server that is away may let it wait."""
        before: str | None = None
        while not stopped.is_set():
            trouble = "; ".join(f"{name}: {why}" for name, why in part.ready().items() if why)
            if stopped.is_set():
                return
            if trouble:
                self._notifier.waits(trouble)
            else:
                self._notifier.ready()
            if trouble != before:
                before = trouble
                if trouble:
                    _log.warning("%s is not ready: %s", self._name, trouble, extra={"action": "not_ready"})
                else:
                    self._log_change("is ready", "ready")
            stopped.wait(LOOK)

    def _log_change(self, what: str, action: str) -> None:
        _log.info("%s %s", self._name, what, extra={"action": action})

    def _on_end(self, number: int, frame: FrameType | None) -> None:
        """In the main thread, between any two of its instructions: takes no lock and logs nothing."""
        if not self._begun:
            os._exit(DONE)  # nothing is under way
        if self._ending:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            os._exit(128 + number)  # the first process of a container does not die of a signal that it does not handle
        self._ending = True
        self._ring()

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # it rings already
            os.write(self._bell[1], b"\0")


def launch(name: str, component: str, act: Callable[[Settings], int], environ: Mapping[str, str]) -> int:
    """Read the settings, set up the log as `component`, and act; the exit code. What is wrong is said in one line."""
    conceal()  # the settings are in its environment
    interpreter.load()
    try:
        settings = load(environ)
        files, redact = settings.deployment_log_dir, settings.redact
        older = settings.prune_older
        logs.setup(component, settings.log_format, settings.log_level, sys.stderr, files, redact, older)
        settings.warn_of_old_names()
        return act(settings)
    except BadSettings as error:
        # the form of the log is a setting too, so these are printed as any program prints them
        print(f"{name}: {error}", file=sys.stderr)
        return CANNOT
    except OperatorError as error:
        _log.critical("%s cannot run: %s", name, error, extra={"action": "cannot_go_on"})
        return CANNOT
    except Exception as error:
        _log.critical("this is a bug: %r", error, exc_info=error, extra={"action": "bug"})
        return BROKEN


def check_shared(settings: Settings, store: bool = True) -> None:
    """Whether processes of their own can meet on this bus and, if they use it, this store. Raises BadSettings."""
    if settings.bus_url == "embedded:":
        raise BadSettings(
            "RE_BUS_URL is embedded:, a bus inside one process, to which other processes cannot connect: set RE_BUS_URL to "
            "amqp://user:password@host:5672/vhost for all processes, or run everything in one with `rectl up`"
        )
    if store and "store_url" not in settings.origins:
        raise BadSettings(
            "RE_STORE_URL is not set, and every process would use its own file: set it to mongodb://…/re for all "
            "processes (or, where all of them run on this machine, to sqlite:///<path>)"
        )


def check_alone(settings: Settings) -> None:
    """Whether one process may have this bus and this store for itself, as it believes at its start. Raises BadSettings."""
    others = "start re-rest, re-core and re-worker, any number of each, instead of `rectl up`"
    if settings.bus_url != "embedded:":
        raise BadSettings(f"RE_BUS_URL: `rectl up` is one process with the bus embedded: in it; on RabbitMQ {others}")
    if not settings.store_url.startswith("sqlite:"):
        raise BadSettings(
            f"RE_STORE_URL: `rectl up` is one process with one file, sqlite:///<path>; on MongoDB (and RabbitMQ) {others}"
        )


def reach(settings: Settings, store: Store | None) -> Bus:
    """A bus that answers. Raises BadSettings and other OperatorErrors, BusUnavailable."""
    bus = connections.open_bus(settings, store)
    try:
        end = time.monotonic() + CONNECT
        while True:
            try:
                bus.ping()
                return bus
            except BusUnavailable:
                if time.monotonic() > end:
                    raise
                time.sleep(FIRST_PAUSE)
    except BaseException:
        bus.close()
        raise


def pinged(ping: Callable[[], None]) -> str:
    """Why it cannot be reached; empty where it can."""
    try:
        ping()
    except ReleaseEngineError as error:
        return str(error)
    return ""


def leave(code: int) -> NoReturn:
    """End this process now, whatever its threads do: some may wait for an answer that never comes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
