"""Rounds of workers, connections and hosts that die while recorded steps run. By hand: python -m tests.chaos.hosts_campaign --rounds 200

The ledger stands on the host: each program writes the name of its record as its first act. A round is told by its seed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from re_core.deployment.state import State
from re_core.model import ENDED, StepStatus
from tests.integration.hosts.adopting import Program, Site
from tests.integration.hosts.shell_worker import CHANNEL
from tests.services import rabbitmq, sshd
from tests.services.catalogue import Services
from tests.services.places import cache_directory
from tests.services.shared import workplace
from tests.services.sshd import SshHost

#: seconds in which the deployments of a round have to end
ENOUGH = 90.0
#: seconds between two words that a worker is gone
AGAIN = 2.0

FAULTS = ("kill", "stop", "freeze", "cut", "sshd", "boot", "cancel")


class Round:
    """One: some deployments, some faults, and what is left when all has ended."""

    def __init__(self, site: Site, server: SshHost, seed: int) -> None:
        self._site, self._server = site, server
        self._dice = random.Random(seed)
        self._workers: list[Program] = []
        self._frozen: list[Program] = []
        self._gone: list[Program] = []
        self._deployments: dict[str, list[int]] = {}
        #: begins the paths of its records on the host, and of no others on this machine
        self._records = f"{json.loads((site.directory / CHANNEL).read_text())['records']}/"
        self.happened: Counter[str] = Counter()

    def play(self) -> list[str]:
        """What was not as promised."""
        for _ in range(self._dice.choice((1, 2))):
            self._hire()
        for _ in range(self._dice.choice((1, 2, 3))):
            codes = [self._dice.choice((0, 0, 3)) for _ in range(self._dice.choice((1, 1, 2, 3)))]
            scripts = [_script(self._server.seen, self._dice.choice((0.0, 0.5, 2.0, 4.0)), code) for code in codes]
            beside: dict[str, Any] = self._dice.choice(({}, {}, {"idempotent": True}, {"retries": 1}))
            self._deployments[self._site.ask(scripts, timeout=60, **beside)] = codes
        for _ in range(self._dice.choice((1, 2, 3))):
            time.sleep(self._dice.uniform(0.1, 1.5))
            self._strike(self._dice.choice(FAULTS))
        self._calm()
        problems = [*self._end(), *self._judge()]
        for worker in self._workers:
            worker.kill()
        return problems

    def _strike(self, fault: str) -> None:
        self.happened[fault] += 1
        if fault in ("kill", "stop", "freeze"):
            if not self._workers:
                self._hire()
            worker = self._workers.pop(self._dice.randrange(len(self._workers)))
            {"kill": worker.kill, "stop": worker.ask_to_leave, "freeze": worker.freeze}[fault]()
            (self._frozen if fault == "freeze" else self._gone).append(worker)
            if self._dice.random() < 0.7:
                self._hire()
        elif fault == "cancel":
            self._site.cancel(self._dice.choice(list(self._deployments)))
        elif fault == "cut":
            _kill(one for one in _of_server() if one.ppid() != psutil.Process().pid and _is_session(one))
        elif fault == "sshd":
            _kill(list(_of_server()))
            self._server.server.stop()
            time.sleep(self._dice.uniform(0.0, 1.0))
            self._server.server.start()
        else:
            (self._server.data / "boot").write_text(f"boot {self._dice.random()}\n")
            _kill([*_of_server(sessions=True), *_of_records(self._records)])

    def _calm(self) -> None:
        for worker in self._frozen:
            worker.thaw()
            self._workers.append(worker)
        if not self._workers:
            self._hire()

    def _hire(self) -> None:
        self._workers.append(self._site.start())

    def _end(self) -> Iterator[str]:
        """Until all have ended; what is silent is said to be again and again, as the core would."""
        end, told = time.monotonic() + ENOUGH, 0.0
        while open_ := [one for one in self._deployments if self._state(one).status not in ENDED]:
            if time.monotonic() > end:
                yield f"{open_} did not end"
                return
            if time.monotonic() - told > AGAIN:
                told = time.monotonic()
                for worker in self._gone:
                    for one in open_:
                        self._site.lose(worker, one)
            time.sleep(0.05)

    def _state(self, deployment: str) -> State:
        return self._site.state(deployment)

    def _judge(self) -> Iterator[str]:
        begun = Counter(_without_turn(line) for line in _ledger(self._server))
        for name, times in begun.items():
            if times > 1:
                yield f"the program of {name} began {times} times"
        for deployment, codes in self._deployments.items():
            state = self._state(deployment)
            step = state.step(0)
            self.happened[f"step {step.status.value}"] += 1
            self.happened["adopted"] += step.moves > 0
            if step.status is StepStatus.COMPLETED:
                data = None if step.result is None else step.result.data
                if data != codes:
                    yield f"{deployment} says {data}, its programs ended with {codes}"
                ran = sum(line.startswith(f"{deployment}.0.{step.attempt}.") for line in begun)
                if ran != len(codes):
                    yield f"{deployment} completed, and {ran} of {len(codes)} programs began"
                if step.attempt == 1 and not self._site.printed(deployment, ["begins", "ends"] * len(codes)):
                    yield f"{deployment} shows {self._site.lines(deployment)}"
            if step.status is StepStatus.LOST and not (self.happened["boot"] or self.happened["sshd"]):
                yield f"{deployment} is lost, and its host was there: {step.message}"
            if step.status is StepStatus.FAILED and not self._may_fail():
                yield f"{deployment} failed: {step.message}"
        deadline = time.monotonic() + 5
        while left := _of_records(self._records):
            if time.monotonic() > deadline:
                yield f"left running: {[one.cmdline() for one in left]}"
                _kill(left)
                return
            time.sleep(0.1)

    def _may_fail(self) -> bool:
        """The host could not be reached when a step was to begin, or killed what watched over it."""
        return bool(self.happened["sshd"] or self.happened["boot"] or self.happened["cut"])


def _script(seen: str, seconds: float, code: int) -> str:
    wait = f"sleep {seconds}; " if seconds else ""
    return f'echo "$RE_RECORD" >>{seen}/ledger; echo begins; {wait}echo ends; exit {code}'


def _ledger(server: SshHost) -> list[str]:
    """Names of records; a program knows its record by its path."""
    path = server.data / "ledger"
    return [Path(line.rstrip(";")).name for line in path.read_text().split()] if path.exists() else []


def _without_turn(record: str) -> str:
    """`<deployment>.<step>.<attempt>.<host>.<n>`: what died before it began has another turn behind that."""
    return ".".join(record.split(".")[:5])


def _of_server(sessions: bool = False) -> Iterator[psutil.Process]:
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if one.name().startswith("sshd") and (not sessions or _is_session(one)):
                yield one


def _is_session(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "listener" not in " ".join(process.cmdline())
    return False


def _of_records(records: str) -> list[psutil.Process]:
    """Supervisors and programs of the records there, and what else is of their sessions. Others on this machine have records too."""
    found, sessions = [], set[int]()
    living = [one for one in psutil.process_iter() if _lives(one)]
    for one in living:
        with suppress(psutil.Error, OSError):
            if one.cwd().startswith(records) or any(word.startswith(records) for word in one.cmdline()):
                found.append(one)
                sessions.add(os.getsid(one.pid))
    for one in living:
        with suppress(psutil.Error, OSError):
            if one not in found and os.getsid(one.pid) in sessions - {os.getsid(0)}:
                found.append(one)
    return found


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _kill(processes: Any) -> None:
    for one in processes:
        with suppress(psutil.Error):
            one.kill()


@contextmanager
def opened(directory: Path, bus_url: str, server: SshHost) -> Iterator[Site]:
    """An engine whose workers reach the host through ssh."""
    directory.mkdir()
    (server.data / "boot").write_text("first\n")
    said = {
        "argv": ["ssh", "-F", str(server.client_config), "web1"],
        # all servers see their directories under one name
        "records": f"{server.seen}/records-{secrets.token_hex(4)}",
        "boot": f"{server.seen}/boot",
    }
    (directory / CHANNEL).write_text(json.dumps(said))
    site = Site(directory, bus_url)
    try:
        yield site
    finally:
        site.close()


def main() -> int:
    """0 where every round was as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the first round")
    given = parser.parse_args()
    services, happened, bad = Services(cache_directory()), Counter[str](), 0
    with workplace("rabbitmq") as data, rabbitmq.rabbitmq_server(services.place(rabbitmq.RECIPE), data) as broker:
        for seed in range(given.seed, given.seed + given.rounds):
            with (
                workplace("sshd") as data,
                sshd.running(services.place(sshd.RECIPE), data, "web1") as server,
                opened(data / "engine", broker.new_vhost(), server) as site,
            ):
                played = Round(site, server, seed)
                problems = played.play()
            happened += played.happened
            bad += bool(problems)
            print(seed, dict(played.happened), *problems, sep=" | ", flush=True)
    print(f"{given.rounds} rounds from seed {given.seed} on, {bad} not as promised; {dict(happened)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
