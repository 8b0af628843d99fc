"""The engine as processes of their own, on RabbitMQ and a MongoDB server: steps a second, and what each costs.

The processes are those that the tests start (tests/cluster). Must not know what the bare limit is.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import bson
import psutil
from pymongo import MongoClient

from benchmarks import bare_cluster
from benchmarks.driver import SETTINGS, WARMING, Driver
from benchmarks.flow import STEPS, playbook
from benchmarks.servers import Servers
from re_core import bootstrap
from re_core.rows import StoredPlaybook
from tests.cluster.cluster import Cluster
from tests.cluster.member import Member

#: variables that the processes get from whoever runs this, see benchmarks.observed
PASSED_ON = ("BENCH_PROFILE",)

#: how often each load is measured
ROUNDS = 3

#: seconds until a worker must be in the registry
REGISTRATION = 60.0

#: kinds of queues that carry steps; the others are the deployments' own
STEP_QUEUES = ("worker", "re.reply", "re.control")


@contextmanager
def cluster(
    servers: Servers, cores: int, repeatable: bool, steps: int = STEPS, settings: str = ""
) -> Iterator[Cluster]:
    """One front end, so many cores and one worker, ready, with a playbook `noop` of steps that do nothing."""
    environ = {"RE_LOG_LEVEL": "warning"} | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    with (
        servers.broker.vhost() as bus_url,
        servers.store.database() as store_url,
        tempfile.TemporaryDirectory() as directory,
        Cluster(
            Path(directory),
            bus_url,
            store_url,
            cores=cores,
            workers=[("noop",)],
            settings=settings,
            environ=environ,
        ) as made,
    ):
        for member in (*made.cores, *made.workers):
            member.argv[:1] = [sys.executable, "-m", "benchmarks.observed", str(_report(made, member)), member.argv[0]]
        with closing(bootstrap.open_store(made.settings())) as store:
            document = playbook(repeatable, steps)
            store.save_playbook(StoredPlaybook("noop", "bench", "noop", 1, document, 0, 0, "bench"))
            # the queue of ends is there before anything could end
            made.start()
            _await_worker(store)
        yield made


def run(
    servers: Servers, cores: int, in_flight: int, total: int, repeatable: bool, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Steps a second and what the processes used for them; of several rounds in turn with the bare loops, the middle one."""
    ours, bare = [], []
    with cluster(servers, cores, repeatable, settings=SETTINGS) as made, closing(Driver(made.bus_url)) as driver:
        driver.warm_up()
        sizes = _sizes(made)
        with bare_cluster.loops(servers, repeatable, sizes) as limit:
            for _ in range(rounds):
                ours.append(driver.drive(in_flight, total, processes_of(made)))
                bare.append(limit.driver.drive(in_flight, total, limit.members))
        memory = memory_of(made)
        for member in made.members:
            member.stop()
        counts = {member.name: _counted(made, member) for member in (*made.cores, *made.workers)}
    shape = {"cores": cores, "in_flight": in_flight, "deployments": total, "repeatable": repeatable, **sizes}
    per = _per(counts, WARMING + rounds * total)
    return {**shape, **middle(ours), **per, "pss_mib": memory, "bare": middle(bare)}


def _per(counts: Mapping[str, Counter[str]], deployments: int) -> dict[str, Any]:
    """What the observed processes did, by step and by deployment."""
    steps = deployments * STEPS
    every = sum(counts.values(), Counter[str]())
    cores = [one["deliveries"] for one in counts.values() if one["deliveries"]]
    return {
        "step_messages_per_step": sum(every[f"messages.{kind}"] for kind in STEP_QUEUES) / steps,
        # the driver's own job.create is one of them
        "messages_per_step": (_under("messages.", every) + deployments) / steps,
        "documents_per_step": _under("documents.", every) / steps,
        "entries_per_step": every["documents.journal"] / steps,
        "deliveries_per_turn": every["deliveries"] / every["turns"],
        "reads_per_deployment": every["reads"] / deployments,
        "shares": [share / sum(cores) for share in cores],
        "counts": dict(every),
    }


def middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The round whose rate is the median."""
    return sorted(rounds, key=lambda one: float(one["steps_per_second"]))[len(rounds) // 2]


def processes_of(made: Cluster) -> dict[str, psutil.Process]:
    """The first process of each member."""
    return {member.name: psutil.Process(member.pid) for member in made.members}


def memory_of(made: Cluster) -> dict[str, float]:
    """MiB of proportional set size of each member with its children, now."""
    return {member.name: member.memory() / 1024 / 1024 for member in made.members}


def _await_worker(store: Any) -> None:
    end = time.monotonic() + REGISTRATION
    while all(worker.beat for worker in store.workers()):
        if time.monotonic() > end:
            sys.exit(f"no worker has registered within {REGISTRATION:g} s")
        time.sleep(0.02)


def _report(made: Cluster, member: Member) -> Path:
    return made.directory / f"{member.name}.counts"


def _counted(made: Cluster, member: Member) -> Counter[str]:
    return Counter(json.loads(_report(made, member).read_text()))


def _under(prefix: str, counts: Mapping[str, int]) -> int:
    return sum(count for name, count in counts.items() if name.startswith(prefix))


def _sizes(made: Cluster) -> dict[str, int]:
    """Mean octets of an entry and of a row of the list, so that the bare limit stores as much."""
    with MongoClient[dict[str, Any]](made.store_url) as client:
        database = client.get_default_database()
        found = {name: list(database[name].find().limit(500)) for name in ("journal", "views")}
    sizes = {name: [len(bson.encode(one)) for one in documents] for name, documents in found.items()}
    return {f"{name}_bytes": sum(some) // len(some) for name, some in sizes.items()}
