"""Why a service cannot be had. Must not know pytest: the plugin decides between skip and failure."""

from __future__ import annotations


class Unavailable(Exception):
    """A service, or one way to it, cannot be had here. The text says why, and what would change that."""
