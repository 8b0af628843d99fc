"""The step `dploy:Build`: what the app's journal says is built, and stored as an artifact of the app's group. Must not know zones.

A step may come again, also while its first run still goes on elsewhere: the app takes one payload, and a version that has its payload is
built no more.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from re_core import ports
from re_core.apps import events as e
from re_core.apps.broadcasts import PLATFORM
from re_core.apps.state import State
from re_core.apps.values import Status, Version
from re_core.artifacts import content as forms
from re_core.artifacts.tar import PIECE
from re_core.cdpm.sources import ARCHIVES, allowed
from re_core.errors import BadSettings, CallerError, TransientError
from re_core.runtime.addresses import rule
from re_core.runtime.settings import Settings
from re_core.usecases.artifact_pushing import Bounds, Wanted, push_archive
from re_core.usecases.authorization import Binding, Principal
from re_dploy.build.building import App, Built, build
from re_dploy.build.failures import BuildFailed, BuildStopped
from re_dploy.build.fetching import Fetcher
from re_dploy.build.python import Python, find
from re_dploy.build.sandbox import Limits, Sandbox
from re_dploy.zone import supervise
from re_workers.outcomes import Cancelled, Failed
from re_workers.steps.confinement import Confinement, apart
from re_workers.steps.orphans import ATTEMPT

#: seconds between two tries of what was away
AGAIN = 0.5

#: seconds between two looks at a lock that another process has, and for which a sweep waits for it
LOOK, SWEEP = 0.05, 5.0

#: seconds in which what a killed builder left running ends
ENDED = 30.0

_UNFIT = re.compile("[^A-Za-z0-9-]")

_T = TypeVar("_T")

_log = logging.getLogger(__name__)


class Said(Protocol):
    """An answer of an app (usecases.apps.asking.Said)."""

    @property
    def accepted(self) -> bool:
        """Whether the event changed it, or was known."""
        ...

    @property
    def reason(self) -> str:
        """Code of a refusal."""
        ...

    @property
    def detail(self) -> str:
        """Text of a refusal."""
        ...


class Step(Protocol):
    """What is needed of a step's context (re_workers.Context)."""

    @property
    def deployment(self) -> str:
        """The deployment's id."""
        ...

    @property
    def attempt_id(self) -> str:
        """The same however often this attempt is delivered."""
        ...

    @property
    def cancelled(self) -> threading.Event:
        """Set when the step shall stop."""
        ...

    def output(self, text: str) -> None:
        """Lines for the deployment's log."""
        ...

    def check(self) -> None:
        """Raises Cancelled."""
        ...

    def wait(self, seconds: float) -> None:
        """Raises Cancelled."""
        ...


class Apps(NamedTuple):
    """How the builder reads and tells apps."""

    #: id -> the app, now
    read: Callable[[str], State]
    #: id, event -> the answer; raises TransientError where there is none
    tell: Callable[[str, e.Built], Said]


class Places(NamedTuple):
    """Where builds run, and as whom."""

    #: directory of the builds of this machine
    directory: Path
    sandbox: Sandbox
    #: None: requirements are not installed here
    python: Python | None
    #: variables by which a later engine finds what builds have left running
    marks: Mapping[str, str] = {}


