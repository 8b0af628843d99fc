"""From the settings to a center. Read where pyzmq may not be installed, and before a process forks: imports none of it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from re_core.errors import BadSettings
from re_core.runtime.settings import Settings
from re_dploy.surroundings import Surroundings

if TYPE_CHECKING:
    from re_dploy.cluster import ClusterBuilder, ClusterCenter
    from re_dploy.embedded import Embedded

#: what the extra installs, by the names under which it is imported
_NEEDED = ("zmq", "cryptography")


def check_extra(what: str = "RE_DPLOY") -> None:
    """Raises BadSettings where the extra is not installed. Imports none of it: contexts of ZeroMQ do not survive a fork."""
    for name in _NEEDED:
        if find_spec(name) is None:
            raise BadSettings(f"{what} needs {name}, which is not installed: pip install 'release-engine[dploy]'")


def open_embedded(settings: Settings, here: Surroundings) -> Embedded:
    """Center, builder and one zone for `rectl up`, which do nothing yet. Raises BadSettings."""
    check_extra()
    from re_dploy.embedded import Embedded

    return Embedded(settings, here)


def check_part(name: str, settings: Settings) -> None:
    """Raises BadSettings where a setting of the part is missing: before its process waits for its servers."""
    from re_dploy import cluster

    if name == "center":
        cluster.options_of(settings)


def open_part(name: str, settings: Settings, here: Surroundings) -> ClusterCenter | ClusterBuilder:
    """The part `center` or `build` of a cluster, which does nothing yet. Raises BadSettings."""
    from re_dploy import cluster

    return cluster.ClusterCenter(settings, here) if name == "center" else cluster.ClusterBuilder(settings, here)
