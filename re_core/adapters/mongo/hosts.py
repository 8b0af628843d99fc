"""What people say of hosts by the API. Must not know what that means.

One document, as text: names of hosts have dots, which keys of documents should not have.
"""

from __future__ import annotations

import json

from re_core.adapters.mongo.database import Database, Document
from re_core.rows import StoredHosts
from re_core.wire import strict_json

_ID = "hosts"


class HostsPart:
    """See ports.HostRows."""

    _database: Database

    def hosts_version(self) -> int:
        """See ports.HostRows."""
        with self._database.translating_errors():
            found = self._database.hosts.find_one({"_id": _ID}, {"version": 1})
        return 0 if found is None else self._database.own("hosts", found, lambda document: int(document["version"]))

    def stored_hosts(self) -> StoredHosts:
        """See ports.HostRows. Raises StoreRefused for a document that is none of ours."""
        with self._database.translating_errors():
            found = self._database.hosts.find_one({"_id": _ID})
        return StoredHosts() if found is None else self._database.own("hosts", found, hosts_of)

    def save_hosts(self, hosts: StoredHosts) -> bool:
        """See ports.HostRows."""
        database = self._database
        document: Document = {"_id": _ID, "version": hosts.version, "document": strict_json.dumps(hosts.hosts)}
        if hosts.version == 1:
            return database.add_or_find(database.hosts, document) == document
        with database.translating_errors():
            done = database.hosts.update_one({"_id": _ID, "version": hosts.version - 1}, {"$set": document})
            return done.matched_count == 1 or database.hosts.find_one({"_id": _ID}) == document


def hosts_of(document: Document) -> StoredHosts:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    hosts = json.loads(document["document"])
    if document["_id"] != _ID or not isinstance(hosts, dict):
        raise TypeError("no hosts")
    return StoredHosts(int(document["version"]), hosts)
