"""Many share the work: two cores, three workers, and one that is slow. Nobody holds what another could do."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from re_client.api import Client
from re_client.calls import JSON
from tests.chaos import playbooks_under_test
from tests.chaos.cluster_under_test import ClusterUnderTest
from tests.chaos.conftest import MakeRig
from tests.chaos.ledger import begins
from tests.cluster.member import Member
from tests.e2e.deploying import PATIENCE
from tests.e2e.engine_process import wait_until

pytestmark = pytest.mark.timeout(300)

#: journals that cores may read for each deployment: who accepts it is by chance, who goes on with it is not
RELOADS = 0.6

#: deployments for which chance evens out: 0.5 comes of it, and 0.6 is three and a half standard deviations away
MANY = 300

#: who ask for deployments at the same time
CALLERS = 8

#: deployments where nothing is left to chance
FEW = 50


class Deployed(NamedTuple):
    """Deployments of one playbook."""

    book: str
    ids: list[str]


def deploy(client: Client, steps: list[dict[str, Any]], count: int = 1, name: str = "shared") -> Deployed:
    """`count` deployments with these steps, of a playbook of this name."""
    book = client.apply_playbook(playbooks_under_test.book(name, steps).text.encode(), JSON)["id"]
    with ThreadPoolExecutor(CALLERS) as callers:
        return Deployed(book, list(callers.map(lambda _: client.deploy("chaos", book, {})["id"], range(count))))


def await_end(client: Client, deployed: Deployed) -> None:
    """Wait until all of them are completed."""

    def over() -> bool:
        return not client.deployments(1, status=["accepted", "running", "waiting"], playbook_id=deployed.book)

    wait_until("all of them have ended", over, 2 * PATIENCE)
    completed = client.deployments(None, status=["completed"], playbook_id=deployed.book)
    assert {row["id"] for row in completed} == set(deployed.ids)


def told(core: Member, action: str) -> list[str]:
    """The lines of its log with this action."""
    return [line for line in core.text.splitlines() if f'action="{action}"' in line]


@pytest.mark.parametrize(("cores", "count"), [(1, FEW), (2, MANY)])
def test_cores_share_the_deployments_and_read_few_journals(new_rig: MakeRig, cores: int, count: int) -> None:
    rig = new_rig(cores=cores)
    with rig.cluster.client() as client:
        deployed = deploy(client, [{"ledger:Once": {}}, {"ledger:Quick": {}}, {"ledger:Again": {}}], count)
        await_end(client, deployed)
    for core in rig.cluster.cores:
        assert core.stop() == 0
    ended = [len(told(core, "ended")) for core in rig.cluster.cores]
    assert sum(ended) == count
    assert min(ended) >= count / cores / 8, "one core did next to nothing"
    reads = [int(found[1]) for core in rig.cluster.cores if (found := re.search(r"read (\d+) journals", core.text))]
    print(f"{cores} cores ended {ended} deployments and read {reads} journals: {sum(reads) / count:.2f} for each")
    assert len(reads) == cores
    assert sum(reads) / count <= RELOADS


def test_three_workers_share_a_queue_fairly(new_rig: MakeRig) -> None:
    rig = new_rig(workers=3, slots=2)
    with rig.cluster.client() as client:
        await_end(client, deploy(client, [{"ledger:Once": {"seconds": 0.05}}] * 5, 30))
    shares = Counter(line.pid for line in begins(rig.ledger.lines()))
    print(f"150 steps: {sorted(shares.values())}")
    assert len(shares) == 3
    assert min(shares.values()) >= 150 / 3 / 2


def test_a_worker_that_is_busy_holds_nothing_that_an_idle_one_could_do(new_rig: MakeRig, tmp_path: Path) -> None:
    rig = new_rig(workers=3, slots=1)
    go = tmp_path / "go"
    with rig.cluster.client() as client:
        hanging = deploy(client, [{"ledger:Waits": {"file": str(go)}}], name="hanging")
        wait_until("it hangs", lambda: bool(rig.ledger.count()), PATIENCE)
        others = deploy(client, [{"ledger:Once": {}}, {"ledger:Again": {}}], 30)
        await_end(client, others)
        [first, *rest] = begins(rig.ledger.lines())
        assert first.deployment == hanging.ids[0]
        assert first.pid not in {line.pid for line in rest}
        assert len(rest) == 60
        go.touch()
        await_end(client, hanging)


@pytest.mark.long
def test_a_frozen_core_stops_nobody_for_long(new_rig: MakeRig) -> None:
    """Both cores hold reply queues; what the frozen one holds goes to the other, by the broker, without its thaw."""
    rig = new_rig(cores=2)
    _goes_on_without(rig, rig.cluster.cores[0].freeze)
    rig.cluster.cores[0].thaw()


def test_a_killed_core_stops_nobody(new_rig: MakeRig) -> None:
    rig = new_rig(cores=2)
    _goes_on_without(rig, rig.cluster.cores[0].kill)


def _goes_on_without(rig: ClusterUnderTest, fall: Any) -> None:
    with rig.cluster.client() as client:
        deployed = deploy(client, [{"ledger:Once": {"seconds": 0.05}}] * 10, 20)
        fall()
        await_end(client, deployed)
    assert {line.attempt for line in rig.ledger.lines()} == {1}
