"""Workers, connections and hosts die while recorded steps run: no program begins twice, and journals say what records say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.hosts_campaign import Round, opened
from tests.services.broker import RabbitMQ
from tests.services.recipe import Place
from tests.services.sshd import running


@pytest.mark.long
@pytest.mark.timeout(200)
@pytest.mark.service("sshd")
def test_workers_connections_and_hosts_may_die_and_each_program_begins_once(
    tmp_path: Path, rabbitmq: RabbitMQ, sshd: Place, seed: int
) -> None:
    for number in range(2):
        data = tmp_path / f"host{number}"
        data.mkdir()
        with (
            rabbitmq.vhost() as url,
            running(sshd, data, "web1") as server,
            opened(tmp_path / f"engine{number}", url, server) as site,
        ):
            played = Round(site, server, seed + number)
            assert played.play() == [], (seed + number, dict(played.happened))
