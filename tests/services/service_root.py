"""The service root: a Debian tree with current servers, built once by root on a Debian machine and kept in a cache.

Mounts happen in a mount namespace of the command that needs them, so they vanish with it however it ends. Must not know
which servers are wanted or how they are configured.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services.signals import last_signal
from tests.services.unavailable import Unavailable

#: The Debian suite of the tree: the first with all the servers that the tests want.
SUITE = "forky"
#: debootstrap's script for that suite; the debootstrap of an older Debian knows the suite only by this one.
SCRIPT = Path("/usr/share/debootstrap/scripts/sid")
#: Where the tree sees the directory that a server keeps its data in.
DATA_INSIDE = "/srv/data"
#: Names the mirror by hand, for machines whose apt configuration has no Debian archive.
MIRROR_VARIABLE = "RE_TEST_DEBIAN_MIRROR"

#: Runs in a new mount namespace: $1 the tree, $2 the data directory or "", $3 an empty directory or "", the rest the command. With $3 what
#: is changed in the tree is in memory, and gone with the namespace.
_INSIDE = f"""
set -e
root=$1 data=$2 layer=$3; shift 3
if [ -n "$layer" ]; then
  mount -t tmpfs -o size=512m tmpfs "$layer"
  mkdir "$layer/over" "$layer/work" "$layer/root"
  mount -t overlay overlay -o "lowerdir=$root,upperdir=$layer/over,workdir=$layer/work" "$layer/root"
  root=$layer/root
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
if [ -n "$data" ]; then mkdir -p "$root{DATA_INSIDE}"; mount --bind "$data" "$root{DATA_INSIDE}"; fi
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin LC_ALL=C.UTF-8
exec chroot "$root" "$@"
"""


class ServiceRoot:
    """The tree under `cache`. It is shared by all runs of a user; a lock keeps builders apart."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._tree = cache / f"service-root-{SUITE}"

    @property
    def tree(self) -> Path:
        """Where it is on this machine."""
        return self._tree

    @staticmethod
    def refusal() -> str | None:
        """Why there can be no service root on this machine, or None."""
        if not shutil.which("apt-get"):
            return "the service root needs Debian or Ubuntu"
        if os.geteuid() != 0:
            return "the service root is built by root only"
        if subprocess.run([*_NAMESPACE, "true"], capture_output=True).returncode:
            return "the service root needs mount namespaces, which are refused here"
        return None

    def ensure(self, packages: Sequence[str]) -> None:
        """Build the tree unless it is there, then install the packages that it lacks.

        Raises Unavailable with the failing command's last words.
        """
        self._cache.mkdir(parents=True, exist_ok=True)
        with self.locked("service-root"):
            if not self._tree.exists():
                self._build()
            missing = sorted(set(packages) - set(self._installed()))
            if missing:
                self._install(missing)

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Keep other processes from building the same thing meanwhile."""
        with (self._cache / f"{what}.lock").open("w") as holder:
            fcntl.flock(holder, fcntl.LOCK_EX)
            yield

    def argv(
        self, command: Sequence[str], data: Path, user: str, ends_by: signal.Signals = signal.SIGTERM, layer: str = ""
    ) -> list[str]:
        """The command line that runs `command` inside the tree as `user`, with `data` mounted at DATA_INSIDE.

        With `layer`, an empty directory, it has the tree for itself: what it changes there goes with it.

        Every program on the way replaces itself by the next, so the pid started is the server's. The server gets
        the signal that ends it when its parent dies, so that a killed test run leaves nothing behind.
        """
        inside = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *last_signal(ends_by)]
        return [*self._enter(str(data), layer), *inside, *command]

    def _enter(self, data: str = "", layer: str = "") -> list[str]:
        return [*_NAMESPACE, "sh", "-c", _INSIDE, "sh", str(self._tree), data, layer]

    def _build(self) -> None:
        if not shutil.which("debootstrap"):
            _refresh_lists()
            run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "debootstrap"])
        unfinished = self._tree.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        run([*_NAMESPACE, "debootstrap", "--variant=minbase", SUITE, str(unfinished), _mirror(), str(SCRIPT)])
        policy = unfinished / "usr/sbin/policy-rc.d"
        # A package that brings a server must not start it: exit 101 is "forbidden" in Debian's policy-rc.d interface.
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        unfinished.rename(self._tree)

    def _install(self, packages: Sequence[str]) -> None:
        # The machine may have moved to another network since the tree was built.
        shutil.copyfile("/etc/resolv.conf", self._tree / "etc/resolv.conf")
        apt = [*self._enter(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        # A mirror that stands still for weeks serves tests as well; its signature is checked all the same.
        run([*apt, "-o", "Acquire::Check-Valid-Until=false", "update", "-qq"])
        run([*apt, "install", "-y", "-qq", "--no-install-recommends", *packages])
        self._record().write_text(json.dumps(sorted({*self._installed(), *packages})))

    def _installed(self) -> list[str]:
        record = self._record()
        return list(json.loads(record.read_text())) if record.exists() else []

    def _record(self) -> Path:
        return self._tree / "etc/re-test-packages.json"


_NAMESPACE = ("unshare", "--mount", "--propagation", "private")


def _mirror() -> str:
    """The Debian mirror of this machine's own apt configuration, whatever format that is written in."""
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return named
    mirrors = _debian_archives()
    if not mirrors:
        # apt knows the label of an archive only once it has fetched its lists.
        _refresh_lists()
        mirrors = _debian_archives()
    if not mirrors:
        raise Unavailable(f"the apt configuration names no Debian archive; name one in {MIRROR_VARIABLE}")
    return mirrors[0]


def _refresh_lists() -> None:
    # One broken source of the machine must not hide the others: what is asked for next shows whether it matters.
    subprocess.run(["apt-get", "update", "-qq"], stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _debian_archives() -> list[str]:
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"]
    return run(asked).split()


def run(argv: Sequence[str]) -> str:
    """What a command prints. Raises Unavailable with its last words when it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise Unavailable(f"{' '.join(argv[:6])} … ended with {done.returncode}: {words}")
    return done.stdout
