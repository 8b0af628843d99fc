"""Builds apps: gets an archive, unpacks it, runs its build in a sandbox, and packs what comes of it.

Nothing of an app is believed. Its program runs as another user where there is one, out of reach of the engine's files, without the
app's config and within limits; what it leaves is read without following a link.
"""

from re_dploy.build.building import Built, Limits, build
from re_dploy.build.failures import BuildFailed, BuildStopped
from re_dploy.build.fetching import Fetcher

__all__ = ["BuildFailed", "BuildStopped", "Built", "Fetcher", "Limits", "build"]
