"""An engine of several processes on RabbitMQ and MongoDB, as the body of a pipeline node. Must not know what a test is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.fernet import Fernet

from re_client.api import Client
from tests.cluster.cluster import Cluster, answers
from tests.cluster.member import Member
from tests.e2e.engine_process import EngineProcess
from tests.services.broker import RabbitMQ
from tests.services.documents import MongoDB


class ClusterEngine(EngineProcess):
    """A front end, a core and a worker, where others are one process."""

    def __init__(self, directory: Path, bus_url: str, store_url: str) -> None:
        super().__init__(directory)
        key = directory / "secret.key"
        key.write_bytes(Fernet.generate_key())
        key.chmod(0o600)
        self.environ.update(RE_BUS_URL=bus_url, RE_STORE_URL=store_url, RE_SECRET_KEY_FILE=str(key))
        self._cluster: Cluster | None = None

    def spawn(self, own_group: bool = False) -> None:
        """See EngineProcess."""
        own = {name: value for name, value in self.environ.items() if name.startswith("RE_") and name != "RE_DATA_DIR"}
        bus, store = self.environ["RE_BUS_URL"], self.environ["RE_STORE_URL"]
        made = Cluster(self.directory / "cluster", bus, store, rests=0, workers=[("command",)], environ=own)
        url = f"http://{self.environ['RE_HTTP']}"
        made.rests.append(
            Member("rest-0", ["re-rest"], made.environ("rest-0"), made.directory, lambda: answers(url), family=True)
        )
        self.data.mkdir(exist_ok=True)
        (self.data / "url").write_text(url)
        (self.data / "token").write_text(made.token())
        self._cluster = made
        for member in made.members:
            member.spawn()

    def await_ready(self) -> None:
        """See EngineProcess."""
        assert self._cluster is not None
        for member in self._cluster.members:
            member.await_ready()

    def client(self) -> Client:
        """See EngineProcess."""
        return Client((self.data / "url").read_text(), (self.data / "token").read_text())

    def stop(self) -> int:
        """See EngineProcess."""
        self.end()
        return 0

    def end(self) -> None:
        """See EngineProcess."""
        if self._cluster is not None:
            self._cluster.__exit__(None, None, None)
            self._cluster = None


@contextmanager
def cluster_engine(directory: Path, rabbitmq: RabbitMQ, mongodb: MongoDB) -> Iterator[ClusterEngine]:
    """One that has a virtual host and a database of its own, while the block lasts."""
    directory.mkdir()
    with rabbitmq.vhost() as bus_url, mongodb.database() as store_url:
        engine = ClusterEngine(directory, bus_url, store_url)
        try:
            yield engine
        finally:
            engine.end()
