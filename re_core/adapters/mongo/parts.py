"""Text too long for one document of the server, in parts beside it. Must not know what the text is for.

A document holds 16 MiB at most. The parts are there before the document that names them; a part's key holds the digest
of the whole, so writing them twice is writing them once.
"""

from __future__ import annotations

import hashlib

from re_core.adapters.mongo.database import Database
from re_core.errors import StoreRefused

#: bytes that a document holds by itself, and that a part holds
WHOLE = 8 * 1024 * 1024

#: what comes after a ':' in the order of the server
AFTER_COLON = ";"


def keep(database: Database, owner: str, body: bytes) -> str:
    """Store it in parts; what `fetch` needs to find them again."""
    digest = hashlib.sha256(body).hexdigest()
    count = -(-len(body) // WHOLE)
    for number in range(count):
        piece = body[number * WHOLE : (number + 1) * WHOLE]
        database.add(database.parts, [{"_id": f"{owner}:{digest}:{number:06d}", "body": piece}])
    return f"{digest}:{count}"


def fetch(database: Database, owner: str, name: str) -> bytes:
    """The whole. Raises StoreRefused where a part is missing."""
    digest, _, count = name.partition(":")
    with database.translating_errors():
        first = f"{owner}:{digest}:"
        query = {"_id": {"$gte": first, "$lt": first[:-1] + AFTER_COLON}}
        pieces = [part["body"] for part in database.parts.find(query).sort("_id", 1)]
    body = b"".join(pieces)
    if str(len(pieces)) != count or hashlib.sha256(body).hexdigest() != digest:
        raise StoreRefused(f"store {database.where}: parts of {owner!r} are missing; restore them from a backup")
    return body


def drop(database: Database, owner: str) -> None:
    """Of this owner, and of all whose name continues with a ':' after it."""
    with database.translating_errors():
        database.parts.delete_many({"_id": {"$gte": f"{owner}:", "$lt": owner + AFTER_COLON}})
