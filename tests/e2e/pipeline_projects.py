"""Projects whose pipelines vote on each other's releases: an engine each, its playbooks, its node. Must not know what a test is about.

What the playbooks did is read from the files that their steps wrote, not from the engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import yaml

from re_client.api import Client
from re_client.transport import Transport
from re_core import bootstrap
from re_core.cdpm import records as r
from re_core.cdpm.ids import pipeline_key
from re_core.ports import every_entry
from re_core.runtime.settings import load
from tests.e2e.deploying import PATIENCE, ended
from tests.e2e.engine_process import EngineProcess, wait_until
from tests.e2e.pipeline_network import Network

#: what all of them publish, and subscribe to
REF = {"ref_type": "branch", "ref": "main"}

#: a version with this in it does not pass the tests of those who build with it
BAD = "bad"

#: name of a playbook -> the command line of its step, which may run again after a crash
_LINES = {
    "release": 'echo "$RE_DYNAMIC_VERSION" >> released',
    "try": 'echo "${RE_ATTEMPT%%/*} $RE_DYNAMIC_RELEASE_VERSION" >> tried; '
    f'case "$RE_DYNAMIC_RELEASE_VERSION" in *{BAD}*) echo "it breaks"; exit 1;; esac',
    "announce": 'echo "$RE_DYNAMIC_RELEASE_VERSION $RE_DYNAMIC_VERDICT" >> followed',
    "rollback": 'echo "$RE_DYNAMIC_RELEASE_VERSION $RE_DYNAMIC_VERDICT" >> followed',
}


class Project:
    """A project called `name`, whose group and node are called so too. Its engine has to be running for most of it."""

    def __init__(self, name: str, network: Network, engine: EngineProcess) -> None:
        self.name, self.network = name, network
        self.engine = network.join(name, engine)
        self.source = network.source(name)
        self.id = ""
        self._peers: dict[str, Any] = {}

    def client(self) -> Client:
        """Of its team."""
        return self.engine.client()

    # -- the node ----------------------------------------------------------------------------------

    def create(self, **document: Any) -> None:
        """Store the playbooks and the node. Its first key is made; the engine reads its cdpm.yml in `refresh`."""
        with self.client() as client:
            for name in _LINES:
                client.apply_playbook(self._playbook(name).encode())
        node = {"node": f"{self.name}/{self.name}", "source": self.source, **document}
        self.id = self._send("POST", "", json=node)["id"]

    def node(self) -> dict[str, Any]:
        """As its team sees it."""
        found: dict[str, Any] = self._send("GET", f"/{self.id}")
        return found

    def rotate(self) -> str:
        """The public half of a new key, which is used once it is committed."""
        return str(self._send("POST", f"/{self.id}/rotate", json={})["public_key"])

    def commit(
        self,
        dependencies: Mapping[str, str] | None = None,
        dependents: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Commit a cdpm.yml with the newest key and these peers, name -> URL or entry; without any: those of the last one."""
        if dependencies is not None or dependents is not None:
            self._peers = {
                "Dependencies": {name: {"url": url} for name, url in (dependencies or {}).items()},
                "Dependents": dict(dependents or {}),
            }
        node = {"public-key": self.node()["keys"][-1]["public_key"], "url": self.network.url(self.name)}
        self.network.publish(self.name, yaml.safe_dump({"Pipeline-node": node, **self._peers}))

    def refresh(self) -> None:
        """Let the engine read the cdpm.yml now."""
        self._send("POST", f"/{self.id}/refresh")

    def await_joined(self) -> None:
        """Wait until it is subscribed to a dependency."""
        wait_until(f"{self.name} is subscribed", lambda: self.node()["joined"] > 0, PATIENCE)

    def _send(self, method: str, path: str, **request: Any) -> Any:
        data = self.engine.data
        with closing(Transport((data / "url").read_text().strip(), (data / "token").read_text().strip())) as http:
            return http.json(method, f"/api/v1/cdpm/nodes{path}", **request)

    # -- releases ----------------------------------------------------------------------------------

    def begin(self, version: str) -> str:
        """Start the release playbook; the deployment."""
        with self.client() as client:
            book = next(one["id"] for one in client.playbooks(self.name) if one["name"] == "release")
            return client.deploy(self.name, book, {"version": version})["id"]

    def release(self, version: str) -> None:
        """Make the release of this version."""
        before = self.node()["release"] or 0
        id = self.begin(version)
        with self.client() as client:
            assert ended(client, id)["status"] == "completed"
        wait_until(f"{version} is released", lambda: self.node()["release"] == before + 1, PATIENCE)

    # -- what its playbooks did --------------------------------------------------------------------

    def wrote(self, file: str) -> list[str]:
        """The lines that steps wrote into it."""
        path = self.engine.directory / file
        return path.read_text().splitlines() if path.exists() else []

    def await_line(self, file: str, line: str, seconds: float = PATIENCE) -> None:
        """Wait until a step wrote this line."""
        wait_until(f"{file} of {self.name} has {line!r}", lambda: line in self.wrote(file), seconds)

    def built(self) -> list[tuple[str, str]]:
        """Deployment and version of each build of a release of another project, as they began; repeated ones of a step once."""
        return list(dict.fromkeys((line.split()[0], line.split()[1]) for line in self.wrote("tried")))

    def await_built(self, *versions: str) -> None:
        """Wait until it has begun to build these, and assert that these are all, each once, in this order."""
        wait_until(f"{self.name} builds {versions}", lambda: len(self.built()) >= len(versions), PATIENCE)
        assert [version for _, version in self.built()] == list(versions)

    def _playbook(self, name: str) -> str:
        line = f"cd {self.engine.directory} && {{ {_LINES[name]}; }}"
        run: dict[str, Any] = {"cmd": line, **({"dynamic": ["version"]} if name == "release" else {})}
        steps = [{"command:Run": run, "idempotent": True}]
        return json.dumps({"group": self.name, "name": name, "execution": [{"hosts": ["one"], "steps": steps}]})

    # -- what its journal says ---------------------------------------------------------------------

    def stop(self) -> Journal:
        """Stop the engine; the node's journal."""
        assert self.engine.stop() == 0
        with closing(bootstrap.open_store(load(self.engine.environ))) as store:
            entries = every_entry(store, pipeline_key(self.id))
            return Journal([one for entry in entries for one in entry.records])


