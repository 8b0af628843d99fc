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
    11: "there is no such user; see to the user in RE_STORE_URL and to authSource",
    13: "its user may not do that; give it the role readWrite on this database",
    18: "user or password is wrong; see to RE_STORE_URL, and to authSource where the user is kept in another database",
    73: "the server does not take the name; see to the database in RE_STORE_URL",
    121: "a validator that somebody has set refuses our documents; remove it",
    303: "the server speaks another API version; see to the options in RE_STORE_URL",
    8000: "user or password is wrong; see to RE_STORE_URL",
}

#: code -> text; of one document, and no other
_UNFIT = {
    10334: "a document is larger than the server takes",
    17280: "a key is longer than the server takes",
}

#: code -> text; waiting, or making room, helps
_PASSING = {
    64: "the write was not confirmed by a majority of the replica set in time; see to its members",
    89: "its network timed out",
    100: "a majority of the replica set is needed and not there; see to its members",
    134: "the replica set has not confirmed anything yet; wait until it has a primary",
    14031: "disk full; make room where the server keeps its data, and go on",
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
        return NotStorable(f"store {where}: a document cannot be stored there ({_shortened(error)})")
    if isinstance(error, ConfigurationError):
        return StoreRefused(f"store {where}: the server and RE_STORE_URL do not go together ({_shortened(error)})")
    if isinstance(error, InvalidOperation):  # pymongo says it of a client that was closed
        return StoreUnavailable(f"store {where}: it was closed")
    if isinstance(error, WTimeoutError):
        return StoreUnavailable(f"store {where}: {_PASSING[64]}")
    if isinstance(error, ServerSelectionTimeoutError):
        return StoreUnavailable(f"store {where}: no server that can be written to answers ({_shortened(error)})")
    if isinstance(error, OperationFailure):
        return _answer(where, error.code, str(error))
    return StoreUnavailable(f"store {where}: the connection broke ({_shortened(error)})")


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
    return StoreRefused(f"store {where}: a key is there already that must not be")


def _answer(where: str, code: int | None, words: str) -> ReleaseEngineError:
    said = f"({_clean(words)}; code {code})"
    if any(word in words.lower() for word in _FULL):
        return StoreUnavailable(f"store {where}: {_PASSING[14031]} {said}")
    if code in _UNFIT:
        return NotStorable(f"store {where}: {_UNFIT[code]} {said}")
    if code in _LASTING:
        return StoreRefused(f"store {where}: {_LASTING[code]} {said}")
    return StoreUnavailable(f"store {where}: {_PASSING.get(code or 0, 'the server could not do it')} {said}")


def _shortened(error: Exception) -> str:
    return _clean(str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0])


def _clean(words: str) -> str:
    return _PASSWORD.sub(r"\1***@", " ".join(words.split(", full error:")[0].split()))[:_WORDS]
