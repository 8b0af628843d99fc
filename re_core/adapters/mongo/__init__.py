"""The store on MongoDB, by pymongo (docs/decisions/0009)."""

from re_core.adapters.mongo.store import MongoStore

__all__ = ["MongoStore"]