class Builder:
    """To be shared between threads."""

    def __init__(
        self,
        apps: Apps,
        store: ports.Store,
        clock: ports.Clock,
        fetcher: Fetcher,
        places: Places,
        limits: Limits,
        bounds: Bounds,
        slots: int,
    ) -> None:
        """`bounds`: of artifacts. `slots`: builds at once."""
        self.slots = slots
        self._apps, self._store, self._clock = apps, store, clock
        self._fetcher, self._places = fetcher, places
        self._limits, self._bounds = limits, bounds

    def build(self, ctx: Step, app: str, version: int) -> None:
        """Build the version's archive, store the payload, and tell the app. Raises Failed, Cancelled."""
        state, subject = self._subject(ctx, app, version)
        if subject.payload is not None:
            return
        try:
            with self._work(ctx) as work:
                built = self._built(ctx, state, subject, work)
                name = self._stored(ctx, state, built)
        except BuildStopped:
            raise Cancelled("cancelled") from None
        except BuildFailed as error:
            raise Failed(str(error)) from None
        except OSError as error:
            raise Failed(f"the builder's disk: {error.strerror}") from None
        types = ", ".join(built.processes)
        size, digest = built.packed.size / 1e6, built.packed.digest[:12]
        ctx.output(f"{PLATFORM}Procfile has {types}; payload {size:.1f} MB, sha256 {digest}\n")
        self._tell(ctx, app, subject, name, built)

    def sweep(self) -> None:
        """End what a builder that was killed left running, and remove its directories. Call it before anything is built."""
        try:
            with _locked(self._places.directory, _for(SWEEP)):
                left = list(self._places.directory.iterdir())
                free = [work for work in left if _is_free(work)]
        except TimeoutError:
            text = "%s is not swept: another process has held its lock for %g s; end that process (fuser names it)"
            _log.warning(text, self._places.directory, SWEEP, extra={"action": "not_swept"})
            return
        for work in free:
            with suppress(OSError):
                if (shim := work / "shim").is_dir() and (handle := supervise.find(shim).handle) is not None:
                    _log.warning("a build that was left running is ended: %s", work.name, extra={"action": "orphans"})
                    handle.kill()
                    handle.wait(ENDED)
                    handle.close()
                remove(work)

    def _subject(self, ctx: Step, app: str, number: int) -> tuple[State, Version]:
        state = _again(ctx, lambda: self._apps.read(app))
        version = state.versions.get(number)
        if version is None or version.job != ctx.deployment:
            raise Failed(f"this deployment does not release v{number} of any app; nothing was done")
        if state.destroyed:
            raise Failed(f"{state.name} was destroyed; nothing was built")
        if version.status is Status.FAILED:
            raise Failed(f"v{number} failed: {version.why}")
        if state.destroyed:
            raise Failed(f"{state.name} was destroyed")
        return state, version

    @contextmanager
    def _work(self, ctx: Step) -> Iterator[Path]:
        """A directory of its own, locked as long as this process builds in it."""
        prefix = _UNFIT.sub("-", ctx.deployment)[:40]
        with ExitStack() as held:
            with _locked(
                self._places.directory, _said_once(ctx, self._places.directory)
            ):  # a sweep sees it with its lock, or not at all
                work = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self._places.directory))
                held.enter_context(_locked(work))
            try:
                yield work
            finally:
                remove(work)

    def _built(self, ctx: Step, state: State, version: Version, work: Path) -> Built:
        archive, stop = work / "archive", ctx.cancelled

        def fetch() -> None:
            archive.unlink(missing_ok=True)
            self._fetcher.fetch(version.archive, state.group, archive, stop)

        _again(ctx, fetch)
        app = App(state.name, version.commit, {**self._places.marks, ATTEMPT: ctx.attempt_id})
        sandbox, python = self._places.sandbox, self._places.python
        return build(
            archive, work, app, sandbox, python, self._limits, lambda text: ctx.output(f"       {text}\n"), stop
        )

    def _stored(self, ctx: Step, state: State, built: Built) -> str:
        """Name of the artifact."""
        name = f"dploy-{state.name}-{built.packed.digest[:12]}"
        principal = Principal("dploy", (Binding("member", state.group),))
        wanted = Wanted(state.group, name, forms.ARCHIVE, {})

        def push() -> None:
            push_archive(self._store, self._clock, principal, wanted, _pieces(built.path), self._bounds)

        try:
            _again(ctx, push)
        except CallerError as error:
            raise BuildFailed(f"the payload cannot be stored: {error}") from None
        return name

    def _tell(self, ctx: Step, app: str, version: Version, name: str, built: Built) -> None:
        packed = built.packed
        event = e.Built(
            version.number,
            ctx.deployment,
            name,
            packed.digest,
            packed.size,
            packed.crc,
            packed.length,
            built.processes,
            built.env,
            built.python,
            built.release,
        )
        said = _again(ctx, lambda: self._apps.tell(app, event))
        if not said.accepted:
            raise Failed(said.detail or said.reason)


