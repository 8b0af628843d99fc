"""Processes on a real broker: a step of a pool runs in that pool alone, and a secret of an environment only where it is bound."""

from __future__ import annotations

from pathlib import Path

from cryptography.fernet import Fernet

from re_client.api import Client
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, printed
from tests.e2e.engine_process import wait_until

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
        assert printed(client, inside) == ["has [redacted]"]
        outside = begin(client, _book("", "outside"))
        assert "bound to no environment" in ended(client, outside)["reason"]
        nowhere = begin(client, _book("attic", "nowhere"))
        assert (
            "no worker of the pool attic for the environment prod offers command:Run"
            in ended(client, nowhere)["reason"]
        )
