"""What the errors of pymongo and of the server mean for the operator. Must not know any collection.

The codes are those of MongoDB's error_codes.yml. Unknown errors are retried: a server whose storage is being
restarted reports many of them, and every wait is logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from re_core.errors import NotStorable, ReleaseEngineError, StoreRefused, StoreUnavailable

#: the unique key is there already
DUPLICATE = 11000

#: code -> text; nothing changes until an operator acts
_LASTING = {
    11: "the user does not exist; correct the user in RE_STORE_URL, and authSource",
    13: "the user is not authorized; give it the role readWrite on this database",
    18: "user or password is wrong; correct RE_STORE_URL, and authSource if the user is kept in another database",
    73: "the server refuses the database's name; correct it in RE_STORE_URL",
    121: "a validator of the collection refuses the engine's documents; remove it",
    303: "the server uses another API version; correct the options in RE_STORE_URL",
    8000: "user or password is wrong; correct RE_STORE_URL",
}

#: code -> text; of one document, and no other
_UNFIT = {
    10334: "a document is larger than the server accepts",
    17280: "a key is longer than the server accepts",
}

#: code -> text; waiting, or making room, helps
_PASSING = {
    64: "a majority of the replica set did not confirm the write in time; check its members",
    89: "the network timed out",
    100: "a majority of the replica set is required and not available; check its members",
    134: "the replica set has not confirmed anything yet; wait until it has a primary",
    14031: "disk full; free space where the server keeps its data; the engine then continues",
}

#: texts of a server or its storage that has no room left
_FULL = ("no space left", "disk full", "outofdiskspace", "disk quota")

#: characters of the server's own text that a message repeats
_WORDS = 300

#: the password of a URL, should the server's text hold one
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]*@")


def translate_error(where: str, error: Exception) -> ReleaseEngineError:
    """The error to raise for this one: what, where, what to do. `where` names the server, without a password."""
    if isinstance(error, BulkWriteError):
        return _bulk_meaning(where, error.details)
    if isinstance(error, (DocumentTooLarge, BSONError, OverflowError, UnicodeEncodeError)):
        return NotStorable(f"store {where}: a document cannot be stored ({_shortened(error)})")
    if isinstance(error, ConfigurationError):
        return StoreRefused(
            f"store {where}: the server does not accept the options of RE_STORE_URL ({_shortened(error)})"
        )
    if isinstance(error, InvalidOperation):  # pymongo says it of a client that was closed
        return StoreUnavailable(f"store {where}: it was closed")
    if isinstance(error, WTimeoutError):
        return StoreUnavailable(f"store {where}: {_PASSING[64]}")
    if isinstance(error, ServerSelectionTimeoutError):
        return StoreUnavailable(f"store {where}: no server that accepts writes answers ({_shortened(error)})")
    if isinstance(error, OperationFailure):
        return _answer(where, error.code, str(error))
    return StoreUnavailable(f"store {where}: the connection was lost ({_shortened(error)})")


#: what the adapter turns into an error of ours
CAUGHT = (PyMongoError, BSONError, OverflowError, UnicodeEncodeError)


def duplicates(error: BulkWriteError) -> list[int] | None:
    """Places of the documents whose key was there, in order, where nothing worse happened; None where it did."""
    if error.details.get("writeConcernErrors"):
        return None
    errors = error.details.get("writeErrors", [])
    return sorted(one["index"] for one in errors) if all(one.get("code") == DUPLICATE for one in errors) else None


def _bulk_meaning(where: str, details: Mapping[str, Any]) -> ReleaseEngineError:
    worse = [one for one in details.get("writeErrors", ()) if one.get("code") != DUPLICATE]
    for one in (*worse, *details.get("writeConcernErrors", ())):
        return _answer(where, one.get("code"), str(one.get("errmsg", "")))
    return StoreRefused(f"store {where}: a key exists that must not exist")


def _answer(where: str, code: int | None, words: str) -> ReleaseEngineError:
    said = f"({_clean(words)}; code {code})"
    if any(word in words.lower() for word in _FULL):
        return StoreUnavailable(f"store {where}: {_PASSING[14031]} {said}")
    if code in _UNFIT:
        return NotStorable(f"store {where}: {_UNFIT[code]} {said}")
    if code in _LASTING:
        return StoreRefused(f"store {where}: {_LASTING[code]} {said}")
    return StoreUnavailable(f"store {where}: {_PASSING.get(code or 0, 'the server reports an error')} {said}")


def _shortened(error: Exception) -> str:
    return _clean(str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0])


def _clean(words: str) -> str:
    return _PASSWORD.sub(r"\1***@", " ".join(words.split(", full error:")[0].split()))[:_WORDS]