def open_builder(
    settings: Settings,
    store: ports.Store,
    clock: ports.Clock,
    apps: Apps,
    confinement: Confinement,
    marks: Mapping[str, str] | None = None,
) -> Builder:
    """The builder that the settings describe. `marks`: see Places. Raises BadSettings."""
    user = confinement.user
    directory = settings.data_dir / "dploy" / "build"
    if user is not None:
        directory = apart(settings.data_dir) / "build"
        _own(directory.parent.parent)
        _own(directory.parent)
    _own(directory)
    python = find() if user is None else find(user.may_enter)
    of_user = None if user is None else supervise.User(user.id, user.group, user.groups)
    sandbox = Sandbox(of_user, confinement.hidden, confinement.environment(), confinement.fixed)
    fetcher = Fetcher(
        store, allowed(settings.dploy_sources, ARCHIVES, ("file",)), rule(settings.dploy_denied, "dploy_denied")
    )
    limits = Limits(settings.dploy_build_timeout, settings.dploy_build_memory, disk=settings.dploy_build_disk)
    bounds = Bounds(settings.artifact_limit, settings.artifact_quota)
    return Builder(
        apps,
        store,
        clock,
        fetcher,
        Places(directory, sandbox, python, marks or {}),
        limits,
        bounds,
        settings.dploy_builds,
    )


def _own(directory: Path) -> None:
    """Make it, and see that it is this user's alone to change. Raises BadSettings."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        about = directory.lstat()
    except OSError as error:
        raise BadSettings(f"{directory}: cannot be the directory of builds: {error.strerror}") from None
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o022:
        raise BadSettings(
            f"{directory}: expected a directory that this user owns and no other one can write; remove it"
        )
    directory.chmod(0o711)  # whatever the umask: builds as another user enter it


def _again(ctx: Step, call: Callable[[], _T]) -> _T:
    """The result of the call, as soon as nothing that it needs is away. Raises Cancelled, and what it raises."""
    trouble = ""
    while True:
        ctx.check()
        try:
            return call()
        except TransientError as error:
            if str(error) != trouble:
                trouble = str(error)
                ctx.output(f"       waits: {trouble}\n")
        ctx.wait(AGAIN)


@contextmanager
def _locked(directory: Path, pause: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the lock of a directory; `pause` is called before each further try while another holds it, and may raise.

    Raises BlockingIOError where another holds it and there is no `pause`, OSError.
    """
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # never without LOCK_NB: a wait in the kernel hears no cancel, and a program that a build has left may have the lock
        while not _has(lock):
            if pause is None:
                raise BlockingIOError(errno.EWOULDBLOCK, "another process holds its lock", str(directory))
            pause()
        yield
    finally:
        os.close(lock)


def _has(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _said_once(ctx: Step, directory: Path) -> Callable[[], None]:
    """A pause that says what it waits for. It raises Cancelled."""
    words = [f"       waits: another process holds the lock of {directory}\n"]

    def pause() -> None:
        if words:
            ctx.output(words.pop())
        ctx.wait(LOOK)

    return pause


def _for(seconds: float) -> Callable[[], None]:
    """A pause that raises TimeoutError once it was called for so long."""
    until = time.monotonic() + seconds

    def pause() -> None:
        if time.monotonic() >= until:
            raise TimeoutError
        time.sleep(LOOK)

    return pause


def _is_free(work: Path) -> bool:
    """Whether nothing builds in it any more."""
    try:
        with _locked(work):
            return True
    except OSError:
        return False


def remove(work: Path) -> None:
    """All of it, whatever modes a build gave its directories. What cannot be removed now is removed by the next sweep."""
    with suppress(OSError, RecursionError):
        work.chmod(0o700)  # first: from here on nothing of it is changed by who has to enter it
        for _, directories, _, place in os.fwalk(work):
            for name in directories:
                _open_up(name, place)
        shutil.rmtree(work, ignore_errors=True)
    if work.exists():
        _log.warning("%s cannot be removed", work, extra={"action": "build_left"})


def _open_up(name: str, place: int) -> None:
    """Give a directory a mode with which it can be emptied; a link that has come into its place is left alone."""
    with suppress(OSError):
        directory = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
        try:
            Path(f"/proc/self/fd/{directory}").chmod(0o700)
        finally:
            os.close(directory)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
