"""What people say of hosts by the API. Must not know what that means."""

from __future__ import annotations

import json

from re_core.adapters.sqlite.database import Database
from re_core.rows import StoredHosts
from re_core.wire import strict_json

_INSERT = "INSERT OR IGNORE INTO hosts (id, version, document) VALUES (1, ?, ?)"
_REPLACE = "UPDATE hosts SET version = ?1, document = ?2 WHERE id = 1 AND version = ?1 - 1"


class HostsPart:
    """See ports.HostRows."""

    _database: Database

    def hosts_version(self) -> int:
        """See ports.HostRows."""
        row = self._database.row("SELECT version FROM hosts WHERE id = 1")
        return 0 if row is None else int(row[0])

    def stored_hosts(self) -> StoredHosts:
        """See ports.HostRows."""
        row = self._database.row("SELECT version, document FROM hosts WHERE id = 1")
        return StoredHosts() if row is None else StoredHosts(row[0], json.loads(row[1]))

    def save_hosts(self, hosts: StoredHosts) -> bool:
        """See ports.HostRows."""
        values = (hosts.version, strict_json.dumps(hosts.hosts))
        with self._database.writing() as connection:
            if connection.execute(_INSERT if hosts.version == 1 else _REPLACE, values).rowcount == 1:
                return True
            stands = connection.execute("SELECT version, document FROM hosts WHERE id = 1").fetchone()
        return stands is not None and tuple(stands) == values
