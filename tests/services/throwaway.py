"""A whole Debian host behind a real sshd, whose users, packages and files a test may change: all of it goes with it. Must not know what is
done to it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services import sshd
from tests.services.places import InServiceRoot
from tests.services.recipe import Place, Recipe
from tests.services.service_root import ServiceRoot
from tests.services.unavailable import Unavailable

#: what hosts of people have
RECIPE = sshd.RECIPE._replace(
    name="throwaway", program="", packages=(*sshd.RECIPE.packages, "cron", "faketime", "git", "openssh-client", "wget")
)


class ThrowAway(InServiceRoot):
    """The tree of the service root, under a layer of its own."""

    def __init__(self, root: ServiceRoot, layer: Path) -> None:
        super().__init__(root)
        self._layer = layer

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """As of every place."""
        return self._root.argv(command, data, recipe.user, recipe.ends_by, str(self._layer))


@contextmanager
def running(place: Place, directory: Path, name: str, cache: Path, more: str = "") -> Iterator[sshd.SshHost]:
    """A host whose directory `seen` is `data` on this machine. Raises Unavailable.

    `place`: where RECIPE was prepared; `more`: lines of the server's configuration.
    """
    assert isinstance(place, InServiceRoot)
    layer, data = directory / "layer", directory / "data"
    for one in (layer, data):
        one.mkdir(parents=True)
    _require_overlay(layer)
    # the default of OpenSSH 10 costs a tenth of a second of processor for each connection of git
    more = f"KexAlgorithms curve25519-sha256\nPermitUserEnvironment yes\n{more}"
    with sshd.running(ThrowAway(ServiceRoot(cache), layer), data, name, more) as host:
        yield host


def _require_overlay(directory: Path) -> None:
    script = (
        'mount -t tmpfs tmpfs "$1" && mkdir "$1/a" "$1/b" "$1/c" "$1/d" && '
        'mount -t overlay overlay -o "lowerdir=$1/a,upperdir=$1/b,workdir=$1/c" "$1/d"'
    )
    tried = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(directory)]
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        raise Unavailable("no host that a test may change: this kernel mounts no overlay")
