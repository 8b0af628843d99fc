"""Chaos by hand, on servers of its own: `python -m tests.chaos core worker broker store --faults 100` prints a table."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.chaos.campaign import Campaign
from tests.chaos.cluster_under_test import ClusterUnderTest
from tests.chaos.forest_campaign import ForestCampaign
from tests.chaos.forest_under_test import ForestUnderTest
from tests.chaos.gaps import FALLS, measure
from tests.chaos.ledger import largest_gap
from tests.chaos.parts import PARTS, everything
from tests.services import mongodb, rabbitmq
from tests.services.catalogue import Services
from tests.services.mongodb import MongoServer
from tests.services.places import cache_directory
from tests.services.rabbitmq import RabbitServer
from tests.services.shared import workplace

#: all parts at once
ALL = "all"

#: gateways for forest runners, their runners, and cores, which have a cluster of their own
FOREST = "forest"

#: how long deployments stand still when one of two cores falls, instead of what is promised
GAPS = "gaps"

#: faults of one part where nobody says
FAULTS = 100

#: faults between two looks at the clock
ROUND = 10

_HEAD = (
    "part",
    "faults",
    "accepted",
    "ended",
    "as promised",
    "completed",
    "failed",
    "lost steps",
    "longest pause",
    "s",
)


class Servers(NamedTuple):
    """A broker and a store that nobody else uses."""

    broker: RabbitServer
    store: MongoServer


@contextmanager
def own_servers() -> Iterator[Servers]:
    """Gone when the block ends."""
    services = Services(cache_directory())
    with (
        workplace("rabbitmq") as broker_data,
        workplace("mongodb") as store_data,
        rabbitmq.rabbitmq_server(services.place(rabbitmq.RECIPE), broker_data) as broker,
        mongodb.mongodb_server(services.place(mongodb.RECIPE), store_data) as store,
    ):
        yield Servers(broker, store)


def main() -> int:
    """The exit code: 1 where something was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}, {FOREST}, {GAPS}, or {ALL}: the default"
    )
    parser.add_argument("--faults", type=int, default=FAULTS, help="bad things per part (%(default)s)")
    parser.add_argument("--minutes", type=float, help="go on for so long with each part, instead of a number of faults")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="plays the same faults and playbooks")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    words = parser.parse_args()
    parts = words.parts or [ALL]
    unknown = [part for part in parts if part not in (*PARTS, FOREST, GAPS, ALL)]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}")
    directory = Path(tempfile.mkdtemp(prefix="re-chaos-"))
    print(f"logs are in {directory}")
    rows: list[tuple[str, ...]] = [_HEAD]
    kept = True
    with own_servers() as servers:
        if GAPS in parts:
            parts.remove(GAPS)
            _measure(directory, servers)
        for part in parts:
            row, problems = _play(part, words, directory / part, servers)
            rows.append(row)
            kept = kept and not problems
            print(*problems, sep="\n", flush=True)
    for cells in rows if len(rows) > 1 else []:
        print("| " + " | ".join(cells) + " |")
    return 0 if kept else 1


def _measure(directory: Path, servers: Servers) -> None:
    for name, fall in FALLS.items():
        url, database = servers.broker.new_vhost(), servers.store.new_database()
        rig = ClusterUnderTest(directory / name, servers.broker, url, database, cores=2, workers=2, slots=20)
        with rig.cluster:
            rig.start()
            gaps = measure(rig, fall)
        print(f"{name}: longest pause {gaps.overall:.1f} s, of one deployment {gaps.deployment:.1f} s", flush=True)


def _play(part: str, words: argparse.Namespace, directory: Path, servers: Servers) -> tuple[tuple[str, ...], list[str]]:
    url, database = servers.broker.new_vhost(), servers.store.new_database()
    began = time.monotonic()
    rig: ClusterUnderTest
    campaign: Campaign
    post = 1 if words.minutes is None else 2
    if part == FOREST:
        rig = ForestUnderTest(directory, servers.broker, url, database, servers.store, cores=words.cores)
    else:
        rig = ClusterUnderTest(
            directory, servers.broker, url, database, servers.store, rests=2, cores=words.cores, workers=words.workers
        )
    with rig.cluster:
        rig.start()
        if isinstance(rig, ForestUnderTest):
            faults, campaign = rig.everything(), ForestCampaign(rig, words.seed, post)
        else:
            faults = everything(rig) if part == ALL else PARTS[part](rig)
            campaign = Campaign(rig, words.seed, post)
        with campaign:
            if words.minutes is None:
                campaign.strike(faults, words.faults)
            else:
                while time.monotonic() - began < words.minutes * 60:
                    campaign.strike(faults, ROUND)
            report = campaign.end()
    counts, seconds = report.counts, time.monotonic() - began
    ended = counts["completed"] + counts["failed"] + counts["cancelled"]
    broken = len({problem.partition(":")[0] for problem in report.problems})
    numbers = [
        sum(rig.faults.values()),
        counts["accepted"],
        ended,
        ended - broken,
        counts["completed"],
        counts["failed"],
    ]
    gap = largest_gap(rig.ledger.lines(), campaign.struck_at)
    print(part, dict(rig.faults), dict(counts))
    cells = (part, *map(str, numbers), str(counts["lost steps"]), f"{gap:.1f} s", f"{seconds:.0f}")
    return cells, report.problems


if __name__ == "__main__":
    sys.exit(main())
