"""A real server that speaks MongoDB's protocol: `mongod`, or PostgreSQL with DocumentDB behind FerretDB.

Must not know what the tests store in it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.services import mongo_wire
from tests.services.documents import MongoDB
from tests.services.places import InServiceRoot
from tests.services.recipe import Place, Recipe
from tests.services.server import LOOPBACK, Group, Server, free_ports
from tests.services.service_root import run

RECIPE = Recipe(
    name="mongodb",
    variable="RE_TEST_MONGO_URL",
    program="mongod",
    packages=("postgresql-18", "postgresql-18-documentdb"),
    user="postgres",
    # PostgreSQL waits for its clients on SIGTERM; on SIGINT it sends them away.
    ends_by=signal.SIGINT,
    build=mongo_wire.build,
    image="mongo:8",
    image_user="mongodb",
)
#: Gives durability away for speed.
FAST_VARIABLE = "RE_TEST_FAST"
#: Where Debian keeps PostgreSQL's programs.
POSTGRESQL = "/usr/lib/postgresql/18/bin"
#: Name of the replica set that a mongod of the tests is alone in.
REPLICA_SET = "rs0"

_SETTINGS = """
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
max_connections = 300
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
cron.database_name = 'postgres'
"""
_FAST_SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""
_CONTENT = ("CREATE EXTENSION documentdb CASCADE", """CREATE ROLE "user" SUPERUSER LOGIN PASSWORD 'password'""")


class MongoServer(MongoDB, Group):
    """A server that a test may kill, freeze and start again with the data that it had."""

    def __init__(self, url: str, servers: list[Server]) -> None:
        MongoDB.__init__(self, url)
        Group.__init__(self, servers)


@contextmanager
def mongodb_server(place: Place, data: Path) -> Iterator[MongoServer]:
    """A server of our own on free ports, its files in `data`, gone when the block ends. Raises Unavailable."""
    server = _documentdb(place, data) if isinstance(place, InServiceRoot) else _mongod(place, data)
    try:
        server.start()
        server.check()
        yield server
    finally:
        server.stop()


@contextmanager
def running(place: Place, data: Path) -> Iterator[MongoDB]:
    """A server as all tests may share it: what is given goes to any process, and can neither stop nor start it."""
    with mongodb_server(place, data) as server:
        yield MongoDB(server.url)


def _mongod(place: Place, data: Path) -> MongoServer:
    [port] = free_ports(1)
    files = data / "db"
    files.mkdir()
    files.chmod(0o777)
    member, url = f"{LOOPBACK}:{port}", f"mongodb://{LOOPBACK}:{port}/?directConnection=true"
    options = ["--bind_ip", LOOPBACK, "--port", str(port), "--dbpath", f"{place.seen(data)}/db"]
    command = ["mongod", "--replSet", REPLICA_SET, *options]
    ready = partial(MongoDB(url).leads, REPLICA_SET, member)
    return MongoServer(url, [_server(place, data, command, port, ready)])


def _documentdb(place: Place, data: Path) -> MongoServer:
    port, sql_port = free_ports(2)
    seen = place.seen(data)
    _fill(place, data, sql_port)
    sql = _server(place, data, [f"{POSTGRESQL}/postgres", "-D", f"{seen}/db"], sql_port, partial(_accepts, data / "db"))
    sql_url = f"postgres://user@{LOOPBACK}:{sql_port}/postgres"
    wire = _server(place, data, [mongo_wire.program(), sql_url, f"{LOOPBACK}:{port}", f"{seen}/wire"], port)
    return MongoServer(f"mongodb://user:password@{LOOPBACK}:{port}/", [sql, wire])


def _server(
    place: Place, data: Path, command: Sequence[str], port: int, ready: Callable[[], bool] | None = None
) -> Server:
    argv, log = place.argv(RECIPE, command, data), data / f"{Path(command[0]).name}.log"
    return Server(argv, [port], log, ready=ready, ends_by=RECIPE.ends_by, signaller=place.deliver)


def _fill(place: Place, data: Path, port: int) -> None:
    """Make PostgreSQL's files, with the extension and the user in them."""
    seen = place.seen(data)
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", f"--pgdata={seen}/db"]
    run(place.argv(RECIPE, [f"{POSTGRESQL}/initdb", *options], data))
    fast = _FAST_SETTINGS if os.environ.get(FAST_VARIABLE) else ""
    with (data / "db/postgresql.conf").open("a") as file:
        file.write(_SETTINGS.format(host=LOOPBACK, port=port) + fast)
    command = [f"{POSTGRESQL}/postgres", "-D", f"{seen}/db"]
    with _server(place, data, command, port, partial(_accepts, data / "db")):
        where = [f"--host={LOOPBACK}", f"--port={port}", "--username=postgres", "--dbname=postgres"]
        orders = [f"--command={order}" for order in _CONTENT]
        run(place.argv(RECIPE, [f"{POSTGRESQL}/psql", "--quiet", "--no-psqlrc", *where, *orders], data))


def _accepts(files: Path) -> bool:
    """Whether PostgreSQL is through with its recovery: the last line of its lock file is its state."""
    return (files / "postmaster.pid").read_text().splitlines()[-1].strip() == "ready"