class Journal:
    """The records of a node."""

    def __init__(self, records: list[Any]) -> None:
        self._records = records

    def counted(self) -> list[tuple[str, str, str]]:
        """Version, URL of the voter, and vote, of each that was counted on an own release, in order."""
        versions = {one.n: one.document["new_version"] for one in self._all(r.Released)}
        urls = {one.subscription: one.url for one in self._all(r.PeerSubscribed)}
        votes = [one for one in self._all(r.VoteCounted) if one.counts]
        return [(versions[one.release], urls[one.subscription], one.value) for one in votes]

    def voted(self) -> list[tuple[str, str]]:
        """Version and vote of each own vote, in order."""
        received = {(one.id, one.created_at): one.document["new_version"] for one in self._all(r.Received)}
        return [(received[one.id, one.created_at], one.value) for one in self._all(r.Voted)]

    def _all(self, kind: type[Any]) -> list[Any]:
        return [one for one in self._records if isinstance(one, kind)]


def library(name: str = "fog") -> dict[str, Any]:
    """The document of a node that releases: one vote promotes or demotes."""
    return {
        "refs": [REF],
        "release": {"playbook": f"{name}/release", "artifacts": ["https://repo.example/{version}.gem"]},
        "promote": {"stable": "all of majors", "within": "24h"},
        "demote": {"unstable": 1},
        "on": {"promoted": f"{name}/announce", "demoted": f"{name}/rollback"},
    }


def dependent(name: str) -> dict[str, Any]:
    """The document of a node that builds what others release."""
    return {"refs": [REF], "trials": {"playbook": f"{name}/try", "builds": "all", "most_per_hour": 1000}}
