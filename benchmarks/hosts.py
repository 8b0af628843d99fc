"""One command on many hosts beside a bare loop of ssh: over connections that are there, and with none.

Real servers on addresses of loopback are the hosts, so what the hosts do costs this machine too. The bare loop (`xargs -P ssh`) uses the
same connections in the same run, and keeps no record: what it began is unknown where its connection is lost. Of the worker's
side the processor time is counted apart.
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from re_workers.hosts.port import HostRunner, Run, RunKey
from re_workers.hosts.runners import open_runner
from re_workers.hosts.ssh import sockets
from re_workers.hosts.surroundings import Surroundings
from re_workers.steps.confinement import Confinement
from tests.services.places import choose
from tests.services.sshd import RECIPE, SshHost, running

#: addresses of one server: it listens on 16 at most
_ADDRESSES = 15
#: so that a server drops none of what a bare loop begins at once
_MORE = "MaxStartups 200:30:400\nKexAlgorithms curve25519-sha256"

COMMAND = "echo hi"

#: milliseconds of processor time, wall seconds
Figures = dict[str, float]


def measure(hosts: int, ways: int, at_once: int, rounds: int) -> dict[str, Any]:
    """`hosts` commands over `ways` connections, so many at once; medians of the rounds, which alternate. Raises Unavailable."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        rows: dict[str, Any] = {}
        for server, address in stack.enter_context(_servers(Path(directory), ways)):
            rows[f"web{len(rows)}"] = server.row(address=address)
        found: dict[str, list[Figures]] = {one: [] for one in ("cold", "bare cold", "warm", "bare warm")}
        for number in range(rounds):
            _round(Path(directory) / f"worker-{number}", rows, hosts, at_once, number, found)
        medians = {kind: {name: median(one[name] for one in each) for name in each[0]} for kind, each in found.items()}
        return {"hosts": hosts, "ways": len(rows), "at_once": at_once, "rounds": rounds, **medians}


def _round(
    directory: Path, rows: dict[str, Any], hosts: int, at_once: int, number: int, found: dict[str, list[Figures]]
) -> None:
    directory.mkdir()
    found["bare cold"].append(_bare([_alone(row) for row in rows.values()], at_once))
    with closing(Surroundings(directory, Confinement(isolation="off"), str(directory))) as surroundings:
        runners = [open_runner(name, rows, surroundings) for name in rows]
        found["cold"].append(_ours(runners, len(runners), at_once, f"{number}/cold"))
        there = sorted(one for one in sockets.make(str(directory)).iterdir() if one.is_socket())
        shared = [f"-F none -S {one} -o ProxyCommand=false x" for one in there]
        found["bare warm"].append(_bare(list(itertools.islice(itertools.cycle(shared), hosts)), at_once))
        found["warm"].append(_ours(runners, hosts, at_once, f"{number}/warm"))


def _ours(runners: list[HostRunner], hosts: int, at_once: int, name: str) -> Figures:
    stop = threading.Event()

    def run(number: int) -> None:
        runner = runners[number % len(runners)]
        heard: list[bytes] = []
        ended = runner.run(Run(RunKey(f"{name}/{number}", runner.host), COMMAND), heard.append, stop)
        assert (ended.code, b"".join(heard)) == (0, b"hi\n")

    with ThreadPoolExecutor(at_once) as pool:
        return _timed(lambda: list(pool.map(run, range(hosts))))


def _bare(commands: list[str], at_once: int) -> Figures:
    """What the shell's own loop takes."""
    lines = "".join(f"{one} {COMMAND}\n" for one in commands)
    loop = ["xargs", "-P", str(at_once), "-L", "1", "ssh", "-o", "BatchMode=yes"]

    def run() -> None:
        printed = subprocess.run(loop, input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout
        assert printed.split() == ["hi"] * len(commands)

    return _timed(run)


def _alone(row: dict[str, Any]) -> str:
    """Options of a client that knows nothing of a connection."""
    trust = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    return f"-F none -i {row['identity']} -l {row['user']} -p {row['port']} {trust} {row['address']}"


def _timed(work: Callable[[], object]) -> Figures:
    # a look at all processes takes as much as a connection: neither of the two counts
    before = _alive() + _ended()
    began = time.monotonic()
    work()
    seconds, ended = time.monotonic() - began, _ended()
    return {"seconds": seconds, "processor_seconds": ended + _alive() - before}


def _ended() -> float:
    """Seconds of processor of this process, and of its clients that have ended; of no server."""
    ended = [resource.getrusage(one) for one in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in ended)


def _alive() -> float:
    """The same of those that keep connections."""
    return sum(_nanoseconds(one.pid) for one in psutil.Process().children() if one.name() == "ssh") / 1e9


def _nanoseconds(pid: int) -> int:
    """The kernel's other account has hundredths of a second, in which most connections are made."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


@contextmanager
def _servers(directory: Path, ways: int) -> Iterator[list[tuple[SshHost, str]]]:
    place = choose(RECIPE, directory / "cache")
    with ExitStack() as stack:
        found: list[tuple[SshHost, str]] = []
        for first in range(2, 2 + ways, _ADDRESSES):
            data = directory / f"sshd-{first}"
            data.mkdir()
            addresses = [f"127.0.0.{number}" for number in range(first, min(first + _ADDRESSES, 2 + ways))]
            server = stack.enter_context(running(place, data, "web", _MORE, addresses))
            found += [(server, address) for address in addresses]
        yield found
