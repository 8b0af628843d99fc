"""A real podman that serves the API of container engines, a tiny image, and a registry. Must not know what runs in containers.

It needs no cgroups, no network of its own and no systemd: containers use the network of this machine. Its own root directory has to be a
mount, and cgroups of version 2 have to be where it looks for them, so it gets both in a mount namespace of its own.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.services.recipe import Place, Recipe
from tests.services.server import LOOPBACK, Server, free_ports
from tests.services.unavailable import Unavailable

RECIPE = Recipe(
    name="podman",
    # an engine of another owner is no place for what the tests run and remove
    variable="",
    program="podman",
    packages=("busybox-static", "crun", "docker-registry", "podman"),
    user="root",
)

#: An image with a shell, of no registry.
BOX = "localhost/box:1"

#: Who may use the registry.
USER, PASSWORD = "puller", "s3cret-pull"
_HTPASSWD = f"{USER}:$2b$04$OORjvbflAfMPDVO7.I3RVuBGo/cDnhjUj8/hTjDzyqM09OT48p3O6\n"

_STORAGE = """
[storage]
driver = "vfs"
runroot = "{data}/run"
graphroot = "{data}/graph"
"""

_CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
cgroups = "disabled"
cgroupns = "host"
netns = "host"
ipcns = "host"
pidns = "private"
utsns = "host"
userns = "host"
log_driver = "k8s-file"
apparmor_profile = ""
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
tmp_dir = "{data}/tmp"
exit_command_delay = 5
"""

_REGISTRIES = """
[[registry]]
location = "{host}:{port}"
insecure = true
"""

_REGISTRY = """
version: 0.1
storage: {{filesystem: {{rootdirectory: "{data}/registry"}}, delete: {{enabled: true}}}}
http: {{addr: "{host}:{port}"}}
auth: {{htpasswd: {{realm: tests, path: "{data}/htpasswd"}}}}
"""

#: `$1` directory of the data, the rest the command
_INSIDE = """
set -e
data=$1; shift
mount --make-rprivate / 2>/dev/null || true  # of a chroot: it is so already
mount --rbind / /mnt
mount -t sysfs sysfs /mnt/sys
mount -t cgroup2 none /mnt/sys/fs/cgroup
for one in tmp var/tmp; do mount -t tmpfs tmpfs /mnt/$one; done
mkdir -p "/mnt$data" "$data/state"; mount --rbind "$data" "/mnt$data"
mount --bind "$data/state" /mnt/run
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin LC_ALL=C.UTF-8 HOME=/root
export CONTAINERS_STORAGE_CONF="$data/storage.conf" CONTAINERS_CONF="$data/containers.conf"
export CONTAINERS_REGISTRIES_CONF="$data/registries.conf"
exec chroot /mnt "$@"
"""


class Engine(NamedTuple):
    """A running engine."""

    #: where it listens, as this machine sees it
    socket: Path
    #: `host:port` of a registry that USER may use with PASSWORD
    registry: str
    #: the service, to be frozen, killed and started again; containers go on without it
    server: Server
    data: Path
    place: Place

    def podman(self, *words: str) -> str:
        """What podman itself says. Raises Unavailable."""
        argv = self.place.argv(RECIPE, _inside(self.place.seen(self.data), ["podman", *words]), self.data)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise Unavailable(f"podman {words[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-600:]}")
        return done.stdout


@contextmanager
def running(place: Place, data: Path) -> Iterator[Engine]:
    """An engine with the image BOX, and a registry with nothing. Raises Unavailable with podman's own words where containers cannot run."""
    seen, port = place.seen(data), free_ports(1)[0]
    files = {"storage": _STORAGE, "containers": _CONTAINERS, "registries": _REGISTRIES, "registry": _REGISTRY}
    for name, text in files.items():
        (data / f"{name}.conf").write_text(text.format(data=seen, host=LOOPBACK, port=port))
    (data / "htpasswd").write_text(_HTPASSWD)
    socket = data / "engine.sock"
    service = ["podman", "system", "service", "--time=0", f"unix://{seen}/engine.sock"]
    with ExitStack() as stack:
        argv = place.argv(RECIPE, ["docker-registry", "serve", f"{seen}/registry.conf"], data)
        stack.enter_context(Server(argv, [port], data / "registry.log", signaller=place.deliver))
        server = Server(
            place.argv(RECIPE, _inside(seen, service), data),
            [],
            data / "podman.log",
            ready=socket.is_socket,
            signaller=place.deliver,
        )
        engine = Engine(socket, f"{LOOPBACK}:{port}", server, data, place)
        _import(engine)
        stack.callback(engine.podman, "rm", "--force", "--all", "--time=0")
        engine.podman("run", "--rm", BOX, "true")
        stack.enter_context(server)
        yield engine


def _import(engine: Engine) -> None:
    """An image of one static program."""
    box = subprocess.run(
        engine.place.argv(RECIPE, ["sh", "-c", 'cat "$(command -v busybox)"'], engine.data),
        capture_output=True,
        check=True,
    ).stdout
    with tarfile.open(engine.data / "box.tar", "w") as tar:
        _add(tar, "bin/busybox", box)
        for name in ("cat", "echo", "env", "grep", "kill", "ls", "sh", "sleep", "test", "touch", "tr", "true"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("tmp", "etc", "root"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(directory)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    engine.podman("import", f"{engine.place.seen(engine.data)}/box.tar", BOX)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))


def _inside(seen: str, command: Sequence[str]) -> list[str]:
    return ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", _INSIDE, "sh", seen, *command]
