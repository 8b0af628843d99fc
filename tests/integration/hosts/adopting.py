"""An engine and workers as processes that can be killed, with records on this machine. Must not know what is expected of them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from re_core import bootstrap, connections
from re_core.adapters.clock_system import SystemClock
from re_core.core_events import deployment_event, send_events
from re_core.deployment.records import Record, kind_of
from re_core.deployment.state import State
from re_core.ports import read_state
from re_core.rows import StoredPlaybook
from re_core.wire import messages as m
from re_core.wire.messages import Message
from tests.integration.hosts.shell_worker import settings_of, store_of
from tests.integration.workers.waiting import until

#: what a script prints before it waits, and afterwards
FIRST, SECOND = ["first", "", *map(str, range(100)), ""], ["", *map(str, range(100, 200)), "second", ""]


class Program:
    """One process of shell_worker.py."""

    def __init__(self, role: str, directory: Path, bus_url: str = "") -> None:
        argv = [sys.executable, "-m", "tests.integration.hosts.shell_worker", role, str(directory), bus_url]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.identity = self._process.stdout.readline().strip()
        assert self.identity

    def kill(self) -> None:
        """It does nothing more."""
        self._process.kill()
        self._process.wait(10)

    def terminate(self) -> None:
        """It leaves in order."""
        self._process.terminate()
        assert self._process.wait(20) == 0

    def ask_to_leave(self) -> None:
        """It leaves in order, sooner or later."""
        self._process.terminate()

    def freeze(self) -> None:
        """It stands still."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it, however it stands."""
        if self._process.poll() is None:
            self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Site:
    """The engine, and what is known of its deployments. With `bus_url` the core is here, and workers are processes."""

    def __init__(self, directory: Path, bus_url: str = "") -> None:
        self.directory, self._bus_url = directory, bus_url
        self.ledger = directory / "ledger"
        self._clock = SystemClock()
        self.store: Any = store_of(directory)
        self._programs: list[Program] = []
        self._numbers = itertools.count(1)
        self._failures: list[Exception] = []
        self._core: bootstrap.Core | None = None
        if bus_url:
            self.bus = connections.open_bus(settings_of(directory, bus_url), self.store)
            self.start_core()

    def start_core(self) -> None:
        """As after an outage."""
        settings = settings_of(self.directory, self._bus_url)
        self._core = bootstrap.Core(settings, self.bus, self.store, self._clock, self._failures.append)
        self._core.start()

    def stop_core(self) -> None:
        """Nothing is written into the journal from here on."""
        if self._core is not None:
            self._core.stop(5, finish=False)
        self._core = None

    def left(self) -> list[str]:
        """Names of the records of runs that are there."""
        return [one.name for one in (self.directory / "records").iterdir() if not one.name.endswith(".over")]

    def start(self, role: str = "worker") -> Program:
        """Another process."""
        program = Program(role, self.directory, self._bus_url)
        self._programs.append(program)
        until(lambda: any(one.id == program.identity for one in self.store.workers()))
        return program

    def close(self) -> None:
        """End everything."""
        for program in self._programs:
            program.close()
        self.stop_core()
        if self._bus_url:
            self.bus.close()
        self.store.close()
        assert self._failures == []

    # -- deployments ---------------------------------------------------------------------------------

    def script(self, *, waits: bool = True, code: int = 0) -> str:
        """Writes into the ledger that it began, prints, and ends when it is let go."""
        wait = f"until [ -e {self.directory}/go ]; do sleep 0.05; done; " if waits else ""
        before, after = ("; ".join(f"echo '{one}'" for one in part) for part in (FIRST, SECOND))
        return f"echo $$ >>{self.ledger}; {before}; {wait}{after}; exit {code}"

    def let_go(self) -> None:
        """What waits may end."""
        (self.directory / "go").touch()

    def begun(self) -> list[int]:
        """The processes that began, according to themselves."""
        return [int(line) for line in self.ledger.read_text().split()] if self.ledger.exists() else []

    def save(self, scripts: Sequence[str], name: str = "p", **beside: Any) -> None:
        """A playbook of one step."""
        steps = [{"shell:Run": {"scripts": list(scripts)}, **beside}]
        document = {"group": "web", "name": name, "execution": [{"hosts": ["web1"], "steps": steps}]}
        at = self._clock.now()
        assert self.store.save_playbook(StoredPlaybook(name, "web", name, 1, document, at, at, "pat"))

    def deploy(self, *scripts: str, **beside: Any) -> str:
        """The id of a deployment whose step runs these; returns when the first of them has begun."""
        id = self.ask(scripts, **beside)
        until(lambda: self.begun() and self.lines(id))
        return id

    def ask(self, scripts: Sequence[str], **beside: Any) -> str:
        """The id of a deployment whose step runs these."""
        number = next(self._numbers)
        id, name = f"d{number}", f"p{number}"
        self.save(scripts, name, **beside)
        answer = self.bus.request(Message("job.create", m.encode({"group": "web", "playbook_id": name}), id), 10)
        assert answer is not None
        assert json.loads(answer.body)["id"] == id, answer
        return id

    def lose(self, program: Program, deployment: str) -> None:
        """The core notices that it is silent; which takes it 30 s."""
        body = {"before": self._clock.now(), "worker": program.identity, "workers": [program.identity]}
        send_events(self.bus, [deployment_event(deployment, "gone", body, f"test{next(self._numbers)}")])

    def cancel(self, deployment: str) -> None:
        """By an operator."""
        headers, body = {m.EVENT: "cancel"}, m.encode({"user": "ann", "reason": "not today"})
        queue, id = m.reply_queue(deployment), f"{deployment}/cancel"
        self.bus.publish([Message(queue, body, id, deployment, headers=headers, direct=True)])

    def state(self, deployment: str) -> State:
        state = read_state(self.store, deployment)
        assert state is not None
        return state

    def kinds(self, deployment: str) -> list[str]:
        """The kinds of all its records."""
        return [kind_of(one) for one in self.records(deployment)]

    def records(self, deployment: str) -> list[Record]:
        return [one for entry in self.store.entries(deployment) for one in entry.records]

    def adopted_by(self, deployment: str, program: Program) -> None:
        """Until that worker goes on with its step."""
        until(lambda: self.state(deployment).step(0).worker == program.identity)

    def end(self, deployment: str) -> str:
        """How its step ended."""
        until(lambda: self.state(deployment).ended is not None)
        return self.state(deployment).step(0).status.value

    def lines(self, deployment: str) -> list[str]:
        return [line.text for line in self.store.output(deployment, 0, 1000)]

    def printed(self, deployment: str, lines: Sequence[str]) -> bool:
        """Whether these lines, and no others, are there in the end."""
        until(lambda: len(self.lines(deployment)) >= len(lines))
        return self.lines(deployment) == list(lines)
