"""Apps in a cluster: centers, a builder and a zone as processes of their own, on RabbitMQ and MongoDB, killed while a push goes on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dploylib.transport import curve
from re_core.adapters.peering.seal import make_file
from tests.architecture.tree import ROOT
from tests.cluster.cluster import Cluster
from tests.cluster.member import Member
from tests.e2e.cluster.conftest import MakeCluster
from tests.e2e.engine_process import wait_until
from tests.integration.dploy.zone_harness import SERVER, end_all
from tests.integration.dploy.zone_harness import free_ports as port_range
from tests.services.server import free_ports

#: seconds for what takes ten
PATIENCE = 120.0


class Dploy:
    """A cluster with a zone: two centers, of which one runs, and a builder."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster, self._directory = cluster, directory
        keys = directory / "keys"
        keys.mkdir()
        center, zone = curve.new_keys(), curve.new_keys()
        curve.write(center, keys, "center")
        first = _in_a_row(4)[0]
        zones = directory / "zones.yml"
        zones.write_text(yaml.safe_dump({"eu": {"uri": f"tcp://127.0.0.1:{first}", "key": zone.public}}))
        self._listen = _in_a_row(5)[0]
        self._environ = {
            "RE_DPLOY": "1",
            "RE_DPLOY_LISTEN": f"127.0.0.1:{self._listen}",
            "RE_DPLOY_ZONES": str(zones),
            "RE_DPLOY_KEYS_DIR": str(keys),
            "RE_SECRET_KEY_FILE": str(directory / "secret.key"),
        }
        own = {"secret_key": zone.secret}
        servers = {
            name: {"uri": f"tcp://127.0.0.1:{first + place}", "curve": {**own, "clients": [center.public]}}
            for place, name in enumerate(("deploy", "stop", "control", "status"))
        }
        begin, end = port_range(40)
        fetch = {"uri": f"tcp://127.0.0.1:{self._listen + 4}", "curve": {**own, "server_key": center.public}}
        self._zone_dir = directory / "zone"
        general = {
            "zone": "eu",
            "directory": str(self._zone_dir),
            "ports": f"{begin}-{end}",
            "min_free": 0,
            "center": fetch,
            "at_stop": "end",
            "grace": 1,
        }
        self._config = directory / "zone.yml"
        self._config.write_text(yaml.safe_dump({"general": general, "servers": {"zone": servers}}))
        self._zone: subprocess.Popen[bytes] | None = None

    def member(self, part: str, number: int = 0) -> Member:
        """A part of the cluster, not started yet. Only one center listens at a time: they have one address."""
        name = f"{part}-{number}"
        ready = self.cluster.directory / f"{name}.ready"
        environ = self.cluster.environ(name) | self._environ
        argv = [sys.executable, "-m", "re_dploy", part, "--ready-file", str(ready)]
        made = Member(name, argv, environ, self.cluster.directory, ready.exists, ready_file=ready)
        self.cluster.gateways.append(made)
        return made

    def start_zone(self) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RE_")}
        environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'schemas'}"
        argv = [sys.executable, "-m", "re_dploy", "zone", "--config", str(self._config)]
        with (self._directory / "agent.log").open("ab") as log:
            self._zone = subprocess.Popen(argv, env=environ, stdout=log, stderr=log, cwd=self._directory)

    def end(self) -> None:
        if self._zone is not None:
            self._zone.terminate()
            self._zone.wait(PATIENCE)
        file = self._zone_dir / "zone.json"
        if file.exists():
            end_all(str(yaml.safe_load(file.read_text())["id"]))

    def push(self, text: str) -> int:
        """Queue a release of the app; its number."""
        with self.cluster.client() as client:
            said = client.apps.push("shop", [_archive(text)])
        assert said["release"], said
        return int(said["release"])

    def release(self, number: int) -> dict[str, Any]:
        with self.cluster.client() as client:
            return dict(client.apps.release("shop", number))

    def answers(self) -> str:
        """What clients of the app get."""
        with self.cluster.client() as client:
            addresses = client.apps.routes("shop")["addresses"]
        if not addresses:
            return ""
        with urllib.request.urlopen(f"http://{addresses[0]}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())


@pytest.fixture
def dploy(new_cluster: MakeCluster, tmp_path: Path) -> Iterator[Dploy]:
    cluster = new_cluster(workers=(), environ={"RE_SECRET_KEY_FILE": str(tmp_path / "secret.key"), "RE_DPLOY": "1"})
    made = Dploy(cluster, tmp_path)
    yield made
    made.end()


def _in_a_row(many: int) -> list[int]:
    """Free ports that follow each other."""
    while True:
        [first] = free_ports(1)
        if first + many < 65_000:
            return [first + place for place in range(many)]


def _archive(text: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in {"Procfile": "web: python3 web.py\n", "web.py": SERVER, "version.txt": text}.items():
            member = tarfile.TarInfo(f"shop/{name}")
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return out.getvalue()


@pytest.mark.long
@pytest.mark.timeout(400)
def test_what_was_pushed_runs_though_center_and_builder_are_killed_meanwhile(dploy: Dploy, tmp_path: Path) -> None:
    make_file(tmp_path / "secret.key")
    dploy.cluster.start()
    center, builder = dploy.member("center"), dploy.member("build")
    for part in (center, builder):
        part.start()
    dploy.start_zone()
    with dploy.cluster.client() as client:
        wait_until("the zone is known", lambda: [one["name"] for one in client.apps.zones()] == ["eu"], PATIENCE)
        client.apps.create("shop", "web")
    first = dploy.push("one")
    _await(dploy, first)
    wait_until("v1 answers", lambda: dploy.answers().startswith("v1 "), PATIENCE)

    second = dploy.push("two")
    center.kill()
    dploy.member("center", 1).start()
    _await(dploy, second)
    wait_until("v2 answers", lambda: dploy.answers().startswith("v2 "), PATIENCE)

    third = dploy.push("three")
    builder.kill()
    dploy.member("build", 1).start()
    _await(dploy, third)
    wait_until("v3 answers", lambda: dploy.answers().startswith("v3 "), PATIENCE)
    with dploy.cluster.client() as client:
        assert [(one["release"], one["status"]) for one in client.apps.releases("shop")] == [
            (3, "succeeded"),
            (2, "succeeded"),
            (1, "succeeded"),
        ]


def _await(dploy: Dploy, number: int) -> None:
    wait_until(f"v{number} is over", lambda: dploy.release(number)["status"] in ("succeeded", "failed"), PATIENCE)
    done = dploy.release(number)
    assert done["status"] == "succeeded", done
