"""A client of one database, and its collections with the guarantees that the engine needs. Must not know any document.

Writes are acknowledged once a majority has them in its journal. Reads go to the primary; on a replica set they see what
a majority has and nothing that could still be rolled back. So a reader of an entry may act on it (decision 0009).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, ConfigurationError, InvalidURI, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from re_core.adapters.mongo.failures import CAUGHT, duplicates, translate_error
from re_core.errors import BadSettings, StoreRefused, StoreUnavailable

#: a document as it goes in and comes out
Document = dict[str, Any]

#: the database where the URL names none
DEFAULT_NAME = "re"

#: milliseconds that a majority may take to confirm a write
_CONFIRM = 10_000

#: milliseconds, where the URL does not say otherwise: to find a server, to connect, for an answer, for a free connection
_TIMES: dict[str, Any] = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 20_000,
    "waitQueueTimeoutMS": 20_000,
}

#: seconds that a document which is there may take to be seen by a majority, and between two looks
SEEN, _LOOK = 5.0, 0.05

#: MongoDB 6.0, the oldest server that is kept up
_WIRE = 17

_Row = TypeVar("_Row")

_log = logging.getLogger(__name__)


class Database:
    """Thread-safe. Not fork-safe."""

    def __init__(self, url: str) -> None:
        """Connects. Raises BadSettings for a URL that is none, StoreRefused, StoreUnavailable."""
        options, name, hosts = _parsed(url)
        times = {key: value for key, value in _TIMES.items() if key not in options}
        #: for messages: the servers and the database, without user and password
        self.where = f"mongodb://{hosts}/{name}"
        with self.translating_errors():
            self._client: MongoClient[Document] = MongoClient(url, appname="release-engine", tz_aware=False, **times)
        try:
            with self.translating_errors():
                reading = self._reading()
        except BaseException:
            self._client.close()
            raise
        database = self._client.get_database(
            name,
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority", wtimeout=_CONFIRM, j=True),
            read_concern=reading,
        )
        self.raw = database
        self.meta = database["meta"]
        self.checks = database["checks"]
        self.journal = database["journal"]
        self.parts = database["parts"]
        self.views = database["views"]
        self.feed = database["feed"]
        self.requests = database["requests"]
        self.holds = database["holds"]
        self.playbooks = database["playbooks"]
        self.output = database["output"]
        self.workers = database["workers"]
        self.dead_letters = database["dead_letters"]
        self.tokens = database["tokens"]
        self.runners = database["runners"]
        self.releases = database["releases"]
        self.gateways = database["gateways"]
        self.artifacts = database["artifacts"]
        self.artifact_contents = database["artifact_contents"]
        self.artifact_pieces = database["artifact_pieces"]
        self.artifact_uses = database["artifact_uses"]
        self.pipelines = database["pipelines"]
        self.cdpm_positions = database["cdpm_positions"]
        self.cdpm_keys = database["cdpm_keys"]
        self.cdpm_files = database["cdpm_files"]
        self.apps = database["apps"]
        self.app_configs = database["app_configs"]
        self.zones = database["zones"]
        self.app_logs = database["app_logs"]
        self.secrets = database["secrets"]
        self.notified = database["notified"]
        self.hosts, self.credentials = database["hosts"], database["credentials"]

    @contextmanager
    def translating_errors(self) -> Iterator[None]:
        """Raises StoreUnavailable or StoreRefused for whatever the driver or the server raises in the block."""
        try:
            yield
        except CAUGHT as error:
            raise translate_error(self.where, error) from error

    def add(self, collection: Collection[Document], documents: list[Document]) -> list[int]:
        """Insert all at once; places of those whose key was there already. Raises StoreRefused, StoreUnavailable."""
        if not documents:
            return []
        with self.translating_errors():
            return insert_all(collection, documents)

    def add_or_find(self, collection: Collection[Document], document: Document) -> Document:
        """Insert it unless its key is there; the document that stands now. Raises StoreRefused, StoreUnavailable."""
        return self.add_or_find_all(collection, [document])[document["_id"]]

    def add_or_find_all(self, collection: Collection[Document], documents: list[Document]) -> dict[Any, Document]:
        """Insert each unless its key is there; key -> the document that stands now. Raises StoreRefused, StoreUnavailable."""
        end = time.monotonic() + SEEN
        standing = {document["_id"]: document for document in documents}
        while there := self.add(collection, documents):
            keys = [documents[place]["_id"] for place in there]
            with self.translating_errors():
                found = {document["_id"]: document for document in collection.find({"_id": {"$in": keys}})}
            standing.update(found)
            documents = [standing[key] for key in keys if key not in found]
            if not documents:
                break
            self.wait_until_seen(end)  # or it was deleted between the two
        return standing

    def wait_until_seen(self, end: float) -> None:
        """A document is there that a majority has not confirmed, so it may still be rolled back: wait a little.

        Raises StoreUnavailable once it is `end` by the monotonic clock.
        """
        if time.monotonic() > end:
            raise StoreUnavailable(
                f"store {self.where}: a majority of the replica set does not confirm reads; check its members"
            )
        time.sleep(_LOOK)

    def readable(
        self, name: str, documents: Iterable[Document], read: Callable[[Document], _Row]
    ) -> Iterator[tuple[Document, _Row]]:
        """What `read` makes of each; a document that is not ours is passed over and logged."""
        for document in documents:
            row = attempted(document, read)
            if row is None:
                _log.warning(
                    "store %s: %s; it is skipped",
                    self.where,
                    foreign(name, document),
                    extra={"action": "pass_over"},
                )
            else:
                yield document, row

    def own(self, name: str, document: Document, read: Callable[[Document], _Row]) -> _Row:
        """What `read` makes of it. Raises StoreRefused for a document that is not ours."""
        row = attempted(document, read)
        if row is None:
            raise StoreRefused(f"store {self.where}: {foreign(name, document)}; remove it")
        return row

    def ping(self) -> None:
        """Raises StoreUnavailable where the server cannot be written to just now."""
        with self.translating_errors():
            self._client.admin.command("ping", read_preference=ReadPreference.PRIMARY)

    def close(self) -> None:
        """Twice is the same as once."""
        self._client.close()

    def _reading(self) -> ReadConcern:
        """A server alone has nothing to roll back, and need not know of majorities."""
        hello = self._client.admin.command("hello")
        if hello.get("maxWireVersion", 0) < _WIRE:
            raise StoreRefused(f"store {self.where}: the server is older than MongoDB 6.0; upgrade it")
        shared = "setName" in hello or hello.get("msg") == "isdbgrid"
        return ReadConcern("majority" if shared else "local")


def attempted(document: Document, read: Callable[[Document], _Row]) -> _Row | None:
    """What `read` makes of it; None where it cannot."""
    try:
        return read(document)
    except (KeyError, TypeError, ValueError, AttributeError, StoreRefused):
        return None


def foreign(name: str, document: Document) -> str:
    """Says which document is not ours."""
    return f"the document {str(document.get('_id'))[:80]!r} in {name} was not written by the engine, or is damaged"


def texts(document: Document, *names: str) -> list[str]:
    """What stands there. Raises KeyError or TypeError where one of them is no text."""
    found = [document[name] for name in names]
    if not all(isinstance(one, str) for one in found):
        raise TypeError(f"expected text in {', '.join(names)}")
    return found


def _parsed(url: str) -> tuple[dict[str, Any], str, str]:
    """Options, database and hosts of the URL."""
    try:
        parsed = parse_uri(url)
    except (InvalidURI, ConfigurationError, ValueError):  # its text may hold the password
        raise BadSettings(
            "RE_STORE_URL: not a URL of MongoDB; expected mongodb://user:password@host:27017/database, "
            "with every special character of user and password percent-encoded"
        ) from None
    except PyMongoError as error:
        raise translate_error("mongodb+srv", error) from error
    hosts = ",".join(host if port is None else f"{host}:{port}" for host, port in parsed["nodelist"])
    return dict(parsed["options"]), parsed["database"] or DEFAULT_NAME, hosts


def insert_all(collection: Collection[Document], documents: list[Document]) -> list[int]:
    """Insert all at once; places of those whose key was there already. Raises what the driver raises."""
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        there = duplicates(error)
        if there is None:
            raise
        return there
    return []
