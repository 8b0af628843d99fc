"""The store in one file, by the sqlite3 of the standard library (docs/decisions/0003)."""

from re_core.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
