"""What every test gets: an environment and a home of its own, and a look at the threads that it leaves behind.

Must not know what is tested: fixtures of one part of the engine live beside that part's tests.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import hypothesis
import pytest

# a fault that a module beside the tests finds shall show its values too
pytest.register_assert_rewrite(
    "tests.e2e", "tests.cluster", "tests.chaos", "tests.contract", "tests.simulation", "tests.properties"
)

pytest_plugins = ["tests.services.plugin", "tests.stuck"]

#: Seconds a thread that a test started may take to end once the test has.
THREAD_TIMEOUT = 5.0
#: Seconds that a test takes at most on an idle machine unless it is marked `long`.
LONG = 10.0
#: Bytes that the name of a test shows at most.
READABLE = 60
#: Where programs look for a user's files, and what they are called under a home.
HOMES = {
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_RUNTIME_DIR": ".run",
    "XDG_STATE_HOME": ".local/state",
}
_HOME_NUMBERS = itertools.count()


def pytest_configure() -> None:
    # How long an example takes says more about the machine than about the code: no deadline, no health check of speed.
    slow_is_fine = [hypothesis.HealthCheck.too_slow]
    ci = os.environ.get("CI") == "true"
    hypothesis.settings.register_profile(
        "engine", deadline=None, suppress_health_check=slow_is_fine, derandomize=ci, print_blob=True
    )
    hypothesis.settings.load_profile("engine")
    _let_programs_be_ended()


def _let_programs_be_ended() -> None:
    """What this run ignores, because a shell or nohup wants it so, every program that a test starts would ignore too.

    A handler in its place does nothing either, and is not inherited. A test of nohup says nohup.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _nothing)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The run goes on."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that can be read are named as they are, all others by their argument: an archive has the time in it, and the
    processes of a run would collect tests of different names."""
    readable = not isinstance(val, bytes) or (len(val) <= READABLE and val.isascii())
    return None if readable else argname


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow rounds out unless the command line asks for that mark, and begin with the long tests."""
    if "slow" not in config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    items[:] = _long_first(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def _long_first(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """In as many parts as pytest-xdist hands out at first; each begins with its share of the long tests.

    A long test that comes last keeps the run waiting for one process while the others are done.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    ordered: list[pytest.Item] = []
    for part in range(processes):
        share = long[part::processes]
        size = (len(items) - len(ordered)) // (processes - part) - len(share)
        ordered += [*share, *rest[: max(size, 0)]]
        del rest[: max(size, 0)]
    return [*ordered, *rest]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What to say at the end of a run, whether it failed or not."""
    reports = [one for some in terminalreporter.stats.values() for one in some if isinstance(one, pytest.TestReport)]
    _name_the_long(terminalreporter, reports)
    _name_what_plays_again(terminalreporter, reports)


def _name_what_plays_again(terminalreporter: pytest.TerminalReporter, reports: list[pytest.TestReport]) -> None:
    """Tests that differ from day to day record as the property `again` the variable that repeats them."""
    for variable in sorted({str(value) for one in reports for name, value in one.user_properties if name == "again"}):
        terminalreporter.write_line(f"{variable} plays the seeds of this run again")


def _name_the_long(terminalreporter: pytest.TerminalReporter, reports: list[pytest.TestReport]) -> None:
    """Name the tests that took long and do not say so. A busy machine makes many of them, so it is no failure."""
    found = sorted(
        {one.nodeid for one in reports if one.duration > LONG and not {"long", "slow"} & one.keywords.keys()}
    )
    if found:
        terminalreporter.section(f"not marked long, and took more than {LONG:g} s")
        for nodeid in found:
            terminalreporter.write_line(nodeid)


def _isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in os.environ:
        if name.startswith("RE_") and not name.startswith("RE_TEST_"):
            patch.delenv(name)
    patch.setenv("HOME", str(home))
    for variable, place in HOMES.items():
        patch.setenv(variable, str(home / place))


@pytest.fixture(scope="session", autouse=True)
def _isolated_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures that outlive a test see neither the settings nor the files of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        _isolate(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(autouse=True)
def _isolated_test(
    _isolated_run: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No test sees what another one left at home or in the environment."""
    # numbered here: mktemp looks through all directories of all tests before for the next number
    home = tmp_path_factory.getbasetemp() / "homes" / str(next(_HOME_NUMBERS))
    home.mkdir(parents=True)
    _isolate(monkeypatch, home)


@pytest.fixture(autouse=True)
def _no_thread_stays(_isolated_run: None) -> Iterator[None]:
    """A thread that would keep the process from ending fails the test that left it behind."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.daemon:
            continue
        thread.join(THREAD_TIMEOUT)
        assert not thread.is_alive(), f"the test left {thread.name} running"


@pytest.fixture
def berlin() -> Iterator[None]:
    """This machine is in a zone whose clocks are turned; spelt out, since not every machine has a table of zones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()
