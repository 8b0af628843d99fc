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
from re_core.wire.proof import SigningKey
from tests.cluster.cluster import Cluster
from tests.cluster.member import Member
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, living, printed, statuses
from tests.e2e.engine_process import wait_until
from tests.services.broker import RabbitMQ

#: prints its process, and goes on until it is ended
_FOREVER = "console.log(process.pid); setInterval(() => {}, 1000)"


def _book(name: str, script: str, pool: str = "", **more: object) -> str:
    step = {"node:Run": {"script": script, **more}, **({"pool": pool} if pool else {})}
    stage = {"hosts": ["one"], "steps": [step, "noop:After"]}
    return json.dumps({"group": "tests", "name": name, "execution": [stage]})


def _offering(cluster: Cluster) -> set[str]:
    """Ids of the workers that offer the step."""
    with cluster.client() as client:
        return {worker["id"] for worker in client.workers() if "node:Run" in worker["offers"]}


def _started(cluster: Cluster, directory: Path, **variables: str) -> Member:
    """Another process of the worker, which the core knows."""
    number, before = len(cluster.others), _offering(cluster)
    environ = {**cluster.environ(f"node-{number}"), **variables}
    argv = ["node", str(directory / "worker.js")]

    def known() -> bool:
        return bool(_offering(cluster) - before)

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
    new_cluster: MakeCluster, worker_in_node: Path, rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    cluster = new_cluster(settings="protected_pools: [dmz]\n", workers=[("noop",)])
    cluster.start()
    assert len((worker_in_node / "worker.js").read_text().splitlines()) <= 80
    worker = _started(cluster, worker_in_node)
    with cluster.client() as client:
        with pytest.raises(ApiError, match="unknown key 'skript'; did you mean 'script'"):
            client.apply_playbook(_book("misspelt", "", skript="").encode())

        said = "console.log('to ' + process.argv[1]); console.error('and so on')"
        found = ended(client, id := begin(client, _book("well", said, args=["Ann"])))
        assert (found["status"], statuses(found)) == ("completed", ["completed"] * 2)
        assert found["steps"][0]["data"] == {"code": 0}
        wait_until("both lines are there", lambda: sorted(printed(client, id)) == ["and so on", "to Ann"], PATIENCE)

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
        _shows_who_it_is(cluster, worker_in_node, rabbitmq, tmp_path / "n1.credential")
        wait_until("its farewell", lambda: not any("node:Run" in one["offers"] for one in client.workers()), PATIENCE)


def _shows_who_it_is(cluster: Cluster, directory: Path, rabbitmq: RabbitMQ, file: Path) -> None:
    """In a protected pool, as a user of RabbitMQ that has the rights of its credential and no others."""
    key = SigningKey.new("n1")
    file.write_text(key.line())
    with cluster.client() as client:
        made = client.add_worker_credential("n1", key.public, ["node"], "dmz")
        rights = {name: str(text) for name, text in made["rabbitmq"].items()}
        with rabbitmq.user(cluster.bus_url, "n1", rights) as url:
            place = {"RE_BUS_URL": url, "RE_WORKER_POOL": "dmz", "RE_WORKER_CREDENTIAL_FILE": str(file)}
            worker = _started(cluster, directory, **place)
            [shown] = [one for one in client.workers() if one["pool"] == "dmz"]
            assert (shown["credential"], shown["fault"], shown["id"][:3]) == ("n1", "", "n1~")

            book = _book("proven", "console.log('from the pool')", pool="dmz")
            wait_until("the core knows the worker", lambda: _completes(client, book), PATIENCE)
            worker.send(signal.SIGTERM)
            assert worker.await_exit() == 0


def _completes(client: Client, book: str) -> bool:
    """A core looks for new workers once a second, and a step of which it knows no worker fails at once."""
    found = ended(client, id := begin(client, book))
    if found["status"] != "completed":
        return False
    wait_until("its line is there", lambda: printed(client, id) == ["from the pool"], PATIENCE)
    return True


def _lost(found: Deployment) -> bool:
    return statuses(found) == ["lost", "skipped"] and "whether it finished is unknown" in (found["reason"] or "")
