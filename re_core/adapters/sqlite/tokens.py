"""The tokens that authenticate callers. Must not know the secrets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core.adapters.sqlite.database import Database
from re_core.rows import Token
from re_core.wire import strict_json

_COLUMNS = "digest, user, groups, admin, created, expires, used, notify"
_SELECT = f"SELECT {_COLUMNS} FROM tokens"


class TokensPart:
    """See ports.Tokens."""

    _database: Database

    def add_token(self, token: Token) -> None:
        """See ports.Tokens."""
        groups = None if token.groups is None else strict_json.dumps(token.groups)
        with self._database.writing() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                token._replace(groups=groups),  # type: ignore[arg-type]  # as the column has them
            )

    def token(self, digest: str) -> Token | None:
        """See ports.Tokens."""
        row = self._database.row(f"{_SELECT} WHERE digest = ?", (digest,))
        return None if row is None else _token(row)

    def tokens(self) -> list[Token]:
        """See ports.Tokens."""
        return [_token(row) for row in self._database.rows(f"{_SELECT} ORDER BY created, digest")]

    def revoke_token(self, digest: str) -> bool:
        """See ports.Tokens."""
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM tokens WHERE digest = ?", (digest,)).rowcount == 1

    def use_token(self, digest: str, at: int) -> None:
        """See ports.Tokens."""
        with self._database.writing() as connection:
            connection.execute("UPDATE tokens SET used = max(coalesce(used, 0), ?) WHERE digest = ?", (at, digest))


def _token(row: Sequence[Any]) -> Token:
    digest, user, groups, admin, created, expires, used, notify = row
    reached = None if groups is None else tuple(json.loads(groups))
    return Token(digest, user, reached, bool(admin), created, expires, used, bool(notify))
