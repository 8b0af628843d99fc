"""Starts the processes of apps: which command, as whom, where, with what. Must not know orders."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from re_core.errors import OperatorError
from re_dploy.wire import Limits
from re_dploy.zone import environment, systemd
from re_dploy.zone.config import ZoneConfig
from re_dploy.zone.disk import AppDisk, ZoneDisk, read_json, write
from re_dploy.zone.health import Health, Ports
from re_dploy.zone.leftovers import Children
from re_dploy.zone.process import Process
from re_dploy.zone.releases import Unpacked
from re_dploy.zone.restricted import Restricted
from re_dploy.zone.state import RELEASE, RUN, Instance
from re_dploy.zone.supervise import LOG_SIZE, Backend, Spec, User, supervise
from re_dploy.zone.systemd import Scoped
from re_workers.steps.confinement import code, writable

#: seconds that a command of a person may run
RUN_TIME = 3600.0

#: seconds that a release command may run
RELEASE_TIME = 3600.0

#: bytes of each of the two log files of what a person runs: in both is what a deployment keeps of its output
RUN_LOG = 5 * 1024 * 1024


class Launcher:
    """Of the whole zone; to be shared between threads."""

    def __init__(self, config: ZoneConfig, disk: ZoneDisk, children: Children) -> None:
        """Raises BadSettings for ports that the kernel gives away itself, OperatorError where systemd is to be used and does not work."""
        if config.in_scopes:
            systemd.check(disk.id)
        self._config = config
        self._disk = disk
        self._children = children
        self._lock = threading.Lock()
        self._given = disk.dir / "ports.json"
        last = int(read_json(self._given).get("last", 0)) if self._given.exists() else 0
        self._ports = Ports(*config.ports, last)
        self._python = config.python or own_python()
        #: what runs as this user could replace the agent by it
        self._code = writable(code())
        #: health is looked at here
        self._hosts = tuple(dict.fromkeys(("127.0.0.1", "::1", config.address)))

    @property
    def address(self) -> str:
        """Under which others reach processes of this zone."""
        return self._config.address

    def launch(
        self,
        app: str,
        disk: AppDisk,
        instance: Instance,
        unpacked: Unpacked,
        env: Mapping[str, Mapping[str, str]],
        limits: Limits,
        others: Iterable[Process],
    ) -> Process:
        """Start it. Raises OSError, OperatorError where there is no port, or no user, for it."""
        if environment.gets_port(instance):
            instance = instance._replace(port=self._port({one.instance.port for one in others}))
        user = self._user(app)
        directory = disk.begin(instance)
        tmp = directory / "tmp"
        if user is not None:
            os.chown(tmp, user.id, user.group)
        where = environment.Surroundings(
            app, self._disk.id, str(unpacked.root), str(tmp), self._python, unpacked.commit
        )
        environ, _ = environment.environment(env, instance, where)
        limits = limits.within(self._config.limits)
        backend = self._backend(f"{app}-{instance.dir}", unpacked.root.parent, tmp, user, limits)
        process = self.adopted(app, instance, directory)
        with self._children.starting() as own:
            process.handle = supervise(
                directory, self._spec(instance, unpacked, user, limits, environment.secrets(env)), environ, backend
            )
            own.add(process.handle.pid)
        return process

    def _backend(self, name: str, shown: Path, given: Path, user: User | None, limits: Limits) -> Backend:
        fixed = self._code if user is None else ()
        restricted = Restricted([self._disk.dir, *self._config.hidden], [shown], [given], fixed)
        if not self._config.in_scopes:
            return restricted
        return Scoped(restricted, f"dploy-{self._config.zone}-{self._disk.id[:8]}-{name}", limits, self._config.grace)

    def end_orphans(self) -> None:
        """End what a killed shim has left to this process."""
        self._children.end_orphans()

    def adopted(self, app: str, instance: Instance, directory: Path) -> Process:
        """The object of an instance that has its directory already."""
        mark = environment.mark(self._disk.id, app, instance)
        return Process(instance, directory, mark, Health(instance.port, self._hosts))

    def _spec(
        self, instance: Instance, unpacked: Unpacked, user: User | None, limits: Limits, secrets: tuple[str, ...]
    ) -> Spec:
        command = {RELEASE: unpacked.release, RUN: instance.command}.get(instance.type)
        if command is None:
            command = unpacked.processes[instance.type]
        # a scope bounds the memory that is used; the address space is more, with some programs by far
        rlimits = {"RLIMIT_AS": 0 if self._config.in_scopes else limits.memory, "RLIMIT_NOFILE": limits.files}
        return Spec(
            ("/bin/sh", "-c", command),
            str(unpacked.root),
            self._config.grace,
            user,
            {name: value for name, value in rlimits.items() if value},
            {RELEASE: RELEASE_TIME, RUN: RUN_TIME}.get(instance.type, 0.0),
            limits.processes,
            RUN_LOG if instance.type == RUN else LOG_SIZE,
            secrets=secrets,
        )

    def _port(self, taken: set[int]) -> int:
        with self._lock:
            port = self._ports.next(taken)
            write(self._given, {"last": port})
            return port

    def _user(self, app: str) -> User | None:
        """The app's own of the pool, for good, or that of all apps; None: the agent's."""
        if not self._config.users:
            return self._config.user
        path = self._disk.dir / "users.json"
        with self._lock:
            given: dict[str, Any] = read_json(path) if path.exists() else {}
            known = {user.id: user for user in self._config.users}
            if (id := given.get(app)) in known:
                return known[id]
            there = set(self._disk.apps())
            taken = {id for name, id in given.items() if name in there}
            free = next((user for user in self._config.users if user.id not in taken), None)
            if free is None:
                raise OperatorError(
                    f"the zone's `users` are all taken: {len(known)} apps have one each; add one for {app}"
                )
            write(path, {**given, app: free.id})
            return free


def own_python() -> str:
    """The Python that the agent's own was made from, without what its environment adds."""
    base = Path(sys.base_prefix, "bin", "python3")
    return str(base) if os.access(base, os.X_OK) else sys.executable


def minor_version(python: str) -> str:
    """Such as 3.13. Raises OperatorError."""
    try:
        asked = subprocess.run(
            [python or own_python(), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise OperatorError(f"{python} does not say which Python it is: {error}") from error
    return asked.stdout.strip()
