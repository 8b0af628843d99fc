"""A whole Debian host that systemd runs, behind a real sshd; what is done to it goes with it. Must not know what is done to it.

It has processes, files, a name and control groups of its own, and the network of this machine: an address of the loopback network
is its own, so that two hosts can listen on one port.
"""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.services import sshd
from tests.services.recipe import Recipe
from tests.services.server import Server, free_ports
from tests.services.service_root import DATA_INSIDE
from tests.services.signals import dying_with_parent
from tests.services.unavailable import Unavailable

#: what examples/flask-app needs
_PYTHON = ("gunicorn", "python3-flask", "python3-psycopg2", "python3-sqlalchemy")

RECIPE = Recipe(
    name="systemd_host",
    variable="",
    # no machine's own files are a test's to change
    program="",
    packages=("dbus", "openssh-server", "sudo", "systemd", *_PYTHON),
    user="root",
)

#: what systemd would do to the machine, and what takes a second and serves no test
_MASKED = (
    "dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount "
    "sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount systemd-binfmt.service systemd-modules-load.service "
    "systemd-sysctl.service systemd-remount-fs.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup-dev-early.service "
    "systemd-udevd.service systemd-udev-trigger.service ldconfig.service systemd-journal-catalog-update.service "
    "systemd-hwdb-update.service systemd-update-done.service systemd-firstboot.service epmd.socket tmp.mount"
)

#: `$1` tree, `$2` directory of the test's, `$3` an empty directory, `$4` name of the host
_BOOT = f"""
set -e
mount -t tmpfs -o size=512m tmpfs "$3"
mkdir "$3/over" "$3/work" "$3/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$3/over,workdir=$3/work" "$3/root"
cd "$3/root"
mount -t proc proc proc
echo "$4" >proc/sys/kernel/hostname
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=0755 tmpfs dev
for one in null zero full random urandom tty; do
  : >"dev/$one"
  mount --bind "/dev/$one" "dev/$one"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p ".{DATA_INSIDE}"
mount --bind "$2" ".{DATA_INSIDE}"
echo "$4" >etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$4" >etc/hosts
: >etc/machine-id
for one in {_MASKED}; do ln -sf /dev/null "etc/systemd/system/$one"; done
cp "$2"/units/* etc/systemd/system/
useradd --root "$PWD" --create-home --password '*' --shell /bin/bash deploy
echo 'deploy ALL=(root) NOPASSWD: ALL' >etc/sudoers.d/deploy
unset NOTIFY_SOCKET
container=tests exec chroot . /usr/lib/systemd/systemd --system --unit=test.target --log-target=journal-or-kmsg --show-status=no
"""

_UNITS = {
    "test.target": "[Unit]\nRequires=basic.target test-sshd.service\nAfter=basic.target\nAllowIsolate=yes\n",
    "test-sshd.service": "[Unit]\nAfter=basic.target\n[Service]\nRuntimeDirectory=sshd\n"
    f"ExecStart=/usr/sbin/sshd -D -e -f {DATA_INSIDE}/sshd_config\nKillMode=process\n",
}

_PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private")
_NAMESPACES = (*_PRIVATE_MOUNTS, "--pid", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child")
#: puts itself into a control group of its own, `$1` of the whole machine's, which is mounted at `$2` meanwhile, and becomes the rest: two
#: systemd in one group would end each other's processes
_IN_GROUP = """
set -e
group=$1 place=$2
shift 2
mount -t cgroup2 cgroup2 "$place"
mkdir "$place/$group"
echo $$ >"$place/$group/cgroup.procs"
umount "$place"
exec "$@"
"""
#: removes the group, with those that systemd has made in it
_END_GROUP = 'mount -t cgroup2 cgroup2 "$2" && cd "$2" && find "$1" -depth -type d -exec rmdir {} +'
#: a container's systemd ends for no TERM; killed, it takes all of the host with it
_ENDS_BY = signal.SIGKILL

_DICE = random.SystemRandom()


class SystemdHost(NamedTuple):
    """A host that runs."""

    name: str
    #: its own of the loopback network
    address: str
    ssh: sshd.SshHost

    def row(self) -> dict[str, object]:
        """What an inventory says of it."""
        trusted = {"host_key": "pinned", "host_keys": [self.ssh.key], "identity": str(self.ssh.data / "client_key")}
        return {"address": self.address, "port": self.ssh.port, "user": "deploy", "become": {"user": "root"}, **trusted}

    def run(self, command: str) -> str:
        """What it prints, run by `deploy`. Raises where it fails."""
        argv = ["ssh", "-F", str(self.ssh.client_config), "-l", "deploy", self.name, command]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def refusal(directory: Path) -> str | None:
    """Why systemd runs no host here, or None."""
    script = (
        'mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir a b w m c && mount -t cgroup2 cgroup2 c && '
        "mount -t overlay overlay -o lowerdir=a,upperdir=b,workdir=w m"
    )
    tried = subprocess.run([*_NAMESPACES, "sh", "-c", script, "sh", str(directory)], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"no host with systemd: {tried.stderr.decode(errors='replace').strip()}"


@contextmanager
def running(tree: Path, directory: Path, name: str) -> Iterator[SystemdHost]:
    """A host whose user `deploy` may log in, and become root by sudo. Raises Unavailable.

    `tree`: the service root's, with the packages of RECIPE; `directory`: an empty one.
    """
    data, layer = directory / "data", directory / "layer"
    for one in (data, layer, data / "units"):
        one.mkdir(mode=0o755)
    if why := refusal(layer):
        raise Unavailable(why)
    for unit, text in _UNITS.items():
        (data / "units" / unit).write_text(text)
    address = f"127.{_DICE.randint(2, 254)}.{_DICE.randint(1, 254)}.{_DICE.randint(1, 254)}"
    port = free_ports(1)[0]
    key = sshd.configure(data, DATA_INSIDE, port, name, f"ListenAddress {address}")
    group = f"re-test-{address}-{port}"
    boot = [*_NAMESPACES, "sh", "-c", _BOOT, "sh", str(tree), str(data), str(layer), name]
    argv = dying_with_parent([*_PRIVATE_MOUNTS, "sh", "-c", _IN_GROUP, "sh", group, str(layer), *boot], _ENDS_BY)
    try:
        with Server(argv, [port], data / "log", ends_by=_ENDS_BY) as server:
            yield SystemdHost(name, address, sshd.SshHost(port, data / "ssh_config", data, DATA_INSIDE, key, server))
    finally:
        subprocess.run(
            [*_PRIVATE_MOUNTS, "sh", "-c", _END_GROUP, "sh", group, str(layer)], capture_output=True, check=False
        )
