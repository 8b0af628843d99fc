"""A MongoDB server as a test sees it: databases of its own. Must not know how the server was started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit
from uuid import uuid4

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from tests.services.lending import lent
from tests.services.unavailable import Unavailable

#: Milliseconds until a server counts as not answering.
ANSWER_TIMEOUT = 20_000
#: What a mongod answers that belongs to no replica set yet.
NOT_YET_INITIALIZED = 94


class MongoDB:
    """A server. `url` is a `mongodb://` URL that names no database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._emptied: list[str] = []

    def database(self) -> AbstractContextManager[str]:
        """The URL of a fresh database, which is dropped when the block ends."""
        return lent(self.new_database, self.drop_database)

    def emptied_database(self) -> AbstractContextManager[str]:
        """The URL of a database without documents, whose collections and indexes may be those of an earlier block.

        Making those costs the server half a second. What changes them, or goes on writing after the block, takes
        `database`. `drop_emptied` ends all of them.
        """
        return lent(self._take_emptied, self._empty)

    def drop_emptied(self) -> None:
        """Drop the databases that were lent more than once."""
        while self._emptied:
            self.drop_database(self._emptied.pop())

    def new_database(self) -> str:
        """The URL of a fresh database; it comes into being with the first document."""
        parts = urlsplit(self.url)
        options = parse_qs(parts.query)
        if parts.username:
            # Without this the driver looks for the user in the database that the URL names.
            options.setdefault("authSource", ["admin"])
        query = urlencode(options, doseq=True)
        return urlunsplit((parts.scheme, parts.netloc, f"/t{uuid4().hex}", query, ""))

    def drop_database(self, url: str) -> None:
        """Drop the database of that URL with all in it."""
        with self.client() as client:
            client.drop_database(urlsplit(url).path[1:])

    def _take_emptied(self) -> str:
        return self._emptied.pop() if self._emptied else self.new_database()

    def _empty(self, url: str) -> None:
        with self.client() as client:
            database = client[urlsplit(url).path[1:]]
            for name in database.list_collection_names():
                database[name].delete_many({})
        self._emptied.append(url)

    @contextmanager
    def client(self) -> Iterator[MongoClient[Mapping[str, Any]]]:
        """A client of the server, closed when the block ends."""
        with MongoClient[Mapping[str, Any]](self.url, serverSelectionTimeoutMS=ANSWER_TIMEOUT) as client:
            yield client

    def check(self) -> None:
        """Raise Unavailable unless the server answers and lets us in."""
        try:
            with self.client() as client:
                client.list_database_names()
        except PyMongoError as error:
            raise Unavailable(f"no MongoDB answers at {urlsplit(self.url).hostname}: {error}") from error

    def leads(self, replica_set: str, member: str) -> bool:
        """Whether the server, `host:port`, leads a replica set of its own; makes the set where there is none."""
        with self.client() as client:
            try:
                client.admin.command("replSetGetStatus")
            except OperationFailure as error:
                if error.code != NOT_YET_INITIALIZED:
                    raise
                members = [{"_id": 0, "host": member}]
                client.admin.command("replSetInitiate", {"_id": replica_set, "members": members})
            return bool(client.admin.command("hello")["isWritablePrimary"])


def named(url: str) -> MongoDB:
    """The server of a `mongodb://` URL; a database that it names is left alone. Raises Unavailable."""
    parts = urlsplit(url)
    if parts.scheme not in {"mongodb", "mongodb+srv"}:
        raise ValueError(f"RE_TEST_MONGO_URL is mongodb://…, not {url!r}")
    options = parse_qs(parts.query)
    if parts.username and parts.path.strip("/"):
        options.setdefault("authSource", [parts.path.strip("/")])
    server = MongoDB(urlunsplit((parts.scheme, parts.netloc, "/", urlencode(options, doseq=True), "")))
    server.check()
    return server
