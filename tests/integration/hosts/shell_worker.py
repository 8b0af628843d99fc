"""A worker whose steps are scripts with a record on a host, and the processes that run it. Must not know what is tested.

The host is this machine, or what CHANNEL in the directory names: {"argv": the ssh client, "records": …, "boot": file of the boot's id}.

By hand: python -m tests.integration.hosts.shell_worker worker|engine DIRECTORY [BUS_URL]
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

from re_core import bootstrap, connections
from re_core.adapters.clock_system import SystemClock
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.sqlite import SqliteStore
from re_core.runtime.settings import Settings, load
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_workers import Context, Failed, HandedOver, Lost, Worker, step
from re_workers.context import Call
from re_workers.heard import Heard
from re_workers.host import WorkerHost
from re_workers.hosts.channels import LocalChannel, SshChannel
from re_workers.hosts.port import HostError, HostLost, Left, Run, RunKey
from re_workers.hosts.runs import HostRuns
from re_workers.hosts.sweeping import Sweeper
from re_workers.outcomes import Cancelled
from tests.integration.workers.waiting import until

#: a file of the directory
CHANNEL = "channel.json"


class Shell(Worker):
    """Its records are in a directory of this machine."""

    def __init__(self, directory: Path) -> None:
        self._runs = HostRuns(LocalChannel("web1"), str(directory / "records"))
        if (directory / CHANNEL).exists():
            said = json.loads((directory / CHANNEL).read_text())
            self._runs = HostRuns(SshChannel("web1", said["argv"]), said["records"], said["boot"])
        self._directory = directory
        self.sweeper = Sweeper(0.0)
        self.kept = self.sweeper.kept

    def settled(self, attempt_id: str) -> None:
        """Write down that the broker has the outcome."""
        (self._directory / "settled").write_text(attempt_id)

    def close(self) -> None:
        """What may go, goes."""
        self.sweeper.close()

    def records(self, call: Call) -> bool:
        """All workers of the tests are on this machine."""
        return True

    @step(recorded=True)
    def Run(self, ctx: Context, scripts: list[str]) -> list[int]:
        """One after the other; the exit codes."""
        codes = []
        self.sweeper.note("web1", self._runs, ctx.attempt_id)
        for n, script in enumerate(scripts):
            run = Run(RunKey(ctx.attempt_id, "web1", n), script, limit=(ctx.allowed or 60.0) + 60.0)
            heard = Heard(ctx.output)
            try:
                claim = ctx.claim if n == 0 else ctx.claim._replace(earlier=())
                ended = self._runs.run(run, heard, ctx.cancelled, ctx.stopping, claim)
            except Left as left:
                raise HandedOver(str(left)) from None
            except HostLost as lost:
                raise Lost(str(lost)) from None
            except HostError as error:
                raise Failed(str(error)) from None
            if ctx.cancelled.is_set():
                raise Cancelled(ctx.cancel_reason)
            heard.end()
            codes.append(ended.code)
        return codes


def settings_of(directory: Path, bus_url: str = "") -> Settings:
    """Of an engine whose files are there."""
    return load({"RE_DATA_DIR": str(directory), **({"RE_BUS_URL": bus_url} if bus_url else {})})


def store_of(directory: Path) -> SqliteStore:
    """Its store; here processes die, not their machine."""
    store = SqliteStore(directory / "re.db", SystemClock())
    store._database._writer.execute("PRAGMA synchronous = OFF")
    return store


def main(role: str, directory: str, bus_url: str = "") -> None:
    """Run until TERM, then stop in order. An engine begins the deployment `d1` of its playbook `p`, where there is none."""
    stop, clock, here = threading.Event(), SystemClock(), Path(directory)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings, worker = settings_of(here, bus_url), Shell(here)
    store = store_of(here) if role == "engine" else None
    bus = connections.open_bus(settings, None) if store is None else EmbeddedBus(store, clock)
    host = WorkerHost(bus, clock, [worker], slots=1)
    core = None if store is None else bootstrap.Core(settings, bus, store, clock, lambda error: None)
    if core is not None:
        core.recover()
        core.start()
    host.start()
    print(host.identity, flush=True)
    if store is not None and not store.entries("d1"):
        until(lambda: any(one.id == host.identity for one in store.workers()))
        bus.request(Message("job.create", m.encode({"group": "web", "playbook_id": "p"}), "d1"), 10)
    stop.wait()
    host.stop(15)
    if core is not None:
        core.stop(5)
    bus.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
