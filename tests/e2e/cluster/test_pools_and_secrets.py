"""Processes on a real broker: a step of a pool runs in that pool alone, and what a worker asks a core for: secrets of environments to
which it is bound, and artifacts."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet

from re_client.api import Client
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, printed, steps_book
from tests.e2e.engine_process import wait_until
from tests.unit.artifacts.archives import tgz

VALUE = "correct horse battery"


def _book(pool: str, name: str) -> str:
    place = f"pool: {pool}, " if pool else ""
    return f"""group: tests
name: {name}
execution:
  - {{hosts: [one], {place}environment: prod, steps: [{{'command:Run': {{cmd: 'test "$DB" = "{VALUE}" && echo "has $DB"',
      env: {{DB: {{secret: tests/prod/db}}}}}}}}]}}
"""


def _places(client: Client) -> set[tuple[str | None, ...]]:
    return {(one["pool"], *one["environments"]) for one in client.workers() if one["offers"]}


def test_a_pool_and_its_environment_decide_who_gets_step_and_secret(new_cluster: MakeCluster, tmp_path: Path) -> None:
    key = tmp_path / "secret.key"
    key.write_bytes(Fernet.generate_key())
    key.chmod(0o600)
    environ = {"RE_SECRET_KEY_FILE": str(key)}
    bound = ("--pool", "dmz", "--environment", "prod", "command")
    cluster = new_cluster(
        environ=environ, workers=[bound, ("command",), ("--pool", "lab", "--environment", "lab", "command")]
    )
    cluster.start()
    with cluster.client() as client:
        client.set_secret("tests/prod/db", VALUE)
        wanted = {("dmz", "prod"), (None,), ("lab", "lab")}
        wait_until("the workers have registered", lambda: _places(client) == wanted, PATIENCE)
        inside = begin(client, _book("dmz", "inside"))
        assert ended(client, inside)["status"] == "completed"
        wait_until("its line is there", lambda: printed(client, inside) == ["has [redacted]"], PATIENCE)
        outside = begin(client, _book("", "outside"))
        assert "bound to no environment" in ended(client, outside)["reason"]
        nowhere = begin(client, _book("attic", "nowhere"))
        assert (
            "no worker of the pool attic for the environment prod offers command:Run"
            in ended(client, nowhere)["reason"]
        )


def test_a_worker_without_a_store_has_artifacts_from_a_core(new_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = new_cluster(workers=[("file",)])
    cluster.start()
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    for one in (tmp_path, *tmp_path.parents[:2]):
        one.chmod(one.stat().st_mode | 0o001)
    path = place / "there"
    step = f"{{'file:Copy': {{artifact: shop-1, member: web/app, path: {path}, mode: '0644'}}}}"
    with cluster.client() as client:
        content = os.urandom(3_000_000)
        client.push_artifact("shop-1", [tgz({"web/app": content})], {}, "tests", "files")
        found = ended(client, begin(client, steps_book(step)))
        assert found["status"] == "completed", found["reason"]
    assert path.read_bytes() == content
