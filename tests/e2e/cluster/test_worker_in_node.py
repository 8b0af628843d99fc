"""The worker in Node of examples/worker-node, on a real broker: docs/how-to/write-a-worker-in-another-language.md."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest

from re_client.api import Client
from re_client.errors import ApiError
from re_core.api.answers import Deployment
from tests.cluster.cluster import Cluster
from tests.cluster.member import Member
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, living, printed, statuses
from tests.e2e.engine_process import wait_until

#: prints its process, and goes on until it is ended
_FOREVER = "console.log(process.pid); setInterval(() => {}, 1000)"


def _book(name: str, script: str, **more: object) -> str:
    step = {"node:Run": {"script": script, **more}}
    stage = {"hosts": ["one"], "steps": [step, "noop:After"]}
    return json.dumps({"group": "tests", "name": name, "execution": [stage]})


def _started(cluster: Cluster, directory: Path) -> Member:
    """Another process of the worker, which the core knows."""
    number = len(cluster.others)
    environ = {**cluster.environ(f"node-{number}")}
    argv = ["node", str(directory / "worker.js")]

    def known() -> bool:
        with cluster.client() as client:
            return sum("node:Run" in worker["offers"] for worker in client.workers()) > number

    cluster.others.append(Member(f"node-{number}", argv, environ, cluster.directory, known))
    cluster.others[-1].start()
    return cluster.others[-1]


def _running(client: Client, id: str) -> int:
    """The process that the step has printed, which runs."""
    wait_until("it has printed its process", lambda: bool(printed(client, id)), PATIENCE)
    pid = int(printed(client, id)[0])
    assert living(pid)
    return pid


@pytest.mark.long
def test_a_worker_in_node_runs_steps_ends_cancelled_ones_and_loses_what_dies_with_it(
    new_cluster: MakeCluster, worker_in_node: Path
) -> None:
    cluster = new_cluster(workers=[("noop",)])
    cluster.start()
    assert len((worker_in_node / "worker.js").read_text().splitlines()) <= 80
    worker = _started(cluster, worker_in_node)
    with cluster.client() as client:
        with pytest.raises(ApiError, match="unknown key 'skript'; did you mean 'script'"):
            client.apply_playbook(_book("misspelt", "", skript="").encode())

        said = "console.log('to ' + process.argv[1]); console.error('and so on')"
        found = ended(client, id := begin(client, _book("well", said, args=["Ann"])))
        assert (found["status"], statuses(found)) == ("completed", ["completed"] * 2)
        assert (found["steps"][0]["data"], sorted(printed(client, id))) == ({"code": 0}, ["and so on", "to Ann"])

        found = ended(client, begin(client, _book("ill", "process.exit(3)")))
        assert (statuses(found), found["steps"][0]["message"]) == (["failed", "skipped"], "exit code 3")

        cancelled = begin(client, _book("cancelled", _FOREVER))
        pid = _running(client, cancelled)
        client.cancel(cancelled, "enough")
        assert ended(client, cancelled)["status"] == "cancelled"
        assert not living(pid)

        killed = begin(client, _book("killed", _FOREVER))
        pid = _running(client, killed)
        other = _started(cluster, worker_in_node)
        worker.kill()
        psutil.Process(pid).kill()
        assert _lost(ended(client, killed))
        assert [one.process is not None and one.running for one in (worker, other)] == [False, True]
        assert printed(client, killed) == [str(pid)], "the other process has begun it again"

        assert ended(client, begin(client, _book("after", said)))["status"] == "completed"
        other.send(signal.SIGTERM)
        assert other.await_exit() == 0
        wait_until("its farewell", lambda: not any("node:Run" in one["offers"] for one in client.workers()), PATIENCE)


def _lost(found: Deployment) -> bool:
    return statuses(found) == ["lost", "skipped"] and "whether it finished is unknown" in (found["reason"] or "")
