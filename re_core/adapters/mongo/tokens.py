"""The tokens that authenticate callers. Must not know the secrets."""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from re_core.adapters.mongo.database import Database, Document
from re_core.rows import Token


class TokensPart:
    """See ports.Tokens."""

    _database: Database

    def add_token(self, token: Token) -> None:
        """See ports.Tokens."""
        groups = None if token.groups is None else list(token.groups)
        document = {"_id": token.digest, **token._asdict(), "groups": groups}
        del document["digest"]
        with self._database.translating_errors():
            try:
                self._database.tokens.replace_one({"_id": token.digest}, document, upsert=True)
            except DuplicateKeyError:  # another process inserted it between the server's look and its insert
                self._database.tokens.replace_one({"_id": token.digest}, document, upsert=True)

    def token(self, digest: str) -> Token | None:
        """See ports.Tokens."""
        with self._database.translating_errors():
            found = self._database.tokens.find({"_id": digest}).limit(1)
            return next((token for _, token in self._database.readable("tokens", list(found), token_of)), None)

    def tokens(self) -> list[Token]:
        """See ports.Tokens."""
        with self._database.translating_errors():
            found = list(self._database.tokens.find().sort([("created", 1), ("_id", 1)]))
        return [token for _, token in self._database.readable("tokens", found, token_of)]

    def revoke_token(self, digest: str) -> bool:
        """See ports.Tokens."""
        with self._database.translating_errors():
            return self._database.tokens.delete_one({"_id": digest}).deleted_count == 1

    def use_token(self, digest: str, at: int) -> None:
        """See ports.Tokens."""
        with self._database.translating_errors():
            self._database.tokens.update_one({"_id": digest}, {"$max": {"used": at}})


def token_of(document: Document) -> Token:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours: it authenticates no caller."""
    groups, user, admin = document["groups"], document["user"], document["admin"]
    expires, used, notify = document["expires"], document["used"], document["notify"]
    if not isinstance(user, str) or not isinstance(admin, bool) or not isinstance(groups, list | None):
        raise TypeError("no token")
    if not isinstance(expires, int | None) or not isinstance(used, int | None) or not isinstance(notify, bool):
        raise TypeError("no token")
    reached = None if groups is None else tuple(groups)
    return Token(document["_id"], user, reached, admin, int(document["created"]), expires, used, notify)
