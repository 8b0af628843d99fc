"""Steps out: the worker SDK, built-in steps, notifiers.

What an author needs is here by name; the rest of the package is the engine's own.
"""

from re_workers.context import Context
from re_workers.outcomes import Cancelled, Declined, Failed, HandedOver, Lost
from re_workers.results import StoredArtifact
from re_workers.sdk import Change, Worker, step

__all__ = [
    "Cancelled",
    "Change",
    "Context",
    "Declined",
    "Failed",
    "HandedOver",
    "Lost",
    "StoredArtifact",
    "Worker",
    "step",
]
