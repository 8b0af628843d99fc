"""A token that one front end revokes opens nothing on another, and ends what is open there."""

from __future__ import annotations

from pathlib import Path

import pytest

from re_client.api import Client
from re_client.errors import NotAuthorized
from tests import plain_http
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.deploying import PATIENCE, begin, ended, run_step, steps_book
from tests.e2e.engine_process import wait_until

pytestmark = [pytest.mark.service("rabbitmq"), pytest.mark.service("mongodb")]


def _is_refused(client: Client) -> bool:
    try:
        client.groups()
    except NotAuthorized:
        return True
    return False


@pytest.mark.long
def test_a_revoked_token_ends_a_stream_of_another_front_end(new_cluster: MakeCluster, tmp_path: Path) -> None:
    cluster = new_cluster(rests=2)
    cluster.start()
    with cluster.client() as root:
        id = begin(root, steps_book(run_step(f"while ! test -e {tmp_path}/go; do sleep 0.05; done")))
        made = root.create_token("ann", ["tests"])
        headers = {"authorization": f"Bearer {made['token']}"}
        address = f"{cluster.url(1)}/api/v1/deployments/{id}/events"
        with plain_http.stream("GET", address, headers=headers, timeout=PATIENCE) as stream:
            told = stream.iter_text()
            assert "event: state" in next(told)
            root.revoke_token(made["id"])
            assert "revoked" in "".join(told)
        with Client(cluster.url(1), made["token"]) as ann:
            wait_until("the other front end refuses it", lambda: _is_refused(ann), PATIENCE)
        assert root.deployment(id)["ended"] is None
        (tmp_path / "go").touch()
        assert ended(root, id)["status"] == "completed"
